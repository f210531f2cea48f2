"""Monitoring of fine-tuning: evaluations, log lines and summaries, and the choice of the weights to keep."""

import datetime
import logging
import math
import os

from retrain.arrays import FloatArray, IndexArray
from retrain.evaluation.metrics import accuracy, cross_entropy, softmax
from retrain.fine_tuning.session import FineTuningSession, Weights
from retrain.head.model import SoftmaxHead
from retrain.options.fine_tuning import FineTuningOptions
from retrain.process.terminal import STEP_LOG
from retrain.tensorboard.events import SummaryWriter, activation_histograms, clear_summaries_dir

logger = logging.getLogger("retrain")
step_logger = logging.getLogger(STEP_LOG)


class FineTuningMonitor:
    """Evaluates the network every few steps, and keeps the best weights. Use as a context manager: it closes its files.

    Attributes:
        best, best_step, best_accuracy: the weights to keep, the number of steps before them, and their validation accuracy.
        train_accuracy, last_accuracy: of the last evaluation, the latter on the validation images; None before the first.
    """

    def __init__(
        self, session: FineTuningSession, head: SoftmaxHead, validation: tuple[FloatArray, IndexArray], options: FineTuningOptions
    ) -> None:
        """Open the event files, in the folders `fine_tuning_train` and `fine_tuning_validation`.

        Args:
            session: the network in training.
            head: as it was before fine-tuning.
            validation: images, float32 [N, H, W, 3], and classes, int64 [N]; N may be 0.
            options: of fine-tuning.
        """
        self._session, self._validation, self._options = session, validation, options
        self._writers = {}
        for name in ("train", "validation"):
            folder = os.path.join(options.summaries_dir, f"fine_tuning_{name}")
            clear_summaries_dir(folder)  # A resumed run starts fine-tuning again: an earlier one may have left files.
            self._writers[name] = SummaryWriter(folder)
        self.best = Weights(session.weights().network, head.layers)
        self.best_step = 0
        self.best_accuracy: float | None = None
        self.train_accuracy: float | None = None
        self.last_accuracy: float | None = None
        self._first_accuracy, self._least_entropy = 0.0, math.inf
        self._n_steps = 0

    def __enter__(self) -> "FineTuningMonitor":
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def after_step(self, step: int, logits: FloatArray, classes: IndexArray) -> None:
        """Evaluate every few steps. The logits, float32 [B, C], are those of the batch just trained on, before the step."""
        self._n_steps = step + 1
        if step % self._options.eval_step_interval and self._n_steps < self._options.fine_tune_steps:
            return
        self.train_accuracy, _ = self._measure("train", step, logits, classes)
        _log(f"Fine-tuning step {step}: Train accuracy = {self.train_accuracy:.1%}")
        self.evaluate(step + 1)

    def evaluate(self, n_steps: int) -> None:
        """Evaluate on the validation images, after `n_steps` steps."""
        images, classes = self._validation
        if not len(classes):
            return
        share, entropy = self._measure("validation", max(0, n_steps - 1), self._session.logits(images), classes)
        when = f"step {n_steps - 1}" if n_steps else "begins"
        _log(f"Fine-tuning {when}: Validation accuracy = {share:.1%} (N={len(classes)})")
        self.last_accuracy = share
        if not n_steps:
            self._first_accuracy = share
        # With few images many steps have the same accuracy; the cross entropy then tells which is better.
        if self.best_accuracy is None or (share, -entropy) > (self.best_accuracy, -self._least_entropy):
            self.best_accuracy, self._least_entropy, self.best_step = share, entropy, n_steps
            self.best = self._session.weights() if n_steps else self.best

    def finish(self) -> None:
        """Keep the weights as they are, unless they are worse than those before the first step."""
        if self._n_steps == self._options.fine_tune_steps and (self.last_accuracy or 0) >= self._first_accuracy:
            self.best, self.best_step = self._session.weights(), self._n_steps
            self.best_accuracy = self.last_accuracy

    def _measure(self, name: str, step: int, logits: FloatArray, classes: IndexArray) -> tuple[float, float]:
        share, entropy = accuracy(logits, classes), cross_entropy(logits, classes)
        histograms = activation_histograms(logits, softmax(logits))
        self._writers[name].add_step(step, {"accuracy_1": share, "cross_entropy_1": entropy}, histograms)
        return share, entropy


def _log(text: str) -> None:
    step_logger.info("%s: %s", datetime.datetime.now(), text)
