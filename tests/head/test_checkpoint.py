"""Checkpoints: the original's variables, written atomically, and read again to resume from."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from retrain.errors import CheckpointError, OutputError
from retrain.head.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from retrain.head.model import SoftmaxHead
from retrain.head.resume import Checkpointer, open_checkpointer
from retrain.head.trainer import Trainer
from retrain.options.checkpoint import CheckpointOptions
from retrain.options.head import HeadOptions

FILES = ["head.data-00000-of-00001", "head.index"]


def example(step: int = 4000) -> Checkpoint:
    rng = np.random.default_rng(step)
    weights, biases = rng.normal(size=(512, 5)).astype(np.float32), rng.normal(size=5).astype(np.float32)
    return Checkpoint([weights, biases], step, random_seed=2**32 - 1, identity='{"labels": ["Käse"]}')


def same(one: Checkpoint | None, other: Checkpoint) -> bool:
    assert one is not None
    rest = (one.step, one.random_seed, one.identity) == (other.step, other.random_seed, other.identity)
    same_state = one.state.keys() == other.state.keys() and all(np.array_equal(one.state[k], other.state[k]) for k in one.state)
    return rest and same_state and all(map(np.array_equal, one.variables, other.variables))


def test_tensorflow_finds_the_originals_variables(tmp_path: Path) -> None:
    prefix = str(tmp_path / "new folder" / "_retrain_checkpoint")
    write_checkpoint(prefix, example())
    reader = tf.train.load_checkpoint(prefix)
    shapes = reader.get_variable_to_shape_map()
    assert shapes.pop("retrain/random_seed") == shapes.pop("retrain/identity") == []
    assert shapes == {
        "final_training_ops/weights/final_weights": [512, 5],
        "final_training_ops/biases/final_biases": [5],
        "global_step": [],
    }
    np.testing.assert_array_equal(reader.get_tensor("final_training_ops/weights/final_weights"), example().variables[0])
    np.testing.assert_array_equal(reader.get_tensor("final_training_ops/biases/final_biases"), example().variables[1])
    assert reader.get_tensor("global_step") == 4000


def test_what_was_written_is_read_and_nothing_else_is_left(tmp_path: Path) -> None:
    for step in (1, 2):
        write_checkpoint(str(tmp_path / "head"), example(step))
        assert sorted(os.listdir(tmp_path)) == FILES
        assert same(read_checkpoint(str(tmp_path / "head")), example(step))


def test_where_there_is_none(tmp_path: Path) -> None:
    assert read_checkpoint(str(tmp_path / "head")) is None
    assert read_checkpoint(str(tmp_path / "no folder" / "head")) is None


def test_a_run_killed_between_the_two_renames(tmp_path: Path) -> None:
    prefix = str(tmp_path / "head")
    write_checkpoint(prefix, example(1))
    write_checkpoint(str(tmp_path / "other"), example(2))
    os.rename(tmp_path / "other.data-00000-of-00001", tmp_path / "head.data-00000-of-00001")
    os.rename(tmp_path / "other.index", tmp_path / "head-new.index")
    assert same(read_checkpoint(prefix), example(2))
    assert sorted(os.listdir(tmp_path)) == FILES


def test_a_run_killed_before_the_two_renames(tmp_path: Path) -> None:
    prefix = str(tmp_path / "head")
    write_checkpoint(prefix, example(1))
    write_checkpoint(f"{prefix}-new", example(2))
    assert same(read_checkpoint(prefix), example(1))
    write_checkpoint(prefix, example(3))
    assert same(read_checkpoint(prefix), example(3))
    assert sorted(os.listdir(tmp_path)) == FILES


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["emptied", "cut", "overwritten", "gone"])
def test_a_damaged_checkpoint_is_an_error_that_says_what_to_do(tmp_path: Path, name: str, damage: str) -> None:
    prefix = str(tmp_path / "head")
    write_checkpoint(prefix, example())
    content = (tmp_path / name).read_bytes()
    if damage == "gone" and name == "head.index":
        pytest.skip("without its index a checkpoint is not there at all")
    damaged = {"emptied": b"", "cut": content[: len(content) // 2], "overwritten": b"x" * len(content), "gone": None}[damage]
    (tmp_path / name).unlink() if damaged is None else (tmp_path / name).write_bytes(damaged)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(prefix)
    assert str(caught.value) == (
        f"The checkpoint {prefix} (--checkpoint_path) is damaged, or was not written by this tool: it cannot be resumed. Leave "
        "--resume out to train from the start."
    )
    assert caught.value.exit_code == 2


def test_a_checkpoint_of_the_original_holds_nothing_to_go_on_from(tmp_path: Path) -> None:
    prefix, about = str(tmp_path / "head"), example()
    names = ["final_training_ops/weights/final_weights", "final_training_ops/biases/final_biases"]
    tf.raw_ops.SaveV2(prefix=prefix, tensor_names=names, shape_and_slices=["", ""], tensors=about.variables)
    with pytest.raises(CheckpointError, match="was not written by this tool"):
        read_checkpoint(prefix)


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError) as caught:
        write_checkpoint(str(tmp_path / "file" / "head"), example())
    reason = "(File exists). Make room, or give another place."
    assert str(caught.value) == f"--checkpoint_path {tmp_path}/file/head cannot be written {reason}"


def test_what_tensorflow_left_behind_is_removed_after_an_hour(tmp_path: Path) -> None:
    names = ["head-new.index.tempstate123", "head-new.data-00000-of-00001.tempstate9", "head.index.tempstate1", "a.tempstate2"]
    for name in names:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - 3700,) * 2)
    write_checkpoint(str(tmp_path / "head"), example())
    assert sorted(os.listdir(tmp_path)) == sorted([*FILES, "head.index.tempstate1", "a.tempstate2"]), "only what is surely ours"


# Resuming


IDENTITY = {"image_dir": "flowers", "labels": ["a", "b"], "network": "1"}


def trainer_of(seed: int, **options: Any) -> Trainer:
    chosen = HeadOptions(**options)
    head = SoftmaxHead(4, 2, np.random.default_rng(seed), chosen.hidden_units)
    return Trainer(chosen, ["a", "b"], np.array([3, 3]), head, random_seed=7)


def checkpointer_of(folder: Path, steps: int, seed: int = 7) -> tuple[Checkpointer, SoftmaxHead]:
    checkpointer, trainer = Checkpointer(str(folder / "head"), seed, IDENTITY), trainer_of(0)
    assert checkpointer.restore(trainer) == 0
    for step in range(steps):
        checkpointer.count(step)
        checkpointer.save_if_due()
    return checkpointer, trainer.head


def reopened(folder: Path, identity: dict[str, Any] = IDENTITY, n_steps: int = 100, **options: Any) -> Checkpointer:
    chosen = CheckpointOptions(checkpoint_path=str(folder / "head"), resume=True, **options)
    return open_checkpointer(chosen, identity, n_steps)


def test_a_training_is_resumed(tmp_path: Path, logged: list[str]) -> None:
    checkpointer, head = checkpointer_of(tmp_path, steps=12)
    checkpointer.save()
    again = reopened(tmp_path)
    assert (again.steps_done, again.random_seed) == (12, 7)
    other = trainer_of(1)
    assert again.restore(other) == 12
    np.testing.assert_array_equal(other.head.weights, head.weights)
    np.testing.assert_array_equal(other.head.biases, head.biases)
    assert logged == [f"INFO: Training resumes after step 12 of {tmp_path}/head."]


def test_without_resume_an_existing_checkpoint_is_ignored(tmp_path: Path, logged: list[str]) -> None:
    checkpointer_of(tmp_path, steps=3)[0].save()
    options = CheckpointOptions(checkpoint_path=str(tmp_path / "head"), random_seed=5)
    checkpointer = open_checkpointer(options, IDENTITY, 100)
    assert (checkpointer.steps_done, checkpointer.random_seed) == (0, 5)
    assert logged == []


def test_without_a_checkpoint_training_starts_from_the_beginning(tmp_path: Path, logged: list[str]) -> None:
    assert reopened(tmp_path, random_seed=9).random_seed == 9
    assert logged == [f"INFO: There is no checkpoint {tmp_path}/head yet: training starts from the beginning."]


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    checkpointer_of(tmp_path, steps=1)[0].save()
    with pytest.raises(CheckpointError) as caught:
        reopened(tmp_path, {**IDENTITY, "labels": ["a", "c"], "network": "2"})
    assert str(caught.value) == (
        f"The checkpoint {tmp_path}/head (--checkpoint_path) belongs to another training: labels, network differ. Name the "
        "checkpoint of this one, or leave --resume out to train from the start."
    )


def test_the_head_is_saved_every_few_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    checkpointer, _ = checkpointer_of(tmp_path, steps=0)
    saved = []
    for step in range(24):  # A second each.
        now[0] += 1
        checkpointer.count(step)
        checkpointer.save_if_due()
        checkpoint = read_checkpoint(str(tmp_path / "head"))
        saved.append(checkpoint.step if checkpoint else 0)
    assert sorted(set(saved)) == [0, 6, 12, 18, 24]


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    monkeypatch.setattr("retrain.head.resume.SAVE_EVERY_SECONDS", -1.0)
    (tmp_path / "head.index").mkdir()
    checkpointer, _ = checkpointer_of(tmp_path, steps=2)
    assert checkpointer.steps_done == 2
    assert logged[0].startswith(f"WARNING: --checkpoint_path {tmp_path}/head cannot be written (Is a directory). Make room, ")
    assert logged[0].endswith(" Training continues.")


@pytest.mark.parametrize(
    "interrupt", [KeyboardInterrupt(), OSError(28, "No space left on device", "events"), ZeroDivisionError()]
)
def test_an_interrupted_training_is_kept(tmp_path: Path, interrupt: BaseException) -> None:
    checkpointer, _ = checkpointer_of(tmp_path, steps=3)
    with pytest.raises(BaseException) as caught, checkpointer.saved_if_interrupted():
        raise interrupt
    advice = "Run the same command with --resume to continue after step 3."
    expected = {
        KeyboardInterrupt: f"Stopped. {advice}",
        OSError: f"events cannot be written (No space left on device).\n{advice}",
    }
    assert str(caught.value) == expected.get(type(interrupt), "")
    checkpoint = read_checkpoint(str(tmp_path / "head"))
    assert checkpoint is not None
    assert checkpoint.step == 3


def test_before_the_first_step_there_is_nothing_to_keep(tmp_path: Path) -> None:
    checkpointer, _ = checkpointer_of(tmp_path, steps=0)
    with pytest.raises(KeyboardInterrupt) as caught, checkpointer.saved_if_interrupted():
        raise KeyboardInterrupt
    assert str(caught.value) == "Stopped. Finished bottlenecks are kept: run the same command again."
    assert os.listdir(tmp_path) == []
