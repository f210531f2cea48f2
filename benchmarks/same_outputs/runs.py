"""Running a case with a checkout, or finding what an earlier run left."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.same_outputs.commands import Case
from benchmarks.same_outputs.describe import Side

SECONDS = 600  # Longest time of a command.
LINKED = ("photos", "odd_photos")  # Inputs that each case's folder has a link to; others are copied, as asked for.


@dataclass(frozen=True)
class Place:
    """Where everything lies: the inputs, and a folder for each side with one for each case."""

    work: Path
    old: Path
    new: Path
    digest: str

    @property
    def inputs(self) -> Path:
        return self.work / "inputs"


def run_old(case: Case, place: Place) -> tuple[Side, bool]:
    """Run the case with OLD, unless its outputs are there; return them, and True if they were."""
    folder, stamp = place.work / "old" / case.name, place.work / "old" / f"{case.name}.json"
    commit = commit_of(place.old)
    key = hashlib.sha256(f"{case} {place.digest} {sys.version}".encode()).hexdigest()
    wanted = {"commit": commit, "key": key, "checkout": str(place.old)}
    if commit and stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8")) == wanted:
        return Side(folder, place.old), True
    stamp.unlink(missing_ok=True)
    side = _run(case, Side(folder, place.old), place)
    stamp.write_text(json.dumps(wanted), encoding="utf-8")
    return side, False


def run_new(case: Case, place: Place) -> Side:
    """Run the case with NEW, but for commands that OLD is to run on both sides."""
    return _run(case, Side(place.work / "new" / case.name, place.new), place)


def commit_of(checkout: Path) -> str:
    """Return the commit that the checkout is of; an empty text if it has changes that are not committed, or is no repository."""

    def git(*args: str) -> str:
        done = subprocess.run(["git", "-C", str(checkout), *args], capture_output=True, text=True, check=False)
        return done.stdout.strip() if not done.returncode else "?"

    return "" if git("status", "--porcelain") else git("rev-parse", "HEAD")


def check_checkout(checkout: Path, work: Path) -> None:
    """Check that `import retrain` takes the checkout's own package, and not an installed one."""
    code = "import retrain; print(retrain.__file__)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=work, env=_environment(checkout, work), capture_output=True, text=True, check=False)
    if done.returncode or not Path(done.stdout.strip()).resolve().is_relative_to(checkout.resolve()):
        sys.exit(f"{checkout} is no checkout of this project: `import retrain` says {done.stdout or done.stderr}")


def _run(case: Case, side: Side, place: Place) -> Side:
    shutil.rmtree(side.folder, ignore_errors=True)
    (side.folder / "logs").mkdir(parents=True)
    for name in LINKED:
        (side.folder / name).symlink_to(Path("../..") / "inputs" / name)
    for name in case.inputs:
        _copy(place.inputs / name, side.folder / name)
    temporary = Path(tempfile.mkdtemp(dir=place.work, prefix="temporary_"))
    for number, command in enumerate(case.commands):
        checkout = place.old if command.by_old else side.checkout
        outputs = [side.folder / "logs" / f"{number:02}_{command.name}.{end}" for end in ("stdout", "stderr", "exit")]
        (side.folder / command.name).mkdir(exist_ok=True)
        with open(outputs[0], "wb") as stdout, open(outputs[1], "wb") as stderr:
            try:
                done = subprocess.run(
                    [sys.executable, "-m", *command.args],
                    cwd=side.folder,
                    env=_environment(checkout, temporary),
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    check=False,
                    timeout=SECONDS,
                )
                ended = str(done.returncode)
            except subprocess.TimeoutExpired:
                ended = "timeout"
        outputs[2].write_text(f"{ended}\n", encoding="utf-8")
    shutil.rmtree(temporary)
    return side


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.exists():
        shutil.copy2(source, target)


def _environment(checkout: Path, temporary: Path) -> dict[str, str]:
    hidden = ("TF_CPP_MIN_LOG_LEVEL", "PYTHONPATH")
    inherited = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**inherited, "PYTHONPATH": str(checkout), "TMPDIR": str(temporary), "COLUMNS": "100", "no_proxy": "127.0.0.1"}
