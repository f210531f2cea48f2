"""The new layer and its training, against a second loop and against TensorFlow's own gradients."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from retrain.arrays import FloatArray, IndexArray
from retrain.head import INITIAL_STDDEV, SoftmaxHead, softmax, train, truncated_normal

N_STEPS = 200
LEARNING_RATE = 0.05
BATCH_SIZE, BOTTLENECK_SIZE, N_CLASSES = 16, 30, 4

Doubles = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def batches() -> list[tuple[FloatArray, IndexArray]]:
    """Batches of learnable data: each class lies around a point of its own; values are not negative, as behind a ReLU."""
    rng = np.random.default_rng(1)
    centres = rng.uniform(0, 2, (N_CLASSES, BOTTLENECK_SIZE))
    found = []
    for _ in range(N_STEPS):
        classes = rng.integers(N_CLASSES, size=BATCH_SIZE)
        values = np.maximum(centres[classes] + rng.normal(0, 1, (BATCH_SIZE, BOTTLENECK_SIZE)), 0)
        found.append((values.astype(np.float32), classes))
    return found


@pytest.fixture
def start() -> SoftmaxHead:
    return SoftmaxHead(BOTTLENECK_SIZE, N_CLASSES, np.random.default_rng(2))


@pytest.fixture
def trained(start: SoftmaxHead, batches: list[tuple[FloatArray, IndexArray]]) -> SoftmaxHead:
    """The head after all steps, in a copy of `start`."""
    head = copy_of(start)
    for values, classes in batches:
        head.train_step(values, classes, LEARNING_RATE)
    return head


def copy_of(head: SoftmaxHead) -> SoftmaxHead:
    copy = SoftmaxHead(BOTTLENECK_SIZE, N_CLASSES, np.random.default_rng(0))
    copy.weights, copy.biases = head.weights.copy(), head.biases.copy()
    return copy


def test_training_agrees_with_a_loop_over_images(
    start: SoftmaxHead, trained: SoftmaxHead, batches: list[tuple[FloatArray, IndexArray]]
) -> None:
    """Gradient descent image by image and class by class, in double precision: d loss / d logit = p - [class is true]."""
    weights, biases = start.weights.astype(np.float64), start.biases.astype(np.float64)
    for values, classes in batches:
        weights, biases = one_step(weights, biases, values.astype(np.float64), classes)
    np.testing.assert_allclose(trained.weights, weights, rtol=0, atol=1e-5)
    np.testing.assert_allclose(trained.biases, biases, rtol=0, atol=1e-5)


def one_step(weights: Doubles, biases: Doubles, values: Doubles, classes: IndexArray) -> tuple[Doubles, Doubles]:
    new_weights, new_biases = weights.copy(), biases.copy()
    for image, true in zip(values, classes.tolist(), strict=True):
        powers = [math.exp(float(image @ weights[:, c]) + biases[c]) for c in range(N_CLASSES)]
        for c in range(N_CLASSES):
            slope = powers[c] / sum(powers) - (c == true)
            new_weights[:, c] -= LEARNING_RATE / len(values) * slope * image
            new_biases[c] -= LEARNING_RATE / len(values) * slope
    return new_weights, new_biases


def test_training_agrees_with_tensorflow(
    start: SoftmaxHead, trained: SoftmaxHead, batches: list[tuple[FloatArray, IndexArray]]
) -> None:
    weights, biases = tf.Variable(start.weights), tf.Variable(start.biases)

    @tf.function  # type: ignore[untyped-decorator]
    def step(values: tf.Tensor, classes: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            logits = tf.matmul(values, weights) + biases
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits))
        for variable, gradient in zip((weights, biases), tape.gradient(loss, (weights, biases)), strict=True):
            variable.assign_sub(LEARNING_RATE * gradient)

    for values, classes in batches:
        step(tf.constant(values), tf.constant(classes))
    np.testing.assert_allclose(trained.weights, weights.numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(trained.biases, biases.numpy(), rtol=0, atol=1e-5)


def test_training_moves_the_head_and_it_learns(
    start: SoftmaxHead, trained: SoftmaxHead, batches: list[tuple[FloatArray, IndexArray]]
) -> None:
    """So that the agreement above is not one of heads that stand still."""
    assert np.abs(trained.weights - start.weights).max() > 0.1
    right = [(trained.logits(values).argmax(axis=1) == classes).mean() for values, classes in batches[-20:]]
    assert np.mean(right) > 0.9


def test_a_step_leaves_its_batch_as_it_was(start: SoftmaxHead, batches: list[tuple[FloatArray, IndexArray]]) -> None:
    values, classes = batches[0][0].copy(), batches[0][1].copy()
    start.train_step(values, classes, LEARNING_RATE)
    np.testing.assert_array_equal(values, batches[0][0])
    np.testing.assert_array_equal(classes, batches[0][1])


def test_variables_stay_float32(trained: SoftmaxHead) -> None:
    assert [trained.weights.dtype, trained.biases.dtype] == [np.dtype(np.float32)] * 2
    assert trained.logits(np.zeros((3, BOTTLENECK_SIZE), np.float32)).dtype == np.float32


def test_a_new_head_is_nearly_zero_with_biases_at_zero() -> None:
    head = SoftmaxHead(1001, 5, np.random.default_rng(0))
    assert (head.weights.shape, head.biases.shape) == ((1001, 5), (5,))
    assert 0 < np.abs(head.weights).max() <= 2 * INITIAL_STDDEV
    assert not head.biases.any()


def test_logits_by_hand() -> None:
    head = SoftmaxHead(2, 2, np.random.default_rng(0))
    head.weights, head.biases = np.array([[1, 2], [3, 4]], np.float32), np.array([10, 20], np.float32)
    assert head.logits(np.array([[1, 0], [1, 1]], np.float32)).tolist() == [[11, 22], [14, 26]]


def test_train_takes_every_batch_and_reports_after_each_step(
    start: SoftmaxHead, trained: SoftmaxHead, batches: list[tuple[FloatArray, IndexArray]]
) -> None:
    reported: list[tuple[int, FloatArray, IndexArray]] = []
    seen: list[FloatArray] = []

    def after_step(step: int, values: FloatArray, classes: IndexArray) -> None:
        reported.append((step, values, classes))
        seen.append(start.weights.copy())

    before = start.weights.copy()
    train(start, iter(batches), LEARNING_RATE, after_step)
    assert [step for step, _, _ in reported] == list(range(N_STEPS))
    assert all(values is batch[0] and classes is batch[1] for (_, values, classes), batch in zip(reported, batches, strict=True))
    assert not np.array_equal(seen[0], before)  # the first report comes after the first step
    np.testing.assert_array_equal(start.weights, trained.weights)


def test_softmax_by_hand() -> None:
    logits = np.log(np.array([[1, 2, 5], [4, 4, 8]], np.float32))
    np.testing.assert_allclose(softmax(logits), [[1 / 8, 2 / 8, 5 / 8], [1 / 4, 1 / 4, 2 / 4]], rtol=1e-6)


def test_softmax_of_large_logits_is_stable() -> None:
    logits = np.array([[3e38, 0, -3e38], [1e4, 1e4, 0], [-1e4, -1e4 + 1, -2e4]], np.float32)
    with np.errstate(over="ignore"):  # 3e38 - (-3e38) is infinite in float32; its power is 0 all the same
        found = softmax(logits)
    low = 1 / (1 + math.e)
    expected = np.array([[1, 0, 0], [0.5, 0.5, 0], [low, 1 - low, 0]])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-30)


def test_softmax_does_not_change_its_input() -> None:
    logits = np.array([[1, 2]], np.float32)
    softmax(logits)
    assert logits.tolist() == [[1, 2]]


def test_draws_are_truncated_at_two_deviations() -> None:
    """The standard deviation of a normal distribution cut at ±2 is 0.87962566 of the uncut one's.

    It is sqrt(1 - 4·φ(2) / (Φ(2) - Φ(-2))), with φ(2) = 0.05399097 and Φ(2) - Φ(-2) = 0.95449974.
    """
    values = truncated_normal((400, 500), 0.5, np.random.default_rng(0)).astype(np.float64)
    assert values.shape == (400, 500)
    assert np.abs(values).max() <= 1
    assert np.abs(values).max() > 0.99  # the tails are cut, not squeezed
    assert values.std() == pytest.approx(0.5 * math.sqrt(1 - 4 * 0.05399097 / 0.95449974), rel=0.01)
    assert values.mean() == pytest.approx(0, abs=0.005)  # 5 standard errors
    inner = (np.abs(values) < 0.5).mean()
    assert inner == pytest.approx(0.68268949 / 0.95449974, abs=0.005)  # within one deviation, of those within two


def test_draws_are_float32_and_repeatable() -> None:
    first, second = (truncated_normal((10, 3), 0.001, np.random.default_rng(5)) for _ in range(2))
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, second)
