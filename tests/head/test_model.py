"""The new layer and its training, against a second loop and against TensorFlow's own gradients."""

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from retrain.arrays import FloatArray, IndexArray
from retrain.evaluation.metrics import softmax
from retrain.head.model import INITIAL_STDDEV, LossSettings, SoftmaxHead, glorot_uniform, truncated_normal
from retrain.head.trainer import Trainer, train
from retrain.options.head import HeadOptions

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
    """Return the head after all steps, in a copy of `start`."""
    trainer = trainer_of(copy_of(start))
    for step, (values, classes) in enumerate(batches):
        trainer.step(step, values, classes)
    return trainer.head


def trainer_of(head: SoftmaxHead) -> Trainer:
    options = HeadOptions(learning_rate=LEARNING_RATE)
    return Trainer(options, [str(index) for index in range(N_CLASSES)], np.full(N_CLASSES, 9), head, random_seed=0)


def copy_of(head: SoftmaxHead) -> SoftmaxHead:
    copy = SoftmaxHead(BOTTLENECK_SIZE, N_CLASSES, np.random.default_rng(0))
    copy.weights[...], copy.biases[...] = head.weights, head.biases
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
            dlogit = powers[c] / sum(powers) - (c == true)
            new_weights[:, c] -= LEARNING_RATE / len(values) * dlogit * image
            new_biases[c] -= LEARNING_RATE / len(values) * dlogit
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
    trainer_of(start).step(0, values, classes)
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
    head.weights[...], head.biases[...] = [[1, 2], [3, 4]], [10, 20]
    assert head.logits(np.array([[1, 0], [1, 1]], np.float32)).tolist() == [[11, 22], [14, 26]]


# Hidden layers, and other losses


@pytest.mark.parametrize("hidden_units", [(), (7,), (9, 6)], ids=str)
@pytest.mark.parametrize(
    "loss",
    [
        LossSettings(),
        LossSettings(l2=0.03),
        LossSettings(label_smoothing=0.2),
        LossSettings(class_weights=np.array([1, 0.5, 2, 3], np.float32)),
        LossSettings(label_smoothing=0.1, class_weights=np.array([0.1, 5, 1, 1], np.float32), l2=0.01),
    ],
    ids=["plain", "l2", "smoothing", "weights", "all"],
)
def test_loss_and_gradients_are_those_of_keras(
    loss: LossSettings, hidden_units: tuple[int, ...], batches: list[tuple[FloatArray, IndexArray]]
) -> None:
    """Keras' cross entropy with label_smoothing and sample weights, its l2 regulariser, and TensorFlow's own gradients."""
    head = SoftmaxHead(BOTTLENECK_SIZE, N_CLASSES, np.random.default_rng(3), hidden_units)
    assert [weights.shape for weights, _ in head.layers] == list(itertools.pairwise([BOTTLENECK_SIZE, *hidden_units, N_CLASSES]))
    for variable in head.variables:  # Biases of zero would hide what is left out.
        variable[...] = variable + np.random.default_rng(4).normal(0, 0.2, variable.shape)
    values, classes = batches[0]
    variables = [tf.Variable(variable) for variable in head.variables]
    with tf.GradientTape() as tape:
        hidden = tf.constant(values)
        for weights, biases in zip(variables[::2], variables[1::2], strict=True):
            logits = tf.matmul(hidden, weights) + biases
            hidden = tf.nn.relu(logits)
        criterion = tf.keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=loss.label_smoothing, reduction="none"
        )
        each = criterion(tf.one_hot(classes, N_CLASSES), logits)
        counts = 1.0 if loss.class_weights is None else tf.gather(loss.class_weights, classes)
        regulariser = tf.keras.regularizers.L2(loss.l2)
        expected = tf.reduce_mean(counts * each) + sum(regulariser(weights) for weights in variables[::2])
    assert head.loss(values, classes, loss) == pytest.approx(float(expected), rel=1e-5)
    for mine, theirs in zip(head.gradients(values, classes, loss), tape.gradient(expected, variables), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


def test_dropout_leaves_out_the_stated_share_and_scales_the_rest() -> None:
    """A gradient by the weights of one layer is the sum of its inputs: with all slopes equal it shows which were left out."""
    head = SoftmaxHead(20_000, 2, np.random.default_rng(0))
    head.weights[...] = 0  # Every class gets one half: the dlogit is ±0.5 for each image.
    values, classes = np.ones((1, 20_000), np.float32), np.array([0])
    by_weights, by_biases = head.gradients(values, classes, LossSettings(dropout=0.2), np.random.default_rng(1))
    np.testing.assert_array_equal(by_biases, [-0.5, 0.5])
    assert set(np.unique(by_weights[:, 1]).tolist()) == {0.0, 0.625}  # 0.5 / (1 - 0.2)
    assert (by_weights[:, 1] == 0).mean() == pytest.approx(0.2, abs=0.015)  # five standard errors


def test_dropout_of_a_hidden_layer_keeps_the_gradient_right() -> None:
    """With the same draws the gradient is that of the thinned network, by finite differences in float64."""
    head = SoftmaxHead(6, 3, np.random.default_rng(0), (8,))
    rng = np.random.default_rng(2)
    values, classes, dropout = rng.normal(size=(5, 6)).astype(np.float32), rng.integers(3, size=5), 0.4
    kept = np.random.default_rng(7).random((5, 8), dtype=np.float32) >= dropout
    gradients = head.gradients(values, classes, LossSettings(dropout=dropout), np.random.default_rng(7))

    def thinned_loss(variables: list[Doubles]) -> float:
        hidden = np.maximum(values @ variables[0] + variables[1], 0) * kept / (1 - dropout)
        logits = hidden @ variables[2] + variables[3]
        return float((np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(5), classes]).mean())

    for place, gradient in enumerate(gradients):
        for index in np.ndindex(gradient.shape):
            slopes = []
            for shift in (1e-6, -1e-6):
                moved = [variable.astype(np.float64) for variable in head.variables]
                moved[place][index] += shift
                slopes.append(thinned_loss(moved))
            assert gradient[index] == pytest.approx((slopes[0] - slopes[1]) / 2e-6, abs=1e-4)


def test_weights_before_and_after_hidden_layers_are_glorots() -> None:
    """Uniform within ±sqrt(6 / (inputs + outputs)): its standard deviation is sqrt(2 / (inputs + outputs))."""
    values = glorot_uniform((300, 500), np.random.default_rng(0)).astype(np.float64)
    limit = math.sqrt(6 / 800)
    assert 0.999 * limit < np.abs(values).max() <= limit
    assert values.std() == pytest.approx(math.sqrt(2 / 800), rel=0.01)
    assert values.mean() == pytest.approx(0, abs=5 * limit / math.sqrt(values.size))


def test_the_course_s_dense_network_has_101_770_numbers() -> None:
    assert SoftmaxHead(784, 10, np.random.default_rng(0), (128,)).size == 101_770


# The loop


def test_train_takes_every_batch_and_reports_after_each_step(
    start: SoftmaxHead, trained: SoftmaxHead, batches: list[tuple[FloatArray, IndexArray]]
) -> None:
    reported: list[tuple[int, FloatArray, IndexArray]] = []
    seen: list[FloatArray] = []

    def after_step(step: int, values: FloatArray, classes: IndexArray) -> None:
        reported.append((step, values, classes))
        seen.append(start.weights.copy())

    before = start.weights.copy()
    train([trainer_of(start)], iter(batches), after_step)
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
