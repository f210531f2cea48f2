"""How good the head is: accuracy, cross entropy, confusion counts, and which images it gets wrong."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.arrays import FloatArray, IndexArray


@dataclass(frozen=True)
class Evaluation:
    """The head's answers on a set of images.

    Attributes:
        accuracy: share of right answers, 0 to 1.
        cross_entropy: mean over the images, in nats.
        count: N.
        confusion: int64 [C, C], images of class row that were labelled as class column.
        predicted: int64 [N], the class of the highest score for each image.
    """

    accuracy: float
    cross_entropy: float
    count: int
    confusion: IndexArray
    predicted: IndexArray

    def recall(self) -> npt.NDArray[np.float64]:
        """Share of each class's images that were labelled right, float64 [C]; NaN for a class without images."""
        return _ratio(self.confusion.diagonal(), self.confusion.sum(axis=1))

    def precision(self) -> npt.NDArray[np.float64]:
        """Share of the answers for each class that were right, float64 [C]; NaN for a class never answered."""
        return _ratio(self.confusion.diagonal(), self.confusion.sum(axis=0))


def evaluate(logits: FloatArray, classes: IndexArray) -> Evaluation:
    """Compares float32 [N, C] logits with int64 [N] true classes; N must not be 0."""
    n_classes = logits.shape[1]
    predicted = logits.argmax(axis=1)
    confusion = np.bincount(classes * n_classes + predicted, minlength=n_classes**2).reshape(n_classes, n_classes)
    return Evaluation(accuracy(logits, classes), cross_entropy(logits, classes), len(classes), confusion, predicted)


def accuracy(logits: FloatArray, classes: IndexArray) -> float:
    """Share of the rows of float32 [N, C] whose highest value stands at its class, int64 [N]."""
    return float((logits.argmax(axis=1) == classes).mean())


def cross_entropy(logits: FloatArray, classes: IndexArray) -> float:
    """Mean of `log(sum(exp(row))) - row[class]`, in nats; float32 [N, C] and int64 [N]."""
    highest = logits.max(axis=1)
    log_sums = highest + np.log(np.exp(logits - highest[:, np.newaxis]).sum(axis=1))
    return float((log_sums - logits[np.arange(len(classes)), classes]).mean())


def _ratio(part: IndexArray, whole: IndexArray) -> npt.NDArray[np.float64]:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def softmax(logits: FloatArray) -> FloatArray:
    """float32 [N, C] → float32 [N, C], each row summing to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
