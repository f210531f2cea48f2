"""Intervals of an accuracy that was measured on few images."""

import math
from collections.abc import Sequence

from retrain.arrays import IndexArray
from retrain.errors import listing

NORMAL_QUANTILE = 1.959963984540054  # Of 97.5%: 95% of a normal distribution lie within so many standard deviations.
FEW_IMAGES = 30
FEW_OF_A_CLASS = 5


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Return the 95% interval of the share of which `hits` of `count` are a sample, both bounds 0 to 1; `count` must not be 0.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference" (1927), without continuity correction.
    """
    square = NORMAL_QUANTILE**2
    share, scale = hits / count, 1 + square / count
    middle = (share + square / (2 * count)) / scale
    half = NORMAL_QUANTILE / scale * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def few_images_warning(labels: Sequence[str], counts: IndexArray, hits: int, count: int) -> str:
    """Return a warning in a sentence or two if the test images are too few to tell much; else an empty text.

    Args:
        labels: C labels.
        counts: number of test images of each class, int64 [C]. Classes without any are not named.
        hits: number of correct predictions.
        count: number of images.
    """
    few = [f"{label} ({n})" for label, n in zip(labels, counts.tolist(), strict=True) if 0 < n < FEW_OF_A_CLASS]
    if count >= FEW_IMAGES and not few:
        return ""
    low, high = wilson_interval(hits, count)
    of_class = f" Some classes have fewer than {FEW_OF_A_CLASS} test images: {listing(few)}." if few else ""
    images = "1 test image" if count == 1 else f"{count} test images"
    return f"With {images}, the accuracy on other images lies between {low:.1%} and {high:.1%} (95% interval).{of_class}"
