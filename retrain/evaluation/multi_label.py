"""Measures of a classifier of images with several labels: precision, recall, F1, average precision of each; and thresholds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from retrain.arrays import FloatArray, IndexArray, Targets
from retrain.evaluation.metrics import accuracy, cross_entropy, sigmoid

DEFAULT_THRESHOLD = 0.5  # Of labels that no validation image has.
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class MultiLabelEvaluation:
    """Measures of a multi-label classifier on N images.

    Attributes:
        accuracy: share of all labels of all images that are predicted correctly at a probability of 0.5, 0 to 1.
        cross_entropy: binary, the mean over images and labels, in nats.
        count: N.
        n_images: int64 [C], number of images with each label.
        precision, recall, f1: float64 [C], of each label at its threshold; NaN where there is nothing to divide by.
        average_precision: float64 [C], of each label; NaN for labels that no image has.
        predicted: bool [N, C], the labels above their thresholds.
    """

    accuracy: float
    cross_entropy: float
    count: int
    n_images: IndexArray
    precision: Floats
    recall: Floats
    f1: Floats
    average_precision: Floats
    predicted: npt.NDArray[np.bool_]

    @property
    def mean_average_precision(self) -> float:
        """Mean of the average precision over all labels that some image has, 0 to 1; NaN if there are none."""
        known = self.average_precision[~np.isnan(self.average_precision)]
        return float(known.mean()) if len(known) else float("nan")


def evaluate_labels(logits: FloatArray, targets: Targets, thresholds: Sequence[float]) -> MultiLabelEvaluation:
    """Compare logits with the labels that images have.

    Args:
        logits: float32 [N, C]; N must not be 0.
        targets: float32 [N, C], 1 for each label that an image has, else 0.
        thresholds: the probability from which each label counts as predicted; none is 0.5 for all.
    """
    scores, present = _scores(logits), targets > 0
    predicted = scores >= np.array(thresholds or [DEFAULT_THRESHOLD])
    hits = (predicted & present).sum(axis=0)
    precision, recall = _ratio(hits, predicted.sum(axis=0)), _ratio(hits, present.sum(axis=0))
    f1 = _ratio(2 * hits, predicted.sum(axis=0) + present.sum(axis=0))
    averages = np.array([average_precision(scores[:, label], present[:, label]) for label in range(scores.shape[1])])
    share, loss = accuracy(logits, targets), cross_entropy(logits, targets)
    return MultiLabelEvaluation(share, loss, len(scores), present.sum(axis=0), precision, recall, f1, averages, predicted)


def average_precision(scores: Floats, present: npt.NDArray[np.bool_]) -> float:
    """Return the average precision of one label; NaN if no image has it.

    The sum of `(recall - recall before) · precision` over the distinct scores from the highest on, as in scikit-learn's
    `average_precision_score`.

    Args:
        scores: float64 [N].
        present: bool [N], True for the images with the label.
    """
    if not present.any():
        return float("nan")
    hits, counts, _ = _by_threshold(scores, present)
    recalls = hits / hits[-1]
    return float((np.diff(recalls, prepend=0) * hits / counts).sum())


def best_thresholds(logits: FloatArray, targets: Targets) -> tuple[float, ...]:
    """Return the threshold of each label at which F1 is highest: halfway between the last score that counts and the next one.

    Args:
        logits: float32 [N, C] of validation images.
        targets: float32 [N, C].
    """
    scores, present = _scores(logits), targets > 0
    return tuple(_best_threshold(scores[:, label], present[:, label]) for label in range(logits.shape[1]))


def _best_threshold(scores: Floats, present: npt.NDArray[np.bool_]) -> float:
    if not present.any() or not np.isfinite(scores).all():
        return DEFAULT_THRESHOLD
    hits, counts, distinct = _by_threshold(scores, present)
    best = int((2 * hits / (counts + present.sum())).argmax())
    below = distinct[best + 1] if best + 1 < len(distinct) else 0.0
    return float((distinct[best] + below) / 2)


def _by_threshold(scores: Floats, present: npt.NDArray[np.bool_]) -> tuple[IndexArray, IndexArray, Floats]:
    """Return, for each distinct score from the highest on: the images with the label, and all, at or above it; and the scores."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)
    return np.cumsum(present[order])[last], last + 1, ordered[last]


def _scores(logits: FloatArray) -> Floats:
    return np.asarray(sigmoid(logits.astype(np.float64)), np.float64)


def _ratio(part: IndexArray, whole: IndexArray) -> Floats:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)


def percent(share: float) -> str:
    """Return a percentage; a dash for the share of nothing, such as the recall of a class without images."""
    return "-" if math.isnan(share) else f"{share:.1%}"


def labels_table(labels: Sequence[str], found: MultiLabelEvaluation) -> str:
    """Return a line for each label: its number of images, precision, recall, F1 and average precision."""
    measures = (found.precision, found.recall, found.f1, found.average_precision)
    width = max(len(label) for label in labels)
    lines = [f"{'':{width}}  images  precision  recall      F1  average precision"]
    for index, label in enumerate(labels):
        precision, recall, f1, average = (percent(measure[index]) for measure in measures)
        lines.append(f"{label:{width}}  {found.n_images[index]:6d}  {precision:>9}  {recall:>6}  {f1:>6}  {average:>17}")
    return "\n".join(lines)
