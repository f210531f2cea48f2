"""Folders that are not ours. Whatever is in the place of an output, nothing that was there before is changed."""

import errno
import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.conftest import ROOT, RunCli
from tests.reliability.conftest import Note
from tests.reliability.privilege import unprivileged
from tests.support.commands import TINY_RESNET_LINE, Outputs, assert_succeeded, bottleneck_counts, own_environment
from tests.support.tolerance import assert_same_bottleneck_file

pytestmark = pytest.mark.slow

FILES = ("output_graph", "output_labels", "checkpoint_path")
FOLDERS = ("bottleneck_dir", "summaries_dir", "intermediate_output_graphs_dir")
NEW_FOLDER = "saved_model_dir"
FLAGS = (*FILES, *FOLDERS, NEW_FOLDER)
NETWORK = "tiny_resnet_128"
DATA = ".data-00000-of-00001"
NOBODY = 65534
# Answers many command lines in one process, since loading TensorFlow takes longer than all of them: [[code, stderr], …].
ANSWER_ALL = """
import contextlib, io, json, sys
from retrain.__main__ import main
answers = []
for command in json.load(sys.stdin):
    with contextlib.redirect_stderr(io.StringIO()) as errors:
        answers.append((main(command), errors.getvalue()))
json.dump(answers, sys.stdout)
"""
# As if whoever plants a link had guessed what is drawn at random.
GUESS, GUESSED = "import secrets\nsecrets.token_hex = lambda n: '00' * n\n", f".tmp-{'00' * 8}"
Fault = Callable[[str, Path], tuple[Path, str] | None]  # Flag, empty folder → the flag's value, and what is said of it.


def flags_for(photos: Path, outputs: Outputs, **instead: Path) -> list[str]:
    """Return flags for a short training with every kind of output; `instead` gives some of them another path."""
    settings = {
        "image_dir": photos,
        "architecture": NETWORK,
        "how_many_training_steps": 6,
        "intermediate_store_frequency": 5,
        "intermediate_output_graphs_dir": outputs.folder / "intermediate",
        "saved_model_dir": outputs.folder / "saved_model",
        **outputs.settings(),
        **instead,
    }
    return [f"--{name}={value}" for name, value in settings.items()]


def dropped() -> list[str]:
    prefix = unprivileged()
    if prefix is None:
        pytest.skip("root's right to write everywhere cannot be dropped here")
    return prefix


def answers(
    commands: Sequence[list[str]], one_by_one: bool, prefix: Sequence[str] = (), before: str = ""
) -> list[tuple[int, str]]:
    """Exit code and stderr of each command line, run by `main` in one process, or by a command of its own.

    `prefix` is a command that runs another, `before` Python that is run in the one process.
    """
    run = functools.partial(subprocess.run, capture_output=True, text=True, env={**own_environment(), "PYTHONPATH": str(ROOT)})
    if one_by_one:
        processes = [run([*prefix, sys.executable, "-m", "retrain", *command]) for command in commands]
        return [(process.returncode, process.stderr) for process in processes]
    process = run([*prefix, sys.executable, "-c", before + ANSWER_ALL], input=json.dumps(commands))
    assert process.returncode == 0, process.stderr
    return [(code, errors) for code, errors in json.loads(process.stdout)]


def content(folder: Path) -> dict[str, bytes | str]:
    """Of all files below a folder: their bytes, or what they link to, or what they are."""
    found: dict[str, bytes | str] = {}
    for path in folder.rglob("*"):
        if path.is_symlink():
            found[str(path)] = os.readlink(path)
        elif not path.is_dir():
            found[str(path)] = path.read_bytes() if path.is_file() else "a device"
    return found


