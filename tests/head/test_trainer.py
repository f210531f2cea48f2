"""Optimizers, schedules, early stopping and L-BFGS, against Keras, scikit-learn and one another."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from retrain.arrays import FloatArray, IndexArray
from retrain.errors import FlagError
from retrain.head.model import LossSettings, SoftmaxHead
from retrain.head.optimizers import OPTIMIZERS, SCHEDULES
from retrain.head.trainer import EarlyStopping, Trainer, class_weights, train
from retrain.options.flags import flags_of
from retrain.options.head import BALANCED, HeadOptions

LABELS = ["daisy", "roses", "tulips"]
SIZE = 6
Batch = tuple[FloatArray, IndexArray]


def batches(count: int) -> list[Batch]:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(len(LABELS), SIZE))
    found = []
    for _ in range(count):
        classes = rng.integers(len(LABELS), size=20)
        found.append(((centres[classes] + rng.normal(0, 1, (20, SIZE))).astype(np.float32), classes))
    return found


def trainer(seed: int = 1, **options: Any) -> Trainer:
    chosen = HeadOptions(**options)
    head = SoftmaxHead(SIZE, len(LABELS), np.random.default_rng(seed), chosen.hidden_units)
    return Trainer(chosen, LABELS, np.array([10, 20, 30]), head, random_seed=seed)


def run(*trainers: Trainer, count: int = 30, first_step: int = 0) -> None:
    train(trainers, batches(count)[first_step:], lambda *_: None, first_step)


def nothing(*_: object) -> None:
    pass


# Optimizers


@pytest.mark.parametrize(
    ("name", "keras"),
    [
        ("gradient_descent", lambda: tf.keras.optimizers.SGD(0.05)),
        ("momentum", lambda: tf.keras.optimizers.SGD(0.05, momentum=0.9)),
        ("adam", lambda: tf.keras.optimizers.Adam(0.05)),
    ],
)
def test_an_optimizer_does_what_keras_does(name: str, keras: Any) -> None:
    rng = np.random.default_rng(0)
    mine = [rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)]
    theirs = [tf.Variable(variable) for variable in mine]
    before = [variable.copy() for variable in mine]
    optimizer, reference = OPTIMIZERS[name](mine), keras()
    for step in range(50):
        gradients = [rng.normal(size=variable.shape).astype(np.float32) for variable in mine]
        reference.apply_gradients(zip([tf.constant(gradient) for gradient in gradients], theirs, strict=True))
        optimizer.update(gradients, 0.05, step)
    for one, other, old in zip(mine, theirs, before, strict=True):
        assert np.abs(one - old).max() > 0.1
        np.testing.assert_allclose(one, other.numpy(), rtol=0, atol=2e-5)


def test_names_are_those_of_the_flags() -> None:
    assert (*OPTIMIZERS, "lbfgs") == flags_of(HeadOptions)["optimizer"].choices
    assert tuple(SCHEDULES) == flags_of(HeadOptions)["learning_rate_schedule"].choices


@pytest.mark.parametrize(
    ("name", "factors"),
    [
        ("constant", [1, 1, 1]),
        ("linear", [1, 0.5, 0.25]),
        ("cosine", [1, 0.5, 0.5 - math.sqrt(0.5) / 2]),
        ("exponential", [1, 0.1, 0.1**1.5]),
    ],
)
def test_schedules_by_hand(name: str, factors: list[float]) -> None:
    """At the beginning, after half of the steps and after three quarters."""
    assert [SCHEDULES[name](done) for done in (0, 0.5, 0.75)] == pytest.approx(factors)


def test_the_schedule_runs_over_the_steps_of_the_training() -> None:
    """With linear decay the second half of 2 steps is half as long as with a constant rate."""
    [batch] = batches(1)
    after = {}
    for schedule in ("constant", "linear"):
        one = trainer(how_many_training_steps=2, learning_rate_schedule=schedule)
        one.step(0, *batch)
        middle = one.head.weights.copy()
        one.step(1, *batch)
        after[schedule] = one.head.weights - middle
    np.testing.assert_allclose(after["linear"], after["constant"] / 2, atol=1e-7)


# Side by side, and interrupted


ALL_OPTIONS: list[dict[str, Any]] = [
    {},
    {"optimizer": "momentum", "learning_rate_schedule": "cosine"},
    {"optimizer": "adam", "hidden_units": (5,), "dropout": 0.3},
    {"dropout": 0.5, "l2": 0.01, "label_smoothing": 0.1, "class_weights": {"roses": 3.0}},
]


def test_heads_side_by_side_are_those_trained_alone() -> None:
    together = [trainer(how_many_training_steps=30, **options) for options in ALL_OPTIONS]
    run(*together)
    for one, options in zip(together, ALL_OPTIONS, strict=True):
        alone = trainer(how_many_training_steps=30, **options)
        run(alone)
        assert all(map(np.array_equal, one.head.variables, alone.head.variables))
    assert len({one.head.weights.tobytes() for one in together}) == len(ALL_OPTIONS)


@pytest.mark.parametrize("options", ALL_OPTIONS, ids=str)
def test_a_training_goes_on_where_it_was_left(options: dict[str, Any]) -> None:
    straight, first, second = (trainer(seed, how_many_training_steps=30, **options) for seed in (1, 1, 1))
    run(straight)
    run(first, count=13)
    second.head.weights[...] = 7  # What it begins with must not matter.
    second.load([variable.copy() for variable in first.head.variables], first.state())
    run(second, first_step=13)
    assert all(map(np.array_equal, second.head.variables, straight.head.variables))


# Early stopping


def test_early_stopping_by_hand() -> None:
    head = SoftmaxHead(2, 2, np.random.default_rng(0))
    stopping = EarlyStopping(head, patience=2)
    for step, loss in enumerate([0.9, 0.5, 0.6, 0.4, 0.4, 0.5]):
        assert not stopping.should_stop
        head.weights[...] = step
        stopping.after_evaluation(loss)
    assert stopping.should_stop
    stopping.restore_best()
    assert (head.weights == 3).all()


def test_without_patience_nothing_stops_or_changes() -> None:
    head = SoftmaxHead(2, 2, np.random.default_rng(0))
    stopping = EarlyStopping(head, patience=0)
    before = head.weights.copy()
    for loss in (0.5, 0.6, 0.7, math.nan):
        stopping.after_evaluation(loss)
    stopping.restore_best()
    assert not stopping.should_stop
    np.testing.assert_array_equal(head.weights, before)


def test_training_ends_when_all_have_stopped() -> None:
    patient, impatient = (trainer(how_many_training_steps=30, early_stopping=patience) for patience in (9, 2))
    seen = []

    def after_step(step: int, bottlenecks: FloatArray, classes: IndexArray) -> None:
        seen.append(step)
        for one in (patient, impatient):
            one.early_stopping.after_evaluation(1.0 if step < 3 else 2.0)
        if step == 4:
            after_step.weights = impatient.head.weights.copy()  # type: ignore[attr-defined]

    train([patient, impatient], batches(30), after_step)
    assert seen == list(range(10))  # The first is the best; nine worse ones follow.
    assert not np.array_equal(patient.head.weights, impatient.head.weights)
    impatient.finish()
    assert impatient.early_stopping.best_loss == 1.0


def test_early_stopping_goes_on_where_it_was_left() -> None:
    first, second = (trainer(early_stopping=3) for _ in range(2))
    for loss in (0.5, 0.7, 0.8):
        first.early_stopping.after_evaluation(loss)
    second.load(first.head.variables, first.state())
    stops = [second.early_stopping.should_stop]
    second.early_stopping.after_evaluation(0.6)
    assert [*stops, second.early_stopping.should_stop] == [False, True]
    assert second.early_stopping.best_loss == 0.5


# Class weights


def test_balanced_weights_are_scikit_learns() -> None:
    sklearn = pytest.importorskip("sklearn.utils.class_weight", reason="scikit-learn is not installed")
    counts = np.array([10, 20, 30])
    expected = sklearn.compute_class_weight("balanced", classes=np.arange(3), y=np.repeat(np.arange(3), counts))
    found = class_weights(BALANCED, LABELS, counts)
    assert found is not None
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_named_weights_and_none() -> None:
    found = class_weights({"roses": 2.5}, LABELS, np.array([1, 1, 1]))
    assert found is not None
    assert found.tolist() == [1, 2.5, 1]
    assert class_weights(None, LABELS, np.array([1, 1, 1])) is None


def test_a_label_that_there_is_not() -> None:
    with pytest.raises(FlagError) as caught:
        trainer(class_weights={"rose": 2.0})
    assert str(caught.value) == "--class_weights must name labels: daisy, roses, tulips. Got rose."


# L-BFGS


@pytest.fixture
def all_images() -> Iterator[Batch]:
    values, classes = zip(*batches(15), strict=True)
    yield np.concatenate(values), np.concatenate(classes)


def test_lbfgs_finds_the_minimum_that_scikit_learn_finds(all_images: Batch) -> None:
    pytest.importorskip("scipy", reason="SciPy is not installed")
    linear_model = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    values, classes = all_images
    one = trainer(optimizer="lbfgs", l2=0.01)
    steps: list[int] = []
    count = one.minimize(values, classes, lambda step, *_: steps.append(step))
    assert steps == list(range(count))
    assert 3 < count < 200
    # Its penalty is sum(w²) / 2, beside C times the sum, not the mean, of the cross entropies.
    reference = linear_model.LogisticRegression(C=1 / (2 * 0.01 * len(classes)), tol=1e-9, max_iter=1000).fit(values, classes)
    np.testing.assert_allclose(one.head.weights, reference.coef_.T, atol=2e-3)
    assert one.head.loss(values, classes, LossSettings(l2=0.01)) < 0.9


def test_lbfgs_takes_no_more_steps_than_it_may_and_stops_early(all_images: Batch) -> None:
    pytest.importorskip("scipy", reason="SciPy is not installed")
    assert trainer(optimizer="lbfgs", how_many_training_steps=5).minimize(*all_images, nothing) == 5
    one = trainer(optimizer="lbfgs", early_stopping=2)
    assert one.minimize(*all_images, lambda *_: one.early_stopping.after_evaluation(1.0)) == 3


def test_lbfgs_with_hidden_layers_beats_as_many_steps_of_gradient_descent(all_images: Batch) -> None:
    pytest.importorskip("scipy", reason="SciPy is not installed")
    quick, slow = (trainer(optimizer=name, hidden_units=(8,), learning_rate=0.1) for name in ("lbfgs", "gradient_descent"))
    count = quick.minimize(*all_images, nothing)
    train([slow], [all_images] * count, nothing)
    losses = [one.head.loss(*all_images, LossSettings()) for one in (quick, slow)]
    assert losses[0] < 0.5 * losses[1]
