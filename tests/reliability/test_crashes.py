"""Crashes.

What `kill -9` and Ctrl-C leave behind at any moment, and what `--resume` makes of it: in the end the result has to be, bit for
bit, that of a run that nothing disturbed.
"""

import dataclasses
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

import numpy as np
import pytest

from retrain.head.checkpoint import read_checkpoint, write_checkpoint
from tests.conftest import ROOT, SMALL_CLASSES, RunCli, draw_photo
from tests.reliability.conftest import Note
from tests.support.commands import Outputs, assert_succeeded, bottleneck_counts, own_environment, read_bottleneck, step_lines

pytestmark = pytest.mark.slow

PHOTOS_PER_CLASS = 60
N_PHOTOS = PHOTOS_PER_CLASS * len(SMALL_CLASSES)
BOTTLENECK_SIZE = 512  # tiny_resnet_128's.
EVERY = 500  # Steps from one line of the log to the next.
HANGS = 120  # Seconds after which a command is held to hang.
AT_ONCE = 2  # Seconds that may pass from Ctrl-C to the command's end.

STOPPED_IN_EXTRACTION = "Stopped. Finished bottlenecks are kept: run the same command again to go on.\n"
STOPPED_IN_TRAINING = re.compile(r"(?m)^Stopped\. Run the same command with --resume to go on after step (\d+)\.$")
GOES_ON = re.compile(r"(?m)^Training goes on after step (\d+) of (.*)\.$")


class Running:
    """A command that has been started, and is not waited for. What still runs at the block's end is killed."""

    def __init__(self, folder: Path, *flags: str, below: Sequence[str] = ()) -> None:
        """`below` is a program that runs it, with its flags."""
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"log_{len(list(folder.glob('log_*')))}"
        with open(self._log, "xb") as log:
            self.process = subprocess.Popen(
                [*below, sys.executable, "-m", "retrain", *flags], env={**own_environment(), "PYTHONPATH": str(ROOT)}, stderr=log
            )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Until `condition()`. Fails if the command ends before, or hangs."""
        deadline = time.monotonic() + HANGS
        while not condition():
            assert self.process.poll() is None, f"ended too early\n{self.log}"
            assert time.monotonic() < deadline, f"hangs\n{self.log}"
            time.sleep(0.005)

    def end(self) -> int:
        return self.process.wait(HANGS)

    def ends_within(self, seconds: float) -> bool:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def hold(self) -> None:
        """Holds it where it is, until `go_on`."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def interrupt(self) -> float:
        """Presses Ctrl-C; returns the seconds until the command has ended."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.end()
        return time.monotonic() - start


@dataclasses.dataclass(frozen=True)
class Undisturbed:
    """A training that nothing disturbed: what all others must come to. `flags` are all of its flags but the outputs'."""

    outputs: Outputs
    flags: tuple[str, ...]
    seconds: float

    def start(self, outputs: Outputs, *more: str, below: Sequence[str] = ()) -> Running:
        """The same training, with other outputs."""
        return Running(outputs.folder, *self.flags, *outputs.flags(), *_intermediate(outputs), *more, below=below)

    @property
    def log(self) -> str:
        return (self.outputs.folder / "log_0").read_text(encoding="utf-8")

    def check_log(self, log: str) -> None:
        """Asserts that a run of the same training warned of nothing else."""
        assert "Traceback" not in log
        assert set(_warnings(log)) <= set(_warnings(self.log)), log

    def check_same_end(self, outputs: Outputs) -> None:
        """Asserts that all that matters is there, and is the same to the last bit."""
        for name in ("graph", "labels"):
            assert getattr(outputs, name).read_bytes() == getattr(self.outputs, name).read_bytes(), name
        assert check_whole(self, outputs).keys() == check_whole(self, self.outputs).keys()


