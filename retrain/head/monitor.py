"""Monitoring of the head's training: evaluations, log lines and TensorBoard summaries, every few steps."""

import datetime
import logging
import math
import os
from collections.abc import Callable
from types import TracebackType

from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import HistogramProto

from retrain.arrays import FloatArray, Targets
from retrain.evaluation.metrics import accuracy, cross_entropy
from retrain.head.model import SoftmaxHead
from retrain.head.overfitting import Measured, gap_warning, rise_warning
from retrain.process.terminal import STEP_LOG
from retrain.process.timing import Timings
from retrain.tensorboard.events import SummaryWriter, activation_histograms, histogram

logger = logging.getLogger("retrain")
step_logger = logging.getLogger(STEP_LOG)


class Monitor:
    """Evaluates the head while it is trained. Use as a context manager: it closes its files.

    Attributes:
        train_accuracy, validation_accuracy: of the last evaluation, 0 to 1; None before the first, or without images.
        validation_cross_entropy: of the last evaluation, in nats; infinite before the first, or without images.
        history: all evaluations so far.
        warnings: those of overfitting, once it was looked for.
    """

    def __init__(
        self,
        head: SoftmaxHead,
        validation_batch: Callable[[], tuple[FloatArray, Targets]],
        summaries_dir: str,
        timings: Timings,
        first_step: int = 0,
    ) -> None:
        """Open the event files.

        Args:
            head: evaluated as it is at each step.
            validation_batch: draws float32 [B, D] and int64 [B]; an empty batch if there are no validation images.
            summaries_dir: gets the folders `train` and `validation`.
            timings: gets the time of the evaluations, as the phase `evaluation`.
            first_step: number of steps done by an earlier run.
        """
        self._head = head
        self._validation_batch, self._timings = validation_batch, timings
        self._train = SummaryWriter(os.path.join(summaries_dir, "train"), first_step)
        self._validation = SummaryWriter(os.path.join(summaries_dir, "validation"), first_step)
        self.train_accuracy: float | None = None
        self.validation_accuracy: float | None = None
        self.validation_cross_entropy = math.inf
        self.history: list[Measured] = []
        self.warnings: list[str] = []
        self._n_evaluated = 0

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._train.close()
        self._validation.close()

    def add_graph(self, graph_def: GraphDef) -> None:
        """Show the graph in TensorBoard."""
        self._train.add_graph(graph_def)

    def warn_of_overfitting(self, n_validation: int, stops_early: bool) -> None:
        """Warn if the evaluations show overfitting; `n_validation` is the number of images in the validation set."""
        drawn = self._n_evaluated != n_validation
        warnings = [gap_warning(self.history, n_validation), "" if stops_early else rise_warning(self.history, drawn)]
        self.warnings = [text for text in warnings if text]
        for text in self.warnings:
            logger.warning("%s", text)

    def evaluate(self, step: int, bottlenecks: FloatArray, classes: Targets) -> None:
        """Evaluate, log and write summaries; the batch, float32 [B, D] and int64 [B], is the one just trained on."""
        with self._timings.phase("evaluation", "images") as phase:
            phase.count += self._evaluate(step, bottlenecks, classes)

    def _evaluate(self, step: int, bottlenecks: FloatArray, classes: Targets) -> int:
        """Return the number of images."""
        n_images = len(classes)
        measures, histograms = head_measures(self._head), head_histograms(self._head)

        def measure(writer: SummaryWriter) -> tuple[float, float]:
            logits = self._head.logits(bottlenecks)
            share, loss = accuracy(logits, classes), cross_entropy(logits, classes)
            activations = activation_histograms(logits, self._head.probabilities(logits))
            writer.add_step(step, {"accuracy_1": share, "cross_entropy_1": loss, **measures}, {**histograms, **activations})
            return share, loss

        self.train_accuracy, loss = measure(self._train)
        _log(f"Step {step}: Train accuracy = {self.train_accuracy:.1%}")
        _log(f"Step {step}: Cross entropy = {loss:f}")
        bottlenecks, classes = self._validation_batch()
        self._n_evaluated = len(classes)
        if len(classes):
            self.validation_accuracy, self.validation_cross_entropy = measure(self._validation)
            _log(f"Step {step}: Validation accuracy = {self.validation_accuracy:.1%} (N={len(classes)})")
        validation = self.validation_cross_entropy if len(classes) else None
        self.history.append(Measured(step, self.train_accuracy, loss, self.validation_accuracy, validation))
        return n_images + len(classes)


def head_measures(head: SoftmaxHead) -> dict[str, float]:
    """Return the mean, standard deviation, maximum and minimum of the weights and of the biases of each layer, by tag."""
    measures = {}
    for name, values in _variables(head).items():
        prefix = f"final_training_ops/{name}/summaries"
        measures[f"{prefix}/mean_1"] = float(values.mean())
        measures[f"{prefix}/stddev_1"] = float(values.std())
        measures[f"{prefix}/max_1"] = float(values.max())
        measures[f"{prefix}/min_1"] = float(values.min())
    return measures


def head_histograms(head: SoftmaxHead) -> dict[str, HistogramProto]:
    """Return histograms of the weights and of the biases of each layer, by tag."""
    return {f"final_training_ops/{name}/summaries/histogram": histogram(values) for name, values in _variables(head).items()}


def _variables(head: SoftmaxHead) -> dict[str, FloatArray]:
    """Return the variables by name: the original's names for the last layer, numbered ones for hidden layers."""
    found = {"weights": head.weights, "biases": head.biases}
    for number, (weights, biases) in enumerate(head.layers[:-1], start=1):
        found |= {f"hidden_{number}/weights": weights, f"hidden_{number}/biases": biases}
    return found


def _log(text: str) -> None:
    step_logger.info("%s: %s", datetime.datetime.now(), text)
