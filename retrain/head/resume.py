"""How far the training is, kept in its checkpoint, so that an interrupted one can be gone on with."""

import contextlib
import json
import logging
import time
from collections.abc import Iterator
from typing import Any

from retrain.errors import CheckpointError, OutputError, RetrainError
from retrain.head.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from retrain.head.trainer import Trainer

logger = logging.getLogger("retrain")

SAVE_EVERY_SECONDS = 5.0


class Progress:
    """The steps done of a training, and its checkpoint.

    Attributes:
        random_seed: of the whole run.
        steps_done: by earlier runs too.
    """

    def __init__(self, checkpoint_path: str, random_seed: int, identity: dict[str, Any]) -> None:
        """
        Args:
            checkpoint_path: prefix of the checkpoint's files.
            random_seed: of the whole run.
            identity: what must be the same for a training to be gone on with, by name; fit for JSON.
        """
        self.random_seed = random_seed
        self.steps_done = 0
        self._path, self._identity = checkpoint_path, identity
        self._earlier: Checkpoint | None = None
        self._trainer: Trainer | None = None
        self._saved_steps: int | None = None
        self._saved_at = time.monotonic()

    @classmethod
    def resume(cls, checkpoint_path: str, identity: dict[str, Any]) -> "Progress | None":
        """What an earlier run of the same training left; None where there is no checkpoint.

        Raises:
            CheckpointError: the checkpoint is damaged, or is of another training.
        """
        earlier = read_checkpoint(checkpoint_path)
        if earlier is None:
            logger.info("There is no checkpoint %s yet: training begins at its start.", checkpoint_path)
            return None
        theirs = json.loads(earlier.identity)
        differing = [name for name, value in identity.items() if theirs.get(name) != value]
        if differing:
            raise CheckpointError(
                f"The checkpoint {checkpoint_path} (--checkpoint_path) is of another training: {', '.join(differing)} differ. "
                "Name the checkpoint of this one, or leave --resume out to train from the start."
            )
        progress = cls(checkpoint_path, earlier.random_seed, identity)
        progress.steps_done, progress._earlier = earlier.step, earlier
        logger.info("Training goes on after step %d of %s.", earlier.step, checkpoint_path)
        return progress

    def attach(self, trainer: Trainer) -> None:
        """Says who trains the head; it goes on from the checkpoint, if there is one."""
        self._trainer = trainer
        if self._earlier:
            trainer.load(self._earlier.variables, self._earlier.state)

    def after_step(self, step: int) -> None:
        """Counts a step, and every few seconds saves the head."""
        self.steps_done = step + 1
        if time.monotonic() - self._saved_at > SAVE_EVERY_SECONDS:
            self.keep()

    def keep(self) -> None:
        """Saves the head as it is. If that fails, the training is not to be lost for it."""
        try:
            self.save()
        except OutputError as error:
            logger.warning("%s Training goes on.", error)
        self._saved_at = time.monotonic()

    def save(self) -> None:
        """Writes the checkpoint. Raises OutputError."""
        assert self._trainer is not None, "attach() comes first"
        checkpoint = Checkpoint(
            self._trainer.head.variables, self.steps_done, self.random_seed, json.dumps(self._identity), self._trainer.state()
        )
        write_checkpoint(self._path, checkpoint)
        self._saved_steps, self._saved_at = self.steps_done, time.monotonic()

    @contextlib.contextmanager
    def kept_if_interrupted(self, remark: str = "") -> Iterator[None]:
        """Saves the head if what is done within it does not come to its end, and says how to go on, and the remark."""
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
        """How to go on from what was saved."""
        if self._saved_steps != self.steps_done:
            return "Finished bottlenecks are kept: run the same command again."
        return f"Run the same command with --resume to go on after step {self.steps_done}."

    def _save_if_possible(self) -> None:
        with contextlib.suppress(OutputError):
            if self.steps_done:
                self.save()