def run_undisturbed(folder: Path, *flags: str) -> Undisturbed:
    outputs, start = Outputs(folder), time.monotonic()
    with Running(folder, *flags, *outputs.flags(), *_intermediate(outputs)) as run:
        assert run.end() == 0, run.log
    return Undisturbed(outputs, flags, time.monotonic() - start)


def _warnings(log: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith("WARNING")]


def _intermediate(outputs: Outputs) -> list[str]:
    return [f"--intermediate_output_graphs_dir={outputs.folder / 'intermediate'}"]


def draw_photos(folder: Path) -> Path:
    """An image folder of `N_PHOTOS` small photos: enough that making their bottlenecks takes a while."""
    for label in SMALL_CLASSES:
        (folder / label).mkdir(parents=True)
        for seed in range(PHOTOS_PER_CLASS):
            draw_photo(label, seed).save(folder / label / f"photo_{seed:03d}.jpg", quality=90)
    return folder


def entries(cache: Path) -> list[Path]:
    """The cached bottlenecks."""
    return sorted(cache.glob("*/*.txt"))


def has_made(cache: Path, count: int) -> bool:
    return len(entries(cache)) >= count


def check_whole(undisturbed: Undisturbed, outputs: Outputs, cache: Path | None = None) -> dict[str, tuple[int, int]]:
    """Asserts that all bottlenecks and intermediate graphs that are there are whole, and those of the undisturbed run.

    Returns each bottleneck's inode and modification time.
    """
    found, cache = {}, cache or outputs.bottlenecks
    for path in entries(cache):
        name = str(path.relative_to(cache))
        values = read_bottleneck(path)
        assert values.shape == (BOTTLENECK_SIZE,) and np.isfinite(values).all(), name
        assert path.read_bytes() == (undisturbed.outputs.bottlenecks / name).read_bytes(), name
        found[name] = path.stat().st_ino, path.stat().st_mtime_ns
    for graph in (outputs.folder / "intermediate").glob("*.pb"):
        assert graph.read_bytes() == (undisturbed.outputs.folder / "intermediate" / graph.name).read_bytes(), graph.name
    return found


