"""Measures of a classifier whose classes exclude each other: accuracy, cross entropy, confusion matrix, recall and precision.

Accuracy and cross entropy also take images with several labels: targets, float32 [N, C], in place of classes, int64 [N].
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.arrays import FloatArray, IndexArray, Targets


@dataclass(frozen=True)
class Evaluation:
    """Measures of a classifier on N images.

    Attributes:
        accuracy: share of correct predictions, 0 to 1.
        cross_entropy: mean over the images, in nats.
        count: N.
        confusion: int64 [C, C], number of images of class `row` with the predicted class `column`.
        predicted: int64 [N], predicted class of each image.
    """

    accuracy: float
    cross_entropy: float
    count: int
    confusion: IndexArray
    predicted: IndexArray

    @property
    def n_images(self) -> IndexArray:
        """Number of images of each class, int64 [C]."""
        counts: IndexArray = self.confusion.sum(axis=1)
        return counts

    @property
    def n_correct(self) -> int:
        """Number of correct predictions."""
        return int(self.confusion.diagonal().sum())

    @property
    def recall(self) -> npt.NDArray[np.float64]:
        """Share of each class's images that are predicted correctly, float64 [C]; NaN for a class without images."""
        return _ratio(self.confusion.diagonal(), self.n_images)

    @property
    def precision(self) -> npt.NDArray[np.float64]:
        """Share of correct ones among the predictions of each class, float64 [C]; NaN for a class that is never predicted."""
        return _ratio(self.confusion.diagonal(), self.confusion.sum(axis=0))

    @property
    def confused_pairs(self) -> list[tuple[int, int, int]]:
        """Class, another class that was predicted, and number of images, of all pairs with any; the most frequent first."""
        wrong = self.confusion.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[: np.count_nonzero(wrong)]
        rows, columns = np.unravel_index(order, wrong.shape)
        return list(zip(rows.tolist(), columns.tolist(), wrong[rows, columns].tolist(), strict=True))


def evaluate(logits: FloatArray, classes: IndexArray) -> Evaluation:
    """Compare logits, float32 [N, C], with true classes, int64 [N]; N must not be 0."""
    n_classes = logits.shape[1]
    predicted = logits.argmax(axis=1)
    confusion = np.bincount(classes * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)
    return Evaluation(accuracy(logits, classes), cross_entropy(logits, classes), len(classes), confusion, predicted)


def accuracy(logits: FloatArray, classes: Targets) -> float:
    """Return the share of the rows of float32 [N, C] whose largest value is that of the class, int64 [N].

    Of targets, float32 [N, C], it is the share of all labels of all images that are predicted correctly: present if the logit is
    above 0, which is a probability of 0.5.
    """
    if classes.ndim == 2:
        return float(((logits > 0) == (classes > 0)).mean())
    return float((logits.argmax(axis=1) == classes).mean())


def cross_entropy(logits: FloatArray, classes: Targets) -> float:
    """Return the mean of `log(sum(exp(row))) - row[class]`, in nats; float32 [N, C] and int64 [N].

    Of targets, float32 [N, C], it is the binary cross entropy, the mean over images and labels.
    """
    if classes.ndim == 2:
        return float(binary_cross_entropies(logits, classes).mean())
    return float((log_sum_exp(logits) - logits[np.arange(len(classes)), classes]).mean())


def log_sum_exp(logits: FloatArray) -> FloatArray:
    """Return `log(sum(exp(row)))` of each row, float32 [N, C] → float32 [N]."""
    largest = logits.max(axis=1)
    return largest + np.log(np.exp(logits - largest[:, np.newaxis]).sum(axis=1))


def binary_cross_entropies(logits: FloatArray, targets: Targets) -> FloatArray:
    """Return `-t · log(p) - (1 - t) · log(1 - p)` of each logit, p its sigmoid, in nats; float32 [N, C].

    The form `max(x, 0) - x · t + log(1 + exp(-|x|))` is that of TensorFlow's `sigmoid_cross_entropy_with_logits`: it cannot
    overflow.
    """
    values: FloatArray = np.maximum(logits, 0) - logits * targets + np.log1p(np.exp(-np.abs(logits)))
    return values


def sigmoid(logits: FloatArray) -> FloatArray:
    """Return `1 / (1 + exp(-x))` of each value, of any shape, without overflow."""
    powers = np.exp(-np.abs(logits))
    values: FloatArray = np.where(logits >= 0, 1, powers) / (1 + powers)
    return values


def _ratio(part: IndexArray, whole: IndexArray) -> npt.NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def softmax(logits: FloatArray) -> FloatArray:
    """Return the softmax of each row, float32 [N, C] → float32 [N, C]."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
