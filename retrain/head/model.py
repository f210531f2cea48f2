"""The head: softmax(bottlenecks · W + b), as the original's, or hidden layers before it.

Written in numpy: a step is two small matrix products, and calls into a heavier runtime would cost more than the arithmetic.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrain.arrays import FloatArray, Targets
from retrain.evaluation.metrics import binary_cross_entropies, log_sum_exp, sigmoid, softmax

INITIAL_STDDEV = 0.001


@dataclass(frozen=True)
class LossSettings:
    """Settings of the loss function: the mean over a batch of `class weight · cross entropy`, and the L2 penalty.

    Attributes:
        label_smoothing: share of the target that is spread evenly over all classes, as Keras defines it.
        class_weights: float32 [C]; None is 1 for every class.
        l2: L2 penalty; adds `l2 · sum(w²)` over all weights (not biases), as Keras' regularizer of that name.
        dropout: dropout rate, after each hidden layer, or of the bottlenecks if there is none; the values that are kept are
            multiplied by `1 / (1 - dropout)`.
    """

    label_smoothing: float = 0.0
    class_weights: FloatArray | None = None
    l2: float = 0.0
    dropout: float = 0.0


class SoftmaxHead:
    """Dense layers, with ReLU after each but the last, and softmax after that.

    Attributes:
        layers: weights, float32 [inputs, outputs], and biases, float32 [outputs], of each layer; without hidden layers one pair
            of [D, C] and [C].
    """

    def __init__(self, bottleneck_size: int, n_classes: int, rng: np.random.Generator, hidden_units: Sequence[int] = ()) -> None:
        """Initialize the head with zero biases and random weights.

        Without hidden layers the weights are the original's: a normal distribution with standard deviation 0.001, truncated at
        two deviations. With hidden layers that would learn slowly, so all layers use Keras' default, Glorot's uniform.
        """
        sizes = [bottleneck_size, *hidden_units, n_classes]
        self.layers: list[tuple[FloatArray, FloatArray]] = []
        for shape in itertools.pairwise(sizes):
            weights = glorot_uniform(shape, rng) if hidden_units else truncated_normal(shape, INITIAL_STDDEV, rng)
            self.layers.append((weights, np.zeros(shape[1], np.float32)))

    @property
    def variables(self) -> list[FloatArray]:
        """Weights and biases of each layer in turn; changing them changes the head."""
        return [variable for layer in self.layers for variable in layer]

    @property
    def weights(self) -> FloatArray:
        """Weights of the last layer, float32 [D, C] without hidden layers."""
        return self.layers[-1][0]

    @property
    def biases(self) -> FloatArray:
        """Biases of the last layer, float32 [C]."""
        return self.layers[-1][1]

    @property
    def size(self) -> int:
        """Number of parameters."""
        return sum(variable.size for variable in self.variables)

    def logits(self, bottlenecks: FloatArray) -> FloatArray:
        """Return the logits, float32 [N, D] → float32 [N, C]."""
        values = bottlenecks
        for weights, biases in self.layers[:-1]:
            values = np.maximum(values @ weights + biases, 0)
        return values @ self.weights + self.biases

    def loss(self, bottlenecks: FloatArray, classes: Targets, settings: LossSettings) -> float:
        """Return the loss on float32 [N, D] and int64 [N], without dropout."""
        penalty = settings.l2 * sum(float(np.vdot(weights, weights)) for weights, _ in self.layers)
        return self._mean_loss(self.logits(bottlenecks), classes, settings) + penalty

    def gradients(
        self, bottlenecks: FloatArray, classes: Targets, settings: LossSettings, rng: np.random.Generator | None = None
    ) -> list[FloatArray]:
        """Return the gradient of the loss on a batch with respect to each of `variables`.

        Args:
            bottlenecks: float32 [B, D].
            classes: int64 [B].
            settings: of the loss function.
            rng: needed for dropout alone.
        """
        inputs = self._inputs(bottlenecks, settings.dropout, rng)
        dlogits = self._gradient_of_logits(inputs[-1] @ self.weights + self.biases, classes, settings)
        gradients: list[FloatArray] = []
        doutputs = dlogits
        for (weights, _), values in zip(reversed(self.layers), reversed(inputs), strict=True):
            dweights = values.T @ doutputs
            if settings.l2:
                dweights += np.float32(2 * settings.l2) * weights
            gradients[:0] = [dweights, doutputs.sum(axis=0)]
            if len(gradients) < 2 * len(self.layers):
                # The gradient is 0 where ReLU or dropout made a value 0; the values that dropout kept were scaled.
                doutputs = (doutputs @ weights.T) * (values > 0) * np.float32(1 / (1 - settings.dropout))
        return gradients

    @staticmethod
    def probabilities(logits: FloatArray) -> FloatArray:
        """Return the probabilities of logits, float32 [N, C] → float32 [N, C]."""
        return softmax(logits)

    def _mean_loss(self, logits: FloatArray, classes: Targets, settings: LossSettings) -> float:
        smoothing = settings.label_smoothing
        target_logits = (1 - smoothing) * logits[np.arange(len(classes)), classes] + smoothing * logits.mean(axis=1)
        weights_of = 1 if settings.class_weights is None else settings.class_weights[classes]
        return float((weights_of * (log_sum_exp(logits) - target_logits)).mean())

    def _gradient_of_logits(self, logits: FloatArray, classes: Targets, settings: LossSettings) -> FloatArray:
        """Return `class weight · (softmax - target) / B`, float32 [B, C]."""
        dlogits = softmax(logits)
        if settings.label_smoothing:
            dlogits -= np.float32(settings.label_smoothing / len(self.biases))
        dlogits[np.arange(len(classes)), classes] -= np.float32(1 - settings.label_smoothing)
        if settings.class_weights is not None:
            dlogits *= settings.class_weights[classes][:, np.newaxis]
        dlogits *= np.float32(1 / len(classes))
        return dlogits

    def _inputs(self, bottlenecks: FloatArray, dropout: float, rng: np.random.Generator | None) -> list[FloatArray]:
        """Return the input of each layer during training."""
        if len(self.layers) == 1:
            return [_dropped(bottlenecks, dropout, rng)]
        inputs = [bottlenecks]
        for weights, biases in self.layers[:-1]:
            inputs.append(_dropped(np.maximum(inputs[-1] @ weights + biases, 0), dropout, rng))
        return inputs


class SigmoidHead(SoftmaxHead):
    """The same layers for images with several labels: a sigmoid of each logit, and binary cross entropy.

    In place of classes it takes targets, float32 [N, C]. The loss is the mean over images and labels of `class weight · binary
    cross entropy`; label smoothing moves targets towards 0.5, as Keras' `BinaryCrossentropy` defines it.
    """

    @staticmethod
    def probabilities(logits: FloatArray) -> FloatArray:
        """Return the probability of each label, float32 [N, C] → float32 [N, C]."""
        return sigmoid(logits)

    def _mean_loss(self, logits: FloatArray, classes: Targets, settings: LossSettings) -> float:
        losses = binary_cross_entropies(logits, _smoothed(classes, settings))
        return float((losses if settings.class_weights is None else losses * settings.class_weights).mean())

    def _gradient_of_logits(self, logits: FloatArray, classes: Targets, settings: LossSettings) -> FloatArray:
        """Return `class weight · (sigmoid - target) / (B · C)`, float32 [B, C]."""
        dlogits = sigmoid(logits) - _smoothed(classes, settings)
        if settings.class_weights is not None:
            dlogits *= settings.class_weights
        dlogits *= np.float32(1 / dlogits.size)
        return dlogits.astype(np.float32)


def _smoothed(targets: Targets, settings: LossSettings) -> FloatArray:
    smoothing = np.float32(settings.label_smoothing)
    return targets * (1 - smoothing) + smoothing / 2


def _dropped(values: FloatArray, dropout: float, rng: np.random.Generator | None) -> FloatArray:
    if not dropout or rng is None:
        return values
    kept = rng.random(values.shape, dtype=np.float32) >= dropout
    return values * kept * np.float32(1 / (1 - dropout))


def truncated_normal(shape: tuple[int, ...], stddev: float, rng: np.random.Generator) -> FloatArray:
    """Return normal draws with the given standard deviation, float32; those beyond two deviations are drawn again."""
    values = rng.standard_normal(shape, dtype=np.float32)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = rng.standard_normal(int(beyond.sum()), dtype=np.float32)
    return values * np.float32(stddev)


def glorot_uniform(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Return uniform draws within ±sqrt(6 / (inputs + outputs)), float32 (Glorot and Bengio 2010, formula 16)."""
    limit = np.float32(np.sqrt(6 / sum(shape)))
    return (2 * rng.random(shape, dtype=np.float32) - 1) * limit
