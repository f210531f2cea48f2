"""The training loop of the head, with real batches, event files and checkpoints."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrain.head.batches import Batches
from retrain.head.checkpoint import read_checkpoint
from retrain.head.dataset import Dataset
from retrain.head.loop import train_head
from retrain.head.model import SoftmaxHead
from retrain.head.monitor import Monitor
from retrain.head.resume import Checkpointer
from retrain.head.trainer import Trainer
from retrain.options.head import HeadOptions
from retrain.process.timing import Timings

D, N_CLASSES = 6, 2


def dataset(n_validation: int) -> Dataset:
    rng = np.random.default_rng(0)
    classes = np.arange(20) % N_CLASSES
    values = rng.normal(classes[:, np.newaxis], 1, (20, D)).astype(np.float32)
    indices = np.argsort(classes, kind="stable")
    validation = indices[:n_validation]
    members = {"training": indices[n_validation:], "validation": validation, "testing": indices[:0]}
    return Dataset(values, classes, members, N_CLASSES)


def run(folder: Path, n_validation: int, **options: Any) -> tuple[Trainer, Checkpointer, list[int]]:
    """Train a head; return the steps after which `after_step` was called, too."""
    chosen = HeadOptions(how_many_training_steps=30, train_batch_size=4, **options)
    data, steps = dataset(n_validation), list[int]()
    batches = Batches(chosen, data, {split: np.random.default_rng(1) for split in data.members})
    head = SoftmaxHead(D, N_CLASSES, np.random.default_rng(2), chosen.hidden_units)
    trainer = Trainer(chosen, ["a", "b"], data.class_counts("training"), head, random_seed=3)
    checkpointer = Checkpointer(str(folder / "head"), 3, {})
    first_step = checkpointer.restore(trainer)
    with Monitor(head, batches.validation, str(folder / "summaries"), Timings()) as monitor:
        train_head(trainer, batches.training(first_step), monitor, checkpointer, steps.append)
    return trainer, checkpointer, steps


def test_every_step_is_counted(tmp_path: Path) -> None:
    _, checkpointer, steps = run(tmp_path, n_validation=6)
    assert checkpointer.steps_done == 30
    assert steps == list(range(30))


def test_a_checkpoint_holds_the_evaluation_of_its_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else early stopping would miss that evaluation when the training is resumed."""
    monkeypatch.setattr("retrain.head.resume.SAVE_EVERY_SECONDS", -1.0)  # After each step.
    trainer, _, _ = run(tmp_path, n_validation=6, eval_step_interval=29, early_stopping=3)
    checkpoint = read_checkpoint(str(tmp_path / "head"))
    assert checkpoint is not None
    assert checkpoint.step == 30
    expected = [trainer.early_stopping.best_loss, trainer.early_stopping.n_worse]
    assert checkpoint.state["early_stopping"].tolist() == expected
    assert np.isfinite(expected).all()


def test_without_validation_images_training_does_not_stop_early(tmp_path: Path) -> None:
    trainer, checkpointer, _ = run(tmp_path, n_validation=0, eval_step_interval=1, early_stopping=2)
    assert checkpointer.steps_done == 30
    assert not trainer.early_stopping.should_stop


def test_a_diverged_hidden_layer_is_reported(tmp_path: Path, logged: list[str]) -> None:
    run(tmp_path, n_validation=6, learning_rate=1e30, hidden_units=(4,))
    assert "WARNING: The training has diverged: the head's weights are not finite. Lower --learning_rate." in logged