def checkpoint_step(prefix: Path) -> int:
    """Asserts that a checkpoint is whole; returns how many steps it has seen, 0 where there is none."""
    if not prefix.parent.exists():
        return 0
    with tempfile.TemporaryDirectory() as copy:  # What has to be put right after a kill, the next run is to find.
        shutil.copytree(prefix.parent, copy, dirs_exist_ok=True)
        checkpoint = read_checkpoint(os.path.join(copy, prefix.name))
    if checkpoint is None:
        return 0
    assert all(np.isfinite(variable).all() for variable in checkpoint.variables)
    return checkpoint.step


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def undisturbed(photos: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Undisturbed:
    """With all tries it trains for so long that checkpoints are written on the way."""
    n_steps = 150_000 if request.config.getoption("--long") else 20_000
    training = [f"--how_many_training_steps={n_steps}", f"--eval_step_interval={EVERY}", "--intermediate_store_frequency=5000"]
    flags = [f"--image_dir={photos}", "--architecture=tiny_resnet_128", "--random_seed=3", *training]
    flags.append("--bottleneck_batch_size=4")  # So that bottlenecks come out one after the other, and not all at the end.
    return run_undisturbed(tmp_path_factory.mktemp("undisturbed"), *flags)


# By the number of the call. The first one looks for what a kill may have left; the next two are TensorFlow's own.
MOMENTS = {
    2: "a checkpoint's data is whole",
    3: "its index is whole",
    4: "its data takes its place",
    5: "its index takes its place",
    6: "the graph takes its place",
    7: "the labels take theirs",
}
EARLIER_GRAPH, EARLIER_LABELS = b"the graph of an earlier run", b"the labels of an earlier run\n"


def test_kill_9_at_any_moment(undisturbed: Undisturbed, tmp_path: Path, long: bool, note: Note) -> None:
    """Again and again on what the runs before left behind; once a run has come to its end, from nothing."""
    rng, tries, killed_in, lives = random.Random(1), 50 if long else 4, Counter[str](), 0
    while killed_in.total() < tries:
        lives += 1
        outputs = _with_earlier_outputs(tmp_path / f"life_{lives}")
        _live(undisturbed, outputs, rng, tries, killed_in)
        shutil.rmtree(outputs.folder)
    phases = ", ".join(f"{phase} ({count})" for phase, count in killed_in.most_common())
    note(
        "`kill -9` at a random moment of a run's life, then the same command with `--resume` to its end",
        tried=killed_in.total(),
        happened=f"killed in: {phases}; after each kill every bottleneck, checkpoint and graph that was there was whole, and no "
        f"finished bottleneck was made again; all {lives} final graphs equal the undisturbed run's, byte for byte",
    )


def _live(undisturbed: Undisturbed, outputs: Outputs, rng: random.Random, tries: int, killed_in: Counter[str]) -> None:
    """Kills run after run until one comes to its end by itself or the tries are used up; then that end is checked."""
    finished: dict[str, tuple[int, int]] = {}
    step, ended = 0, False
    while not ended:
        with undisturbed.start(outputs, "--resume") as run:
            ended = run.ends_within(rng.uniform(0, undisturbed.seconds) if killed_in.total() < tries else HANGS)
            run.process.kill()
        if ended:
            assert run.process.returncode == 0, run.log
            made, read = bottleneck_counts(run.log)
            assert (made, read) == (N_PHOTOS - len(finished), len(finished))
        undisturbed.check_log(run.log)
        for found, path in GOES_ON.findall(run.log):
            assert (int(found), path) == (step, str(outputs.checkpoint))
        before, finished = finished, check_whole(undisturbed, outputs)
        assert before.items() <= finished.items()  # Same inode and time: not even written again.
        if not ended:
            killed_in[_phase(run.log, finished.keys() - before.keys())] += 1
        before_step, step = step, checkpoint_step(outputs.checkpoint)
        assert step >= before_step
        assert outputs.graph.read_bytes() in (EARLIER_GRAPH, undisturbed.outputs.graph.read_bytes())
        assert outputs.labels.read_bytes() in (EARLIER_LABELS, undisturbed.outputs.labels.read_bytes())
    undisturbed.check_same_end(outputs)


def _phase(log: str, made: Collection[str]) -> str:
    if "Final test accuracy" in log:
        return "export"
    if "Training on " in log:
        return "training"
    return "making bottlenecks" if made else "start"


def _with_earlier_outputs(folder: Path) -> Outputs:
    outputs = Outputs(folder)
    outputs.folder.mkdir()
    outputs.graph.write_bytes(EARLIER_GRAPH)
    outputs.labels.write_bytes(EARLIER_LABELS)
    return outputs


def test_kill_9_before_each_rename(undisturbed: Undisturbed, tmp_path: Path, long: bool, note: Note) -> None:
    """The moments that matter most when a checkpoint and the outputs take their places; hardly ever hit at random."""
    if not long:
        pytest.skip("takes long: only with --long")
    n_steps = 20 + checkpoint_step(undisturbed.outputs.checkpoint)
    flags = ["--resume", f"--how_many_training_steps={n_steps}", "--intermediate_store_frequency=0"]
    flags.append(f"--bottleneck_dir={undisturbed.outputs.bottlenecks}")

    def begin(name: str) -> Outputs:
        """As the undisturbed run left it, with 20 steps to do."""
        outputs = _with_earlier_outputs(tmp_path / name)
        shutil.copytree(undisturbed.outputs.checkpoint.parent, outputs.checkpoint.parent)
        return outputs

    straight = begin("straight")
    with undisturbed.start(straight, *flags) as run:
        assert run.end() == 0, run.log
    for number in MOMENTS:
        outputs = begin(str(number))
        with undisturbed.start(outputs, *flags, below=_killing_before_rename(number)) as run:
            assert run.end() == -signal.SIGKILL, run.log
        assert checkpoint_step(outputs.checkpoint) == (n_steps if number >= 5 else n_steps - 20)
        assert (outputs.graph.read_bytes() == straight.graph.read_bytes()) == (number == 7)
        assert outputs.graph.read_bytes() in (EARLIER_GRAPH, straight.graph.read_bytes())
        assert outputs.labels.read_bytes() == EARLIER_LABELS
        with undisturbed.start(outputs, *flags) as run:
            assert run.end() == 0, run.log
        assert outputs.graph.read_bytes() == straight.graph.read_bytes()
        assert outputs.labels.read_bytes() == straight.labels.read_bytes()
    note(
        f"`kill -9` just before {', '.join(MOMENTS.values())}",
        tried=len(MOMENTS),
        happened="each file that was there was whole, the old or the new; `--resume` went on from the checkpoint to the graph of "
        "a run that was not killed, byte for byte",
    )


def _killing_before_rename(number: int) -> list[str]:
    """A program that runs another, and kills it just before it renames its n-th file."""
    calls = "rename,renameat,renameat2"
    strace = ["strace", "-qqo", os.devnull, "-e", f"trace={calls}"]  # Of the main thread, which renames all files.
    if not shutil.which("strace") or subprocess.run([*strace, "true"], check=False, capture_output=True).returncode:
        pytest.skip("there is no strace here, or it is not permitted")
    return [*strace, "-e", f"inject={calls}:signal=KILL:when={number}"]


def test_ctrl_c_in_extraction(undisturbed: Undisturbed, tmp_path: Path, long: bool, note: Note) -> None:
    rng, tries, outputs, slowest = random.Random(2), 10 if long else 1, Outputs(tmp_path), 0.0
    for goal in sorted(rng.sample(range(1, N_PHOTOS * 2 // 3), tries)):
        before = check_whole(undisturbed, outputs)
        with undisturbed.start(outputs) as run:
            run.wait_until(partial(has_made, outputs.bottlenecks, max(goal, len(before) + 1)))
            slowest = max(slowest, run.interrupt())
        assert (run.process.returncode, slowest <= AT_ONCE) == (130, True), slowest
        assert run.log.endswith(STOPPED_IN_EXTRACTION)
        undisturbed.check_log(run.log)
        assert before.items() <= check_whole(undisturbed, outputs).items()
    kept = len(entries(outputs.bottlenecks))
    with undisturbed.start(outputs, "--how_many_training_steps=1") as run:
        assert run.end() == 0
    assert bottleneck_counts(run.log) == (N_PHOTOS - kept, kept)
    note(
        "Ctrl-C while bottlenecks are made",
        tried=tries,
        happened=f"exit code 130 after {slowest:.1f} s at most: `{STOPPED_IN_EXTRACTION.strip()}`; the next run made the other "
        f"{N_PHOTOS - kept} of {N_PHOTOS}",
    )


def test_ctrl_c_while_starting(undisturbed: Undisturbed, tmp_path: Path, long: bool, note: Note) -> None:
    """From when numpy is there: in Python's first tenth of a second no program can say anything but Python's own traceback."""
    rng, tries, outputs, slowest = random.Random(7), 10 if long else 1, Outputs(tmp_path), 0.0
    for _ in range(tries):
        with undisturbed.start(outputs) as run:
            run.wait_until(partial(_has_loaded_numpy, run.process.pid))
            time.sleep(rng.uniform(0, 1.5))
            slowest = max(slowest, run.interrupt())
        assert (run.process.returncode, slowest <= AT_ONCE) == (130, True), slowest
        assert run.log.endswith(STOPPED_IN_EXTRACTION)
        undisturbed.check_log(run.log)
    check_whole(undisturbed, outputs)
    note(
        "Ctrl-C while Python and TensorFlow are being loaded",
        tried=tries,
        happened=f"exit code 130 after {slowest:.1f} s at most: `{STOPPED_IN_EXTRACTION.strip()}`",
    )


def _has_loaded_numpy(process_id: int) -> bool:
    return "numpy" in Path(f"/proc/{process_id}/maps").read_text(encoding="utf-8", errors="replace")


def test_ctrl_c_in_training(undisturbed: Undisturbed, tmp_path: Path, long: bool, note: Note) -> None:
    _interrupt_training("Ctrl-C in training, then `--resume`", undisturbed, EVERY, tmp_path, 10 if long else 1, note)


def test_ctrl_c_in_distorted_training(undisturbed: Undisturbed, photos: Path, tmp_path: Path, long: bool, note: Note) -> None:
    if not long:
        pytest.skip("takes long: only with --long")
    n_steps = 40
    steps = [f"--how_many_training_steps={n_steps}", "--eval_step_interval=1", "--train_batch_size=10", "--random_seed=4"]
    distortions = ["--flip_left_right", "--random_crop=10", "--random_scale=10", "--random_brightness=10"]
    flags = [f"--image_dir={photos}", "--architecture=tiny_resnet_128", *steps, *distortions]
    distorted = run_undisturbed(tmp_path / "undisturbed", *flags)
    fault = "Ctrl-C in training with distortions, then `--resume`"
    _interrupt_training(fault, distorted, 1, tmp_path / "disturbed", 10, note)


def test_ctrl_c_while_a_long_training_is_taken_up(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """What millions of steps drew is drawn again before the next step, which takes a while."""
    n_steps, outputs = 5_000_000, Outputs(tmp_path)
    done = read_checkpoint(str(undisturbed.outputs.checkpoint))
    assert done
    write_checkpoint(str(outputs.checkpoint), dataclasses.replace(done, step=n_steps))
    shutil.copytree(undisturbed.outputs.bottlenecks, outputs.bottlenecks)
    with undisturbed.start(outputs, "--resume", f"--how_many_training_steps={n_steps + 1}") as run:
        run.wait_until(lambda: "Training on " in run.log)
        time.sleep(0.3)
        seconds = run.interrupt()
    assert (run.process.returncode, seconds <= AT_ONCE) == (130, True), seconds
    assert STOPPED_IN_TRAINING.findall(run.log) == [str(n_steps)] and step_lines(run.log) == []
    assert checkpoint_step(outputs.checkpoint) == n_steps
    note(
        f"Ctrl-C while a training of {n_steps:,} steps is taken up",
        tried=1,
        happened=f"exit code 130 after {seconds:.1f} s: `{run.log.splitlines()[-1]}`",
    )


def _interrupt_training(fault: str, undisturbed: Undisturbed, every: int, folder: Path, tries: int, note: Note) -> None:
    """Interrupts at steps further and further on, then lets it come to its end."""
    outputs, step, slowest, stopped = Outputs(folder), 0, 0.0, ""
    shutil.copytree(undisturbed.outputs.bottlenecks, outputs.bottlenecks)
    last = max(line.step for line in step_lines(undisturbed.log))
    for goal in sorted(random.Random(5).sample(range(every, last * 3 // 4, every), tries)):
        with undisturbed.start(outputs, *(["--resume"] if step else [])) as run:
            run.wait_until(partial(_has_reached, run, goal))
            slowest = max(slowest, run.interrupt())
        assert (run.process.returncode, slowest <= AT_ONCE) == (130, True), slowest
        undisturbed.check_log(run.log)
        if step:
            assert GOES_ON.findall(run.log) == [(str(step), str(outputs.checkpoint))]
        stopped = run.log.splitlines()[-1]
        step = int(STOPPED_IN_TRAINING.findall(stopped)[0])
        assert step > goal and step == checkpoint_step(outputs.checkpoint)
        assert not outputs.graph.exists()
    with undisturbed.start(outputs, "--resume") as run:
        assert run.end() == 0, run.log
    assert f"Training goes on after step {step} of {outputs.checkpoint}.\n" in run.log
    assert min(line.step for line in step_lines(run.log)) >= step
    undisturbed.check_same_end(outputs)
    note(
        fault,
        tried=tries,
        happened=f"exit code 130 after {slowest:.1f} s at most: `{stopped}`; then "
        f"`Training goes on after step {step}`, to the undisturbed run's graph, byte for byte",
    )


def _has_reached(run: Running, step: int) -> bool:
    whole_lines = run.log[: run.log.rfind("\n") + 1]
    return any(line.step >= step for line in step_lines(whole_lines))


def test_resume_without_a_seed(photos: Path, undisturbed: Undisturbed, run_cli: RunCli, tmp_path: Path, note: Note) -> None:
    """30 steps, then 30 more, are 60 steps."""
    outputs, straight = Outputs(tmp_path / "resumed"), Outputs(tmp_path / "straight")
    cache = f"--bottleneck_dir={undisturbed.outputs.bottlenecks}"

    def train(to: Outputs, n_steps: int, *more: str) -> str:
        flags = [f"--image_dir={photos}", "--architecture=tiny_resnet_128", f"--how_many_training_steps={n_steps}"]
        process = run_cli("retrain", *flags, *to.flags(), cache, *more)
        assert_succeeded(process)
        return process.stderr

    assert f"There is no checkpoint {outputs.checkpoint} yet: training begins at its start.\n" in train(outputs, 30, "--resume")
    log = train(outputs, 60, "--resume")
    assert f"Training goes on after step 30 of {outputs.checkpoint}.\n" in log
    assert {line.step for line in step_lines(log)} == {30, 40, 50, 59}
    checkpoint = read_checkpoint(str(outputs.checkpoint))
    assert checkpoint
    train(straight, 60, f"--random_seed={checkpoint.random_seed}")
    graph = outputs.graph.read_bytes()
    assert graph == straight.graph.read_bytes()

    outputs.graph.unlink()
    log = train(outputs, 60, "--resume")
    assert f"Training goes on after step 60 of {outputs.checkpoint}.\n" in log
    assert step_lines(log) == [] and outputs.graph.read_bytes() == graph
    note(
        "`--resume` of a run that was given no seed, with twice the steps; and of a run that was done",
        tried=2,
        happened="`Training goes on after step 30`, to the graph of one run of 60 steps with the same seed, byte for byte; "
        "`Training goes on after step 60`: only tested and exported again",
    )


def test_temporary_files_of_killed_runs(undisturbed: Undisturbed, run_cli: RunCli, tmp_path: Path, note: Note) -> None:
    outputs = Outputs(tmp_path)
    shutil.copytree(undisturbed.outputs.bottlenecks, outputs.bottlenecks)
    outputs.checkpoint.parent.mkdir()
    folders = [
        outputs.folder,
        outputs.checkpoint.parent,
        *sorted(path for path in outputs.bottlenecks.iterdir() if path.is_dir()),
    ]
    old, young, others = [], [], []
    for folder in folders:
        old.append(folder / ".tmp-0123456789abcdef")
        young.append(folder / ".tmp-fedcba9876543210")
        others += [folder / ".tmp-notes.txt", folder / "0123456789abcdef"]
    for path in [*old, *young, *others]:
        path.write_bytes(b"half a fi")
        if path not in young:
            os.utime(path, (time.time() - 3700,) * 2)
    process = run_cli("retrain", *undisturbed.flags, "--how_many_training_steps=1", *outputs.flags())
    assert_succeeded(process)
    assert bottleneck_counts(process.stderr) == (0, N_PHOTOS)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in [*young, *others])
    note(
        "temporary files of killed runs, in the cache's and the outputs' folders",
        tried=len(old),
        happened=f"{len(old)} that were older than an hour removed; {len(young)} younger ones, which another run may be writing, "
        f"and {len(others)} files of other names left",
    )
