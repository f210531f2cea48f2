"""Measures of images with several labels, against scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st

from retrain.evaluation.metrics import accuracy, cross_entropy, sigmoid
from retrain.evaluation.multi_label import average_precision, best_thresholds, evaluate_labels


def drawn(seed: int, n_images: int = 50, n_labels: int = 4, levels: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits that know something of the targets; `levels` rounds them, so that some are equal."""
    rng = np.random.default_rng(seed)
    targets = (rng.random((n_images, n_labels)) < 0.3).astype(np.float32)
    logits = (rng.normal(0, 2, targets.shape) + 2 * targets).astype(np.float32)
    return (np.round(logits * levels) / levels).astype(np.float32) if levels else logits, targets


@pytest.mark.parametrize("levels", [0, 1, 2])
@pytest.mark.parametrize("seed", range(10))
def test_measures_are_scikit_learns(seed: int, levels: int) -> None:
    logits, targets = drawn(seed, levels=levels)
    found = evaluate_labels(logits, targets, [0.3, 0.5, 0.6, 0.9])
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    predicted = scores >= [0.3, 0.5, 0.6, 0.9]
    precision, recall, f1, _ = sklearn.metrics.precision_recall_fscore_support(targets, predicted, zero_division=np.nan)
    np.testing.assert_allclose(found.precision, precision)
    np.testing.assert_allclose(found.recall, recall)
    np.testing.assert_allclose(found.f1, f1)
    averages = sklearn.metrics.average_precision_score(targets, scores, average=None)
    np.testing.assert_allclose(found.average_precision, averages, atol=1e-9)
    macro = sklearn.metrics.average_precision_score(targets, scores, average="macro")
    assert found.mean_average_precision == pytest.approx(macro, abs=1e-9)
    losses = [sklearn.metrics.log_loss(targets[:, label], scores[:, label], labels=[0, 1]) for label in range(4)]
    assert found.cross_entropy == pytest.approx(np.mean(losses), rel=1e-5)
    assert found.accuracy == pytest.approx(((scores > 0.5) == targets).mean())
    np.testing.assert_array_equal(found.predicted, predicted)


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=30))
def test_average_precision_of_any_scores(rows: list[tuple[int, bool]]) -> None:
    scores, present = np.array([row[0] for row in rows], np.float64), np.array([row[1] for row in rows])
    found = average_precision(scores, present)
    if present.any():
        assert found == pytest.approx(sklearn.metrics.average_precision_score(present, scores), abs=1e-9)
    else:
        assert np.isnan(found)


@given(st.lists(st.tuples(st.floats(-20, 20, width=32), st.booleans()), min_size=1, max_size=30))
def test_no_threshold_has_a_higher_f1(rows: list[tuple[float, bool]]) -> None:
    logits, targets = np.array([[row[0]] for row in rows], np.float32), np.array([[row[1]] for row in rows], np.float32)
    [chosen] = best_thresholds(logits, targets)
    assert 0 <= chosen <= 1
    if not targets.any():
        assert chosen == 0.5
        return
    scores = sigmoid(logits.astype(np.float64))[:, 0]

    def f1(threshold: float) -> float:
        return float(sklearn.metrics.f1_score(targets[:, 0], scores >= threshold, zero_division=0))

    assert f1(chosen) >= max(f1(threshold) for threshold in [0.0, *scores.tolist(), 1.0]) - 1e-12


def test_a_label_that_no_image_has_is_no_part_of_the_mean() -> None:
    logits, targets = drawn(1)
    targets[:, 2] = 0
    found = evaluate_labels(logits, targets, ())
    assert np.isnan(found.average_precision[2]) and np.isnan(found.recall[2])
    assert found.mean_average_precision == pytest.approx(np.nanmean(found.average_precision))
    assert np.isnan(evaluate_labels(logits, np.zeros_like(targets), ()).mean_average_precision)


def test_extreme_logits_do_not_overflow() -> None:
    logits = np.array([[1e4, -1e4], [-1e4, 1e4]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        assert cross_entropy(logits, np.array([[1, 0], [0, 1]], np.float32)) == 0
        assert accuracy(logits, np.array([[1, 0], [1, 1]], np.float32)) == 0.75
        np.testing.assert_array_equal(sigmoid(logits), [[1, 0], [0, 1]])
