"""Crashes.

What `kill -9` leaves behind at any moment, and what `--resume` makes of it: in the end the result has to be, bit for bit, what a
run that nothing disturbed makes of the same bottlenecks.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pytest

from retrain.head.checkpoint import read_checkpoint
from tests.conftest import RunCli
from tests.reliability.conftest import Note
from tests.support.commands import Outputs, assert_succeeded, bottleneck_counts, step_lines
from tests.support.running import HANGS
from tests.support.tolerance import assert_same_graph
from tests.support.undisturbed import N_PHOTOS, RESUMES, Undisturbed, check_whole, checkpoint_step

pytestmark = pytest.mark.slow

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
        f"finished bottleneck was made again; all {lives} final graphs equal, byte for byte, an undisturbed run's on the same "
        "bottlenecks",
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
        for found, path in RESUMES.findall(run.log):
            assert (int(found), path) == (step, str(outputs.checkpoint))
        before, finished = finished, check_whole(undisturbed, outputs)
        assert before.items() <= finished.items()  # Same inode and time: not even written again.
        if not ended:
            killed_in[_phase(run.log, finished.keys() - before.keys())] += 1
        before_step, step = step, checkpoint_step(outputs.checkpoint)
        assert step >= before_step
        if outputs.graph.read_bytes() != EARLIER_GRAPH:
            assert_same_graph(outputs.graph, undisturbed.outputs.graph)
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
        happened="each file that was there was whole, the old or the new; `--resume` continued from the checkpoint to the graph "
        "of a run that was not killed, byte for byte",
    )


def _killing_before_rename(number: int) -> list[str]:
    """Return a program that runs another and kills it just before it renames its n-th file."""
    calls = "rename,renameat,renameat2"
    strace = ["strace", "-qqo", os.devnull, "-e", f"trace={calls}"]  # Of the main thread, which renames all files.
    if not shutil.which("strace") or subprocess.run([*strace, "true"], check=False, capture_output=True).returncode:
        pytest.skip("there is no strace here, or it is not permitted")
    return [*strace, "-e", f"inject={calls}:signal=KILL:when={number}"]


def test_resume_without_a_seed(crash_photos: Path, undisturbed: Undisturbed, run_cli: RunCli, tmp_path: Path, note: Note) -> None:
    """30 steps, then 30 more, are 60 steps."""
    outputs, straight = Outputs(tmp_path / "resumed"), Outputs(tmp_path / "straight")
    cache = f"--bottleneck_dir={undisturbed.outputs.bottlenecks}"

    def train(to: Outputs, n_steps: int, *more: str) -> str:
        flags = [f"--image_dir={crash_photos}", "--architecture=tiny_resnet_128", f"--how_many_training_steps={n_steps}"]
        process = run_cli("retrain", *flags, *to.flags(), cache, *more)
        assert_succeeded(process)
        return process.stderr

    assert f"There is no checkpoint {outputs.checkpoint} yet: training starts from the beginning.\n" in train(
        outputs, 30, "--resume"
    )
    log = train(outputs, 60, "--resume")
    assert f"Training resumes after step 30 of {outputs.checkpoint}.\n" in log
    assert {line.step for line in step_lines(log)} == {30, 40, 50, 59}
    checkpoint = read_checkpoint(str(outputs.checkpoint))
    assert checkpoint
    train(straight, 60, f"--random_seed={checkpoint.random_seed}")
    graph = outputs.graph.read_bytes()
    assert graph == straight.graph.read_bytes()

    outputs.graph.unlink()
    log = train(outputs, 60, "--resume")
    assert f"Training resumes after step 60 of {outputs.checkpoint}.\n" in log
    assert step_lines(log) == [] and outputs.graph.read_bytes() == graph
    note(
        "`--resume` of a run that was given no seed, with twice the steps; and of a run that was done",
        tried=2,
        happened="`Training resumes after step 30`, to the graph of one run of 60 steps with the same seed, byte for byte; "
        "`Training resumes after step 60`: only tested and exported again",
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
