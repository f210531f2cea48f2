"""Signs of overfitting in a training's evaluations, and the advice that follows from them."""

from collections.abc import Sequence
from dataclasses import dataclass

from retrain.evaluation.intervals import wilson_interval

RECENT = 10  # Evaluations that are averaged: each is on one batch.
SMOOTHED = 5  # Evaluations of the validation cross entropy that are averaged, since they may be drawn at random.
LARGE_GAP = 0.1  # Between the accuracies.
LEAST_FIT = 0.75  # Accuracy on training images from which a head may fit them too well.
LONG_SHARE = 0.25  # Of the evaluations.
LONG = 20  # Evaluations.
LARGE_RISE, LARGE_RATIO = 0.05, 1.1  # Of the validation cross entropy: in nats, and relative to its lowest value.


@dataclass(frozen=True, slots=True)
class Measured:
    """An evaluation during training.

    Attributes:
        step: number of the training step before it.
        train_accuracy, train_cross_entropy: on the batch of that step; 0 to 1, and in nats.
        validation_accuracy, validation_cross_entropy: on validation images; None if there are none.
    """

    step: int
    train_accuracy: float
    train_cross_entropy: float
    validation_accuracy: float | None
    validation_cross_entropy: float | None


def gap_warning(history: Sequence[Measured], n_validation: int) -> str:
    """Return a warning if accuracy on training images is far above that on validation images, and not by chance; else empty.

    Args:
        history: all evaluations, in order.
        n_validation: number of images in the validation set.
    """
    recent = history[len(history) // 2 :][-RECENT:]  # Early ones are of a head that has learned little.
    accuracies = [each.validation_accuracy for each in recent if each.validation_accuracy is not None]
    if not accuracies or not n_validation:
        return ""
    train = sum(each.train_accuracy for each in recent) / len(recent)
    validation = sum(accuracies) / len(accuracies)
    _, highest = wilson_interval(round(validation * n_validation), n_validation)
    if train < LEAST_FIT or train - validation < LARGE_GAP or train <= highest:
        return ""
    return (
        f"The head fits its training images far better than its validation images: {train:.1%} against {validation:.1%} are "
        "correct, on average of the last evaluations. More images help most; fewer training steps, --l2 0.001 or --dropout 0.2 "
        "may help too."
    )


def rise_warning(history: Sequence[Measured], drawn: bool = True) -> str:
    """Return a warning if the validation cross entropy has risen for long; else an empty text.

    Args:
        history: all evaluations, in order.
        drawn: True if they were on images drawn from the validation set, which early stopping should not depend on.
    """
    losses = [each.validation_cross_entropy for each in history if each.validation_cross_entropy is not None]
    smooth = [sum(losses[end - SMOOTHED : end]) / SMOOTHED for end in range(SMOOTHED, len(losses) + 1)]
    if not smooth:
        return ""
    lowest = min(range(len(smooth)), key=lambda index: (smooth[index], -index))
    since = len(smooth) - 1 - lowest
    rise = smooth[-1] - smooth[lowest]
    if since < max(LONG, LONG_SHARE * len(history)) or rise < LARGE_RISE or smooth[-1] < LARGE_RATIO * smooth[lowest]:
        return ""
    flags = "--early_stopping 20 --validation_batch_size=-1" if drawn else "--early_stopping 20"
    return (
        f"The validation cross entropy was lowest near step {history[lowest + SMOOTHED // 2].step} ({smooth[lowest]:.3f}) and "
        f"has risen to {smooth[-1]:.3f} since. Add {flags}, which keeps the best head."
    )