@pytest.fixture(scope="module")
def finished(small_photos: Path, run_cli: RunCli, tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """Of a run that has ended; its folders did not exist."""
    outputs = Outputs(tmp_path_factory.mktemp("finished") / "deep" / "er")
    assert_succeeded(run_cli("retrain", *flags_for(small_photos, outputs)))
    return outputs


def with_cache(finished: Outputs, folder: Path) -> Outputs:
    """Return new outputs that have the bottlenecks already."""
    outputs = Outputs(folder)
    shutil.copytree(finished.bottlenecks, outputs.bottlenecks)
    return outputs


# Places that are refused


def cannot_be_made(flag: str, folder: Path, reason: str) -> str:
    return f"--{flag}: the folder {folder} cannot be made ({reason}). Give another place."


def not_new(flag: str, path: Path) -> str:
    return f"--{flag} must be a folder that does not exist yet. Got {path}: give another, or move it away."


def no_folder(flag: str, path: Path) -> str:
    return f"--{flag} must be a file. Got {path}, which is a folder."


def below_a_file(flag: str, folder: Path) -> tuple[Path, str]:
    (folder / "file").write_text("precious")
    value = folder / "file" / "deeper" / "name"
    return value, cannot_be_made(flag, value if flag in FOLDERS else value.parent, "Not a directory")


def no_file(flag: str, path: Path, kind: str = "file") -> str:
    return f"--{flag} must be a folder. Got {path}, which is a {kind}."


def in_place_of_a_file(flag: str, folder: Path) -> tuple[Path, str] | None:
    path = folder / "file"
    path.write_text("precious")
    if flag in FILES:
        return None  # An earlier output, which is replaced.
    return path, not_new(flag, path) if flag == NEW_FOLDER else no_file(flag, path)


def in_place_of_a_folder(flag: str, folder: Path) -> tuple[Path, str] | None:
    (folder / "precious").touch()
    if flag in FOLDERS:
        return None  # That is where they go.
    return folder, (not_new if flag == NEW_FOLDER else no_folder)(flag, folder)


def on_a_device(flag: str, folder: Path) -> tuple[Path, str]:
    path = Path(os.devnull)
    if flag in FILES:
        return path, f"--{flag} must be a file. Got {path}, which is a device."
    return path, not_new(flag, path) if flag == NEW_FOLDER else no_file(flag, path)


def in_a_read_only_folder(flag: str, folder: Path) -> tuple[Path, str]:
    path = folder / "locked" / "name"
    path.parent.mkdir(mode=0o500)
    if flag in FOLDERS:
        return path, cannot_be_made(flag, path, "Permission denied")
    return path, f"--{flag}: the folder {path.parent} cannot be written to. Give another place."


def in_a_folder_that_is_read_only_itself(flag: str, folder: Path) -> tuple[Path, str] | None:
    if flag not in FOLDERS:
        return None
    folder.chmod(0o500)
    return folder, f"--{flag}: the folder {folder} cannot be written to. Give another place."


def behind_anothers_link(flag: str, folder: Path) -> tuple[Path, str]:
    victim = folder / "victim"
    victim.write_text("precious") if flag in FILES else victim.mkdir()
    path = anothers_link(folder / "name", victim)
    return path, f"--{flag}: {path} is a link that another user made. Delete it, or give another place."


def behind_anothers_link_within(flag: str, folder: Path) -> tuple[Path, str] | None:
    if flag not in FOLDERS:
        return None
    (folder / "victim").mkdir()
    (folder / "output").mkdir()
    inner = {"bottleneck_dir": "red dots", "summaries_dir": "train"}.get(flag, "intermediate_5.pb")
    path = anothers_link(folder / "output" / inner, folder / "victim")
    return path.parent, f"--{flag}: {path} is a link that another user made. Delete it, or give another place."


def behind_a_broken_link(flag: str, folder: Path) -> tuple[Path, str] | None:
    path = folder / "name"
    path.symlink_to(folder / "nowhere")
    if flag in FILES:
        return None  # The link is replaced.
    return path, not_new(flag, path) if flag == NEW_FOLDER else no_file(flag, path, "link that leads nowhere")


def behind_a_link_to_a_folder(flag: str, folder: Path) -> tuple[Path, str] | None:
    (folder / "real").mkdir()
    (folder / "name").symlink_to(folder / "real")
    if flag in FOLDERS:
        return None  # The user's own link is followed.
    return folder / "name", (not_new if flag == NEW_FOLDER else no_folder)(flag, folder / "name")


def anothers_link(path: Path, target: Path) -> Path:
    path.symlink_to(target)
    os.lchown(path, NOBODY, NOBODY)
    return path


# By what it takes to bring them about.
FAULTS: dict[str, dict[str, Fault]] = {
    "": {
        "below a file": below_a_file,
        "where a file is": in_place_of_a_file,
        "where a folder with a file is": in_place_of_a_folder,
        "on a device": on_a_device,
        "where a link leads nowhere": behind_a_broken_link,
        "where a link leads to an empty folder": behind_a_link_to_a_folder,
    },
    "a process that cannot write everywhere": {
        "in a folder that is read-only": in_a_read_only_folder,
        "that is a read-only folder": in_a_folder_that_is_read_only_itself,
    },
    "another user": {
        "where another user has made a link": behind_anothers_link,
        "in whose folder another user has made a link": behind_anothers_link_within,
    },
}


@pytest.mark.parametrize("takes", FAULTS)
def test_places_that_are_refused_before_the_work(takes: str, small_photos: Path, tmp_path: Path, long: bool, note: Note) -> None:
    if takes == "another user" and os.geteuid() != 0:
        pytest.skip("only root can make a link in another user's name")
    outputs = Outputs(tmp_path / "out")
    (outputs.summaries / "train").mkdir(parents=True)
    (outputs.summaries / "train" / "events.out.tfevents.1.earlier").write_bytes(b"of an earlier run")
    wrong = {}
    for where, fault in FAULTS[takes].items():
        for flag in FLAGS:
            folder = tmp_path / where / flag
            folder.mkdir(parents=True)
            if found := fault(flag, folder):
                wrong[where, flag] = found
    before = content(tmp_path)
    commands = [flags_for(small_photos, outputs, **{flag: path}) for (_, flag), (path, _) in wrong.items()]
    said = answers(commands, long, dropped() if "process" in takes else [])
    for (code, error), (place, (_, sentence)) in zip(said, wrong.items(), strict=True):
        assert (code, error) == (2, f"error: {sentence}\n"), place
    assert content(tmp_path) == before  # Nothing was made, not one bottleneck, and nothing removed.
    for where in dict.fromkeys(where for where, _ in wrong):
        flags = [flag for place, flag in wrong if place == where]
        shown = wrong[where, flags[0]][1].replace(f"{tmp_path}/{where}/{flags[0]}", "…")
        note(
            f"an output {where} ({', '.join(f'--{flag}' for flag in flags)})",
            tried=len(flags),
            happened=f"before the first bottleneck: `error: {shown}`",
        )


def test_folders_that_do_not_exist_are_made_once_the_photos_are_found(
    finished: Outputs, small_photos: Path, tmp_path: Path, note: Note
) -> None:
    """A run that finds no photos makes nothing; after a run that goes well everything is there."""
    outputs = Outputs(tmp_path / "deep" / "er")
    [(code, error)] = answers([flags_for(tmp_path / "no photos", outputs)], one_by_one=True)
    assert (code, error.startswith("error: --image_dir ")) == (2, True)
    assert not (tmp_path / "deep").exists()
    made = {str(path.relative_to(finished.folder)) for path in finished.folder.rglob("*") if path.is_file()}
    assert sum(name.endswith(f"_{NETWORK}.txt") for name in made) == 75
    single = {finished.graph, finished.labels, *(Path(f"{finished.checkpoint}{end}") for end in (".index", DATA))}
    assert {str(path.relative_to(finished.folder)) for path in single} <= made
    assert {"saved_model/saved_model.pb", "intermediate/intermediate_5.pb"} <= made
    assert sum(".tfevents." in name for name in made) == 4
    note(
        f"outputs below folders that do not exist ({', '.join(f'--{flag}' for flag in FLAGS)})",
        tried=len(FLAGS),
        happened=f"none was made before the photos were found; in the end they held {len(made)} files",
    )


# Folders that are emptied

STRANGE = ("photo.jpg", "train/notes.txt", "train/deep/er/events.txt", ".hidden", "tfevents", "notes.tfevents.txt")


def test_a_summaries_dir_that_holds_more_than_event_files_is_not_emptied(
    small_photos: Path, tmp_path: Path, long: bool, note: Note
) -> None:
    commands = []
    for number, name in enumerate(STRANGE):
        folder = tmp_path / str(number)
        for path in (folder / "train" / "events.out.tfevents.1.host", folder / name):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("precious")
        commands.append(flags_for(small_photos, Outputs(tmp_path / "out"), summaries_dir=folder))
    before = content(tmp_path)
    said = answers(commands, one_by_one=long)
    for number, (name, (code, error)) in enumerate(zip(STRANGE, said, strict=True)):
        folder = tmp_path / str(number)
        assert (code, error) == (
            2,
            f"{TINY_RESNET_LINE}error: --summaries_dir {folder} would be emptied, but holds a file that is not TensorBoard's: "
            f"{folder}/{name}. Give another folder.\n",
        )
    assert content(tmp_path) == before
    shown = said[0][1].removeprefix(TINY_RESNET_LINE).strip().replace(str(tmp_path), "…")
    note(f"a --summaries_dir with event files and {', '.join(STRANGE)}", tried=len(STRANGE), happened=f"`{shown}`")


# Links


class Victim:
    """A file that links lead to."""

    def __init__(self, folder: Path) -> None:
        self.path, self.n_links = folder / "victim", 0
        self.path.write_text("precious")

    def link_from(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(self.path)
        self.n_links += 1

    def check(self) -> str:
        assert self.path.read_text() == "precious"
        assert not self.path.is_symlink()
        return f"the file that {self.n_links} links led to was not touched"


def test_links_at_the_names_of_files_are_replaced_not_followed(
    finished: Outputs, small_photos: Path, tmp_path: Path, run_cli: RunCli, note: Note
) -> None:
    """Own links at folders are followed: all outputs but the graph and the labels are behind one."""
    real, outputs, victim = tmp_path / "real", Outputs(tmp_path / "out"), Victim(tmp_path)
    outputs.folder.mkdir()
    for folder in (outputs.bottlenecks, outputs.summaries, outputs.checkpoint.parent, outputs.folder / "intermediate"):
        (real / folder.name).mkdir(parents=True)
        folder.symlink_to(real / folder.name)
    bottlenecks = [outputs.bottlenecks / path.relative_to(finished.bottlenecks) for path in finished.bottlenecks.rglob("*.txt")]
    checkpoint = [Path(f"{outputs.checkpoint}{new}{end}") for new in ("", "-new") for end in (".index", DATA)]
    others = [outputs.folder / "intermediate" / "intermediate_5.pb", outputs.summaries / "events.out.tfevents.1.host"]
    for path in (outputs.graph, outputs.labels, *checkpoint, *others, *bottlenecks):
        victim.link_from(path)
    process = run_cli("retrain", *flags_for(small_photos, outputs))
    assert_succeeded(process)
    assert bottleneck_counts(process.stderr) == (75, 0)
    happened = victim.check()
    left = {path.name for path in tmp_path.rglob("*") if path.is_symlink()}
    assert left == {folder.name for folder in real.iterdir()}
    assert all(any(path.is_file() for path in folder.rglob("*")) for folder in real.iterdir())
    note(
        "links at the names of the graph, the labels, the checkpoint's files, intermediate graphs, event files and bottlenecks",
        tried=victim.n_links,
        happened=f"{happened}; the links that are left lead to folders, which were followed: {', '.join(sorted(left))}",
    )


def test_links_at_files_that_are_opened_are_refused(
    finished: Outputs, small_photos: Path, tmp_path: Path, long: bool, note: Note
) -> None:
    """A lock, an index, and a temporary file whose random name has been guessed; each of one cache with a bottleneck missing."""
    victim, lost = Victim(tmp_path), next((finished.bottlenecks / "red dots").glob("*.txt")).relative_to(finished.bottlenecks)
    names = {
        f".lock_{NETWORK}": errno.ELOOP,
        f"red dots/.index_{NETWORK}.jsonl": errno.ELOOP,
        f"red dots/{GUESSED}": errno.EEXIST,
    }
    caches = {name: with_cache(finished, tmp_path / str(number)) for number, name in enumerate(names)}
    for name, outputs in caches.items():
        (outputs.bottlenecks / lost).unlink()
        victim.link_from(outputs.bottlenecks / name)
    before = content(tmp_path)
    commands = [flags_for(small_photos, outputs) for outputs in caches.values()]
    said = answers(commands, one_by_one=False, before=GUESS)
    for (name, outputs), (code, error) in zip(caches.items(), said, strict=True):
        blamed = lost if name.endswith(GUESSED) else name
        assert code == 2
        assert error.splitlines()[-1] == (
            f"error: In the bottleneck cache, {outputs.bottlenecks / blamed} cannot be written ({os.strerror(names[name])}). "
            "What was made before is kept: make room, or give another --bottleneck_dir, and run again."
        )
        (outputs.bottlenecks / name).unlink(missing_ok=True)
    happened = victim.check()
    after = content(tmp_path)
    kept = [path for path in before if path.endswith(f"_{NETWORK}.txt")]
    assert len(kept) == 3 * 74
    assert [before[path] for path in kept] == [after[path] for path in kept]
    assert [code for code, _ in answers(commands, long)] == [0, 0, 0]
    for outputs in caches.values():
        assert_same_bottleneck_file(outputs.bottlenecks / lost, finished.bottlenecks / lost)
    for (name, outputs), (_, error) in zip(caches.items(), said, strict=True):
        shown = error.splitlines()[-1].replace(f"{outputs.bottlenecks}/", "").replace(f"{outputs.bottlenecks.parent}/", "")
        note(f"a link at `{name}` in the cache", tried=1, happened=f"`{shown}`; {happened}; without the link the run continued")
