"""Checkpoints during training, so that an interrupted training can be resumed."""

import contextlib
import json
import logging
import secrets
import time
from collections.abc import Iterator
from typing import Any

from retrain.errors import CheckpointError, FlagError, OutputError, RetrainError
from retrain.head.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from retrain.head.trainer import Trainer
from retrain.options.checkpoint import CheckpointOptions

logger = logging.getLogger("retrain")

SAVE_EVERY_SECONDS = 5.0
IMAGES = "images"  # In a training's identity: the digest of its photos and their sets.


class Checkpointer:
    """Writer of a training's checkpoints, and the checkpoint that it resumes from.

    Attributes:
        random_seed: of the whole run.
        steps_done: number of steps done, by earlier runs too.
    """

    def __init__(self, path: str, random_seed: int, identity: dict[str, Any], earlier: Checkpoint | None = None) -> None:
        """Make a checkpointer; `open_checkpointer` makes one for the options of a run.

        Args:
            path: prefix of the checkpoint's files.
            random_seed: of the whole run.
            identity: settings, by name, that must match for a training to be resumed; fit for JSON.
            earlier: the checkpoint to resume from.
        """
        self.random_seed = random_seed
        self.steps_done = earlier.step if earlier else 0
        self._path, self._identity, self._earlier = path, identity, earlier
        self._trainer: Trainer | None = None
        self._saved_steps: int | None = None
        self._saved_at = time.monotonic()

    def restore(self, trainer: Trainer) -> int:
        """Restore the trainer from the earlier checkpoint, if there is one, and save this trainer from now on.

        Returns:
            The number of steps that earlier runs have done.
        """
        self._trainer = trainer
        if self._earlier:
            trainer.load(self._earlier.variables, self._earlier.state)
        return self.steps_done

    def count(self, step: int) -> None:
        """Count a step as done."""
        self.steps_done = step + 1

    def save_if_due(self) -> None:
        """Save the head every few seconds. To be called after the evaluation of a step, which is a part of the state."""
        if time.monotonic() - self._saved_at > SAVE_EVERY_SECONDS:
            self.try_to_save()

    def try_to_save(self) -> None:
        """Write the checkpoint. If that fails, warn: the training continues."""
        try:
            self.save()
        except OutputError as error:
            logger.warning("%s Training continues.", error)
        self._saved_at = time.monotonic()

    def save(self) -> None:
        """Write the checkpoint. Raises OutputError."""
        assert self._trainer is not None, "restore() comes first"
        checkpoint = Checkpoint(
            self._trainer.head.variables, self.steps_done, self.random_seed, json.dumps(self._identity), self._trainer.state()
        )
        write_checkpoint(self._path, checkpoint)
        self._saved_steps, self._saved_at = self.steps_done, time.monotonic()

    @contextlib.contextmanager
    def saved_if_interrupted(self, remark: str = "") -> Iterator[None]:
        """Save the head if the block is interrupted or fails; the error then says how to resume, followed by the remark."""
        try:
            yield
        except KeyboardInterrupt:
            self._save_if_possible()
            raise KeyboardInterrupt(f"Stopped. {self.advice()} {remark}".rstrip()) from None
        except OSError as error:
            self._save_if_possible()
            raise RetrainError(f"{error.filename} cannot be written ({error.strerror}).\n{self.advice()}") from error
        except BaseException:
            self._save_if_possible()
            raise

    def advice(self) -> str:
        """Return a sentence that says how to resume from what was saved."""
        if self._saved_steps != self.steps_done:
            return "Finished bottlenecks are kept: run the same command again."
        return f"Run the same command with --resume to continue after step {self.steps_done}."

    def _save_if_possible(self) -> None:
        with contextlib.suppress(OutputError):
            if self.steps_done:
                self.save()


def open_checkpointer(options: CheckpointOptions, identity: dict[str, Any], n_steps: int) -> Checkpointer:
    """Return the checkpointer of a training; with `resume`, it resumes from the checkpoint if there is one.

    Args:
        options: the checkpoint's path, whether to resume, and the seed.
        identity: settings, by name, that must match for a training to be resumed; fit for JSON.
        n_steps: number of steps of the whole training.

    Raises:
        CheckpointError: the checkpoint is damaged, or belongs to another training.
        FlagError: the checkpoint's training has another seed, or more steps.
    """
    path = options.checkpoint_path
    earlier = _find(path, identity) if options.resume else None
    if earlier is None:
        seed = secrets.randbits(32) if options.random_seed is None else options.random_seed
        return Checkpointer(path, seed, identity)
    if options.random_seed not in (None, earlier.random_seed):
        raise FlagError(
            f"--random_seed must be {earlier.random_seed}, that of the training in {path}, or be left out. "
            f"Got {options.random_seed}."
        )
    if n_steps < earlier.step:
        raise FlagError(
            f"--how_many_training_steps must be at least {earlier.step}, the steps already done by the training in {path}. "
            f"Got {n_steps}."
        )
    logger.info("Training resumes after step %d of %s.", earlier.step, path)
    return Checkpointer(path, earlier.random_seed, identity, earlier)


def _find(path: str, identity: dict[str, Any]) -> Checkpoint | None:
    earlier = read_checkpoint(path)
    if earlier is None:
        logger.info("There is no checkpoint %s yet: training starts from the beginning.", path)
        return None
    theirs = json.loads(earlier.identity)
    differing = [name for name, value in identity.items() if name != IMAGES and theirs.get(name) != value]
    # Another folder or another split implies other sets. Checkpoints of earlier versions do not know theirs.
    if not differing and IMAGES in theirs and theirs[IMAGES] != identity.get(IMAGES):
        differing = [IMAGES]
    if differing:
        raise CheckpointError(
            f"The checkpoint {path} (--checkpoint_path) belongs to another training: {', '.join(differing)} differ. "
            "Name the checkpoint of this one, or leave --resume out to train from the start."
        )
    return earlier
