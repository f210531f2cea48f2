"""Intervals of an accuracy."""

import numpy as np
import pytest

from retrain.evaluation.intervals import few_images_warning, wilson_interval


# Of R's `prop.test(x, n, correct = FALSE)` and of published tables, to four digits.
@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718), (10, 10, 0.7225, 1.0)],
)
def test_wilson_interval(hits: int, count: int, low: float, high: float) -> None:
    assert wilson_interval(hits, count) == pytest.approx((low, high), abs=6e-5)


def test_few_images() -> None:
    text = few_images_warning(["mug", "cup", "jug"], np.array([5, 3, 0]), 6, 8)
    assert text == (
        "With 8 test images, the accuracy on other images lies between 40.9% and 92.9% (95% interval). Some classes have fewer "
        "than 5 test images: cup (3)."
    )
    assert few_images_warning(["mug", "cup"], np.array([1, 0]), 1, 1).startswith("With 1 test image, the accuracy")


def test_enough_images() -> None:
    assert few_images_warning(["mug", "cup"], np.array([15, 15]), 20, 30) == ""
    assert few_images_warning(["mug", "cup"], np.array([40, 4]), 20, 44).endswith(
        "Some classes have fewer than 5 test images: cup (4)."
    )
