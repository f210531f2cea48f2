"""Accuracy, cross entropy, confusion counts, recall and precision, against numbers worked out apart."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.evaluation.metrics import accuracy, cross_entropy, evaluate

# Five images of three classes. Softmax of a row of logarithms is the row's numbers over their sum, so every figure below can be
# worked out by hand: the answers are 0, 1, 1, 2, 0.
LOGITS = np.log(np.array([[8, 1, 1], [2, 5, 3], [1, 6, 3], [1, 1, 2], [5, 3, 2]], np.float32))
CLASSES = np.array([0, 1, 0, 2, 1])


def test_accuracy_by_hand() -> None:
    assert accuracy(LOGITS, CLASSES) == pytest.approx(3 / 5)  # the third and the last are wrong


def test_cross_entropy_by_hand() -> None:
    probabilities_of_the_true_class = [8 / 10, 5 / 10, 1 / 10, 2 / 4, 3 / 10]
    expected = -sum(map(math.log, probabilities_of_the_true_class)) / 5
    assert cross_entropy(LOGITS, CLASSES) == pytest.approx(expected, rel=1e-6)


def test_evaluation_by_hand() -> None:
    found = evaluate(LOGITS, CLASSES)
    assert found.count == 5
    assert found.accuracy == pytest.approx(0.6)
    assert found.cross_entropy == pytest.approx(cross_entropy(LOGITS, CLASSES))
    assert found.predicted.tolist() == [0, 1, 1, 2, 0]
    assert found.confusion.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]  # rows are true classes, columns are answers


def test_recall_and_precision_by_hand() -> None:
    found = evaluate(LOGITS, CLASSES)
    assert found.recall.tolist() == [1 / 2, 1 / 2, 1]
    assert found.precision.tolist() == [1 / 2, 1 / 2, 1]
    uneven = evaluate(LOGITS, np.array([0, 0, 0, 2, 0]))  # answers 0, 1, 1, 2, 0: of four of class 0 two are found
    assert uneven.recall.tolist()[::2] == [2 / 4, 1]
    assert uneven.precision.tolist() == [1, 0, 1]


def test_a_class_without_images_has_no_recall_and_one_never_answered_no_precision() -> None:
    found = evaluate(np.array([[2, 1, 0], [2, 1, 0]], np.float32), np.array([0, 1]))
    np.testing.assert_array_equal(found.recall, [1, 0, np.nan])
    np.testing.assert_array_equal(found.precision, [1 / 2, np.nan, np.nan])


def test_classes_that_never_occur_are_counted_as_zeros() -> None:
    found = evaluate(np.eye(4, dtype=np.float32)[:1], np.array([0]))
    assert found.confusion.shape == (4, 4)
    assert found.confusion.sum() == found.confusion[0, 0] == 1


def test_of_equal_scores_the_first_class_is_the_answer() -> None:
    assert evaluate(np.zeros((1, 3), np.float32), np.array([1])).predicted.tolist() == [0]


def test_equal_scores_cost_the_logarithm_of_the_number_of_classes() -> None:
    assert cross_entropy(np.zeros((4, 5), np.float32), np.array([0, 1, 2, 4])) == pytest.approx(math.log(5))


def test_large_scores_neither_overflow_nor_vanish() -> None:
    logits = np.array([[1000, 0], [-1000, 1000]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        assert cross_entropy(logits, np.array([0, 1])) == 0
        assert cross_entropy(logits, np.array([1, 0])) == pytest.approx((1000 + 2000) / 2)


@given(seed=st.integers(0, 2**32), n_images=st.integers(1, 50), n_classes=st.integers(2, 10))
def test_against_loops(seed: int, n_images: int, n_classes: int) -> None:
    """The same figures from Python loops in double precision."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 5, (n_images, n_classes)).astype(np.float32)
    classes = rng.integers(n_classes, size=n_images)
    confusion = [[0] * n_classes for _ in range(n_classes)]
    losses = []
    for row, true in zip(logits.tolist(), classes.tolist(), strict=True):
        confusion[true][row.index(max(row))] += 1
        losses.append(-math.log(math.exp(row[true]) / math.fsum(map(math.exp, row))))
    found = evaluate(logits, classes)
    assert found.confusion.tolist() == confusion
    assert found.accuracy == pytest.approx(sum(confusion[i][i] for i in range(n_classes)) / n_images)
    assert found.cross_entropy == pytest.approx(math.fsum(losses) / n_images, rel=1e-4, abs=1e-5)
