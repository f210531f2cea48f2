"""What a user sees of training while it runs: log lines and summaries, every few steps."""

import datetime
import logging
import math
import os
from collections.abc import Callable
from types import TracebackType

from tensorboard.compat.proto.summary_pb2 import HistogramProto
from tensorflow.core.framework.graph_pb2 import GraphDef

from retrain.arrays import FloatArray, IndexArray
from retrain.evaluation.metrics import accuracy, cross_entropy
from retrain.evaluation.tensorboard import SummaryWriter, histogram
from retrain.head.model import SoftmaxHead

logger = logging.getLogger("retrain")


class Monitor:
    """Evaluates the head. Use as a context manager: it closes its files.

    Attributes:
        train_accuracy, validation_accuracy: of the last evaluation, 0 to 1; None before the first, or without images.
        validation_cross_entropy: of the last evaluation, in nats; infinite before the first, or without images.
    """

    def __init__(
        self,
        head: SoftmaxHead,
        validation_batch: Callable[[], tuple[FloatArray, IndexArray]],
        summaries_dir: str,
        first_step: int = 0,
    ) -> None:
        """
        Args:
            head: is evaluated as it is at each step.
            validation_batch: draws float32 [B, D] and int64 [B]; an empty batch where there are no validation images.
            summaries_dir: gets the folders `train` and `validation`.
            first_step: the steps before it were done by an earlier run.
        """
        self._head = head
        self._validation_batch = validation_batch
        self._train = SummaryWriter(os.path.join(summaries_dir, "train"), first_step)
        self._validation = SummaryWriter(os.path.join(summaries_dir, "validation"), first_step)
        self.train_accuracy: float | None = None
        self.validation_accuracy: float | None = None
        self.validation_cross_entropy = math.inf

    def __enter__(self) -> "Monitor":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._train.close()
        self._validation.close()

    def add_graph(self, graph_def: GraphDef) -> None:
        """Shows the graph in TensorBoard."""
        self._train.add_graph(graph_def)

    def evaluate(self, step: int, bottlenecks: FloatArray, classes: IndexArray) -> int:
        """Evaluates, logs and writes summaries; the batch, float32 [B, D] and int64 [B], is the one just trained on.

        Returns the number of images.
        """
        n_images = len(classes)
        shared = head_measures(self._head), head_histograms(self._head)
        self.train_accuracy, loss = self._write(self._train, step, bottlenecks, classes, *shared)
        _log(f"Step {step}: Train accuracy = {self.train_accuracy:.1%}")
        _log(f"Step {step}: Cross entropy = {loss:f}")
        bottlenecks, classes = self._validation_batch()
        if len(classes):
            self.validation_accuracy, self.validation_cross_entropy = self._write(
                self._validation, step, bottlenecks, classes, *shared
            )
            _log(f"Step {step}: Validation accuracy = {self.validation_accuracy:.1%} (N={len(classes)})")
        return n_images + len(classes)

    def _write(
        self,
        writer: SummaryWriter,
        step: int,
        bottlenecks: FloatArray,
        classes: IndexArray,
        measures: dict[str, float],
        histograms: dict[str, object],
    ) -> tuple[float, float]:
        logits = self._head.logits(bottlenecks)
        right, loss = accuracy(logits, classes), cross_entropy(logits, classes)
        writer.add_step(step, {"accuracy_1": right, "cross_entropy_1": loss, **measures}, histograms, logits)
        return right, loss


def _log(text: str) -> None:
    logger.info("%s: %s", datetime.datetime.now(), text)


def head_measures(head: SoftmaxHead) -> dict[str, float]:
    """Mean, standard deviation, largest and smallest value of the weights and of the biases of each layer, by tag."""
    measures = {}
    for name, values in _variables(head).items():
        prefix = f"final_training_ops/{name}/summaries"
        measures[f"{prefix}/mean_1"] = float(values.mean())
        measures[f"{prefix}/stddev_1"] = float(values.std())
        measures[f"{prefix}/max_1"] = float(values.max())
        measures[f"{prefix}/min_1"] = float(values.min())
    return measures


def head_histograms(head: SoftmaxHead) -> dict[str, HistogramProto]:
    """Histograms of the weights and of the biases of each layer, by tag."""
    return {f"final_training_ops/{name}/summaries/histogram": histogram(values) for name, values in _variables(head).items()}


def _variables(head: SoftmaxHead) -> dict[str, FloatArray]:
    """The last layer's are the original's; those of hidden layers are numbered from 1."""
    found = {"weights": head.weights, "biases": head.biases}
    for number, (weights, biases) in enumerate(head.layers[:-1], start=1):
        found |= {f"hidden_{number}/weights": weights, f"hidden_{number}/biases": biases}
    return found
