"""Interruptions.

Ctrl-C at any moment ends a command at once, and `--resume` continues its training to the result of a run that nothing disturbed.
"""

import dataclasses
import random
import shutil
import time
from functools import partial
from pathlib import Path

import pytest

from retrain.head.checkpoint import read_checkpoint, write_checkpoint
from tests.reliability.conftest import EVERY, Note
from tests.support.commands import Outputs, bottleneck_counts, entries, step_lines
from tests.support.running import AT_ONCE, Running
from tests.support.undisturbed import (
    N_PHOTOS,
    RESUMES,
    STOPPED_IN_EXTRACTION,
    STOPPED_IN_TRAINING,
    Undisturbed,
    check_whole,
    checkpoint_step,
    has_made,
    run_undisturbed,
)

pytestmark = pytest.mark.slow

ENDED = f"exit code 130 within {AT_ONCE} times the processor time of loading TensorFlow"


def test_ctrl_c_in_extraction(undisturbed: Undisturbed, tmp_path: Path, long: bool, note: Note) -> None:
    rng, tries, outputs, most = random.Random(2), 10 if long else 1, Outputs(tmp_path), 0.0
    for goal in sorted(rng.sample(range(1, N_PHOTOS * 2 // 3), tries)):
        before = check_whole(undisturbed, outputs)
        with undisturbed.start(outputs) as run:
            run.wait_until(partial(has_made, outputs.bottlenecks, max(goal, len(before) + 1)))
            most = max(most, run.interrupt())
        assert (run.process.returncode, most <= AT_ONCE) == (130, True), most
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
        happened=f"{ENDED}: `{STOPPED_IN_EXTRACTION.strip()}`; the next run made the other {N_PHOTOS - kept} of {N_PHOTOS}",
    )


def test_ctrl_c_while_starting(undisturbed: Undisturbed, tmp_path: Path, long: bool, note: Note) -> None:
    """From when numpy is there: in Python's first tenth of a second no program can say anything but Python's own traceback."""
    rng, tries, outputs, most = random.Random(7), 10 if long else 1, Outputs(tmp_path), 0.0
    for _ in range(tries):
        with undisturbed.start(outputs) as run:
            run.wait_until(partial(_has_loaded_numpy, run.process.pid))
            time.sleep(rng.uniform(0, 1.5))
            most = max(most, run.interrupt())
        assert (run.process.returncode, most <= AT_ONCE) == (130, True), most
        assert run.log.endswith(STOPPED_IN_EXTRACTION)
        undisturbed.check_log(run.log)
    check_whole(undisturbed, outputs)
    note(
        "Ctrl-C while Python and TensorFlow are being loaded", tried=tries, happened=f"{ENDED}: `{STOPPED_IN_EXTRACTION.strip()}`"
    )


def _has_loaded_numpy(process_id: int) -> bool:
    return "numpy" in Path(f"/proc/{process_id}/maps").read_text(encoding="utf-8", errors="replace")


def test_ctrl_c_in_training(undisturbed: Undisturbed, tmp_path: Path, long: bool, note: Note) -> None:
    _interrupt_training("Ctrl-C in training, then `--resume`", undisturbed, EVERY, tmp_path, 10 if long else 1, note)


def test_ctrl_c_in_distorted_training(
    undisturbed: Undisturbed, crash_photos: Path, tmp_path: Path, long: bool, note: Note
) -> None:
    if not long:
        pytest.skip("takes long: only with --long")
    n_steps = 40
    steps = [f"--how_many_training_steps={n_steps}", "--eval_step_interval=1", "--train_batch_size=10", "--random_seed=4"]
    distortions = ["--flip_left_right", "--random_crop=10", "--random_scale=10", "--random_brightness=10"]
    flags = [f"--image_dir={crash_photos}", "--architecture=tiny_resnet_128", *steps, *distortions]
    distorted = run_undisturbed(tmp_path / "undisturbed", *flags)
    fault = "Ctrl-C in training with distortions, then `--resume`"
    _interrupt_training(fault, distorted, 1, tmp_path / "disturbed", 10, note)


def test_ctrl_c_while_a_long_training_is_taken_up(undisturbed: Undisturbed, tmp_path: Path, note: Note) -> None:
    """The draws of millions of steps are drawn again before the next step, which takes a while."""
    n_steps, outputs = 5_000_000, Outputs(tmp_path)
    done = read_checkpoint(str(undisturbed.outputs.checkpoint))
    assert done
    write_checkpoint(str(outputs.checkpoint), dataclasses.replace(done, step=n_steps))
    shutil.copytree(undisturbed.outputs.bottlenecks, outputs.bottlenecks)
    with undisturbed.start(outputs, "--resume", f"--how_many_training_steps={n_steps + 1}") as run:
        run.wait_until(lambda: "Training on " in run.log)
        time.sleep(0.3)
        cost = run.interrupt()
    assert (run.process.returncode, cost <= AT_ONCE) == (130, True), cost
    assert STOPPED_IN_TRAINING.findall(run.log) == [str(n_steps)] and step_lines(run.log) == []
    assert checkpoint_step(outputs.checkpoint) == n_steps
    note(f"Ctrl-C while a training of {n_steps:,} steps is taken up", tried=1, happened=f"{ENDED}: `{run.log.splitlines()[-1]}`")


def _interrupt_training(fault: str, undisturbed: Undisturbed, every: int, folder: Path, tries: int, note: Note) -> None:
    """Interrupts at steps further and further on, then lets it come to its end."""
    outputs, step, most, stopped = Outputs(folder), 0, 0.0, ""
    shutil.copytree(undisturbed.outputs.bottlenecks, outputs.bottlenecks)
    last = max(line.step for line in step_lines(undisturbed.log))
    for goal in sorted(random.Random(5).sample(range(every, last * 3 // 4, every), tries)):
        with undisturbed.start(outputs, *(["--resume"] if step else [])) as run:
            run.wait_until(partial(_has_reached, run, goal))
            most = max(most, run.interrupt())
        assert (run.process.returncode, most <= AT_ONCE) == (130, True), most
        undisturbed.check_log(run.log)
        if step:
            assert RESUMES.findall(run.log) == [(str(step), str(outputs.checkpoint))]
        stopped = run.log.splitlines()[-1]
        step = int(STOPPED_IN_TRAINING.findall(stopped)[0])
        assert step > goal and step == checkpoint_step(outputs.checkpoint)
        assert not outputs.graph.exists()
    with undisturbed.start(outputs, "--resume") as run:
        assert run.end() == 0, run.log
    assert f"Training resumes after step {step} of {outputs.checkpoint}.\n" in run.log
    assert min(line.step for line in step_lines(run.log)) >= step
    undisturbed.check_same_end(outputs)
    note(
        fault,
        tried=tries,
        happened=f"{ENDED}: `{stopped}`; then "
        f"`Training resumes after step {step}`, to the undisturbed run's graph, byte for byte",
    )


def _has_reached(run: Running, step: int) -> bool:
    whole_lines = run.log[: run.log.rfind("\n") + 1]
    return any(line.step >= step for line in step_lines(whole_lines))
