"""What a user sees of fine-tuning while it runs, and which weights are kept of it."""

import datetime
import logging
import math
import os
from dataclasses import dataclass

from retrain.arrays import FloatArray, IndexArray
from retrain.evaluation.metrics import accuracy, cross_entropy
from retrain.evaluation.tensorboard import SummaryWriter, clear_summaries_dir
from retrain.fine_tuning.session import Tuner, Weights
from retrain.head.model import SoftmaxHead

logger = logging.getLogger("retrain")


@dataclass(frozen=True)
class Plan:
    """How to fine-tune.

    Attributes:
        n_steps: how many steps.
        learning_rate: the highest.
        eval_step_interval: in steps.
        summaries_dir: gets the folders `fine_tuning_train` and `fine_tuning_validation`.
        random_seed: of dropout.
    """

    n_steps: int
    learning_rate: float
    eval_step_interval: int
    summaries_dir: str
    random_seed: int


class Watch:
    """Evaluates now and then, logs it, and remembers the best weights. A context manager: it closes its files.

    Attributes:
        best, best_step, best_accuracy: the weights to keep, after how many steps, and their accuracy on the validation images.
        train_accuracy: of the last evaluation.
    """

    def __init__(self, tuner: Tuner, head: SoftmaxHead, validation: tuple[FloatArray, IndexArray], plan: Plan) -> None:
        self._tuner, self._validation, self._plan = tuner, validation, plan
        self._writers = {}
        for name in ("train", "validation"):
            folder = os.path.join(plan.summaries_dir, f"fine_tuning_{name}")
            clear_summaries_dir(folder)  # With --resume an earlier fine-tuning may have left files there; it begins anew.
            self._writers[name] = SummaryWriter(folder)
        self.best = Weights(tuner.weights().network, head.layers)
        self.best_step = 0
        self.best_accuracy: float | None = None
        self.train_accuracy: float | None = None
        self._first_accuracy, self._last_accuracy, self._least_entropy = 0.0, 0.0, math.inf
        self._n_steps = 0

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def after_step(self, step: int, logits: FloatArray, classes: IndexArray) -> None:
        """Evaluates if it is time. The logits, float32 [B, C], are those of the batch just trained on, before the step."""
        self._n_steps = step + 1
        if step % self._plan.eval_step_interval and self._n_steps < self._plan.n_steps:
            return
        self.train_accuracy, _ = self._measure("train", step, logits, classes)
        _log(f"Fine-tuning step {step}: Train accuracy = {self.train_accuracy:.1%}")
        self.evaluate(step + 1)

    def evaluate(self, n_steps: int) -> None:
        """On the validation images, after so many steps."""
        images, classes = self._validation
        if not len(classes):
            return
        right, entropy = self._measure("validation", max(0, n_steps - 1), self._tuner.logits(images), classes)
        when = f"step {n_steps - 1}" if n_steps else "begins"
        _log(f"Fine-tuning {when}: Validation accuracy = {right:.1%} (N={len(classes)})")
        self._last_accuracy = right
        if not n_steps:
            self._first_accuracy = right
        # Of few images many steps label equally many right; the lower entropy is the surer sign then.
        if self.best_accuracy is None or (right, -entropy) > (self.best_accuracy, -self._least_entropy):
            self.best_accuracy, self._least_entropy, self.best_step = right, entropy, n_steps
            self.best = self._tuner.weights() if n_steps else self.best

    def finish(self) -> None:
        """Settles what is kept: the weights as they are, unless they are worse than those at the beginning."""
        if self._n_steps == self._plan.n_steps and self._last_accuracy >= self._first_accuracy:
            self.best, self.best_step = self._tuner.weights(), self._n_steps
            self.best_accuracy = self._last_accuracy if len(self._validation[1]) else None

    def diverged(self, step: int) -> None:
        """Says so."""
        logger.warning("Fine-tuning has diverged at step %d. Lower --fine_tune_learning_rate.", step)

    def _measure(self, name: str, step: int, logits: FloatArray, classes: IndexArray) -> tuple[float, float]:
        right, entropy = accuracy(logits, classes), cross_entropy(logits, classes)
        self._writers[name].add_step(step, {"accuracy_1": right, "cross_entropy_1": entropy}, {}, logits)
        return right, entropy


def _log(text: str) -> None:
    logger.info("%s: %s", datetime.datetime.now(), text)
