"""The new top layers: softmax(bottlenecks · W + b), the original's, or hidden layers before it.

Written in numpy: a step is two small matrix products, so that calls into a heavier runtime would cost more than the arithmetic.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrain.arrays import FloatArray, IndexArray
from retrain.evaluation.metrics import softmax

INITIAL_STDDEV = 0.001


@dataclass(frozen=True)
class Loss:
    """What a head is trained to make small: the mean over a batch of `class weight · cross entropy`, and a penalty.

    Attributes:
        label_smoothing: share of the target that is spread evenly over all classes, as Keras defines it.
        class_weights: float32 [C], what an image of each class counts; None counts all as 1.
        l2: adds `l2 · sum(w²)` over all weights (not biases), as Keras' regulariser of that name.
        dropout: share of the values that a training step sets to 0, after each hidden layer, or where there is none of the
            bottlenecks; the others are scaled up by `1 / (1 - dropout)`.
    """

    label_smoothing: float = 0.0
    class_weights: FloatArray | None = None
    l2: float = 0.0
    dropout: float = 0.0


class SoftmaxHead:
    """Dense layers, with ReLU after each but the last, and softmax after that.

    Attributes:
        layers: the weights, float32 [inputs, outputs], and biases, float32 [outputs], of each layer; without hidden layers one
            pair of [D, C] and [C].
    """

    def __init__(self, bottleneck_size: int, n_classes: int, rng: np.random.Generator, hidden_units: Sequence[int] = ()) -> None:
        """Biases are zero.

        Without hidden layers the weights are the original's: a normal distribution with standard deviation 0.001, truncated at
        two deviations. With hidden layers that would learn slowly: then all are Keras' default, Glorot's uniform.
        """
        sizes = [bottleneck_size, *hidden_units, n_classes]
        self.layers: list[tuple[FloatArray, FloatArray]] = []
        for shape in itertools.pairwise(sizes):
            weights = glorot_uniform(shape, rng) if hidden_units else truncated_normal(shape, INITIAL_STDDEV, rng)
            self.layers.append((weights, np.zeros(shape[1], np.float32)))

    @property
    def variables(self) -> list[FloatArray]:
        """Weights and biases of each layer in turn; who changes them changes the head."""
        return [variable for layer in self.layers for variable in layer]

    @property
    def weights(self) -> FloatArray:
        """Of the last layer, float32 [D, C] without hidden layers."""
        return self.layers[-1][0]

    @property
    def biases(self) -> FloatArray:
        """Of the last layer, float32 [C]."""
        return self.layers[-1][1]

    @property
    def size(self) -> int:
        """How many numbers there are to train."""
        return sum(variable.size for variable in self.variables)

    def logits(self, bottlenecks: FloatArray) -> FloatArray:
        """float32 [N, D] → float32 [N, C]."""
        values = bottlenecks
        for weights, biases in self.layers[:-1]:
            values = np.maximum(values @ weights + biases, 0)
        return values @ self.weights + self.biases

    def loss(self, bottlenecks: FloatArray, classes: IndexArray, loss: Loss) -> float:
        """The loss on float32 [N, D] and int64 [N], without dropout."""
        logits = self.logits(bottlenecks)
        highest = logits.max(axis=1)
        log_sums = highest + np.log(np.exp(logits - highest[:, np.newaxis]).sum(axis=1))
        smoothing = loss.label_smoothing
        wanted = (1 - smoothing) * logits[np.arange(len(classes)), classes] + smoothing * logits.mean(axis=1)
        counts = 1 if loss.class_weights is None else loss.class_weights[classes]
        penalty = loss.l2 * sum(float(np.vdot(weights, weights)) for weights, _ in self.layers)
        return float((counts * (log_sums - wanted)).mean()) + penalty

    def gradients(
        self, bottlenecks: FloatArray, classes: IndexArray, loss: Loss, rng: np.random.Generator | None = None
    ) -> list[FloatArray]:
        """Of the loss on a batch, float32 [B, D] and int64 [B], by each of `variables`; by the logits it is
        `class weight · (softmax - target) / B`. `rng` is needed for dropout alone.
        """
        inputs = self._inputs(bottlenecks, loss.dropout, rng)
        slope = softmax(inputs[-1] @ self.weights + self.biases)
        if loss.label_smoothing:
            slope -= np.float32(loss.label_smoothing / len(self.biases))
        slope[np.arange(len(classes)), classes] -= np.float32(1 - loss.label_smoothing)
        if loss.class_weights is not None:
            slope *= loss.class_weights[classes][:, np.newaxis]
        slope *= np.float32(1 / len(classes))
        gradients: list[FloatArray] = []
        for (weights, _), values in zip(reversed(self.layers), reversed(inputs), strict=True):
            by_weights = values.T @ slope
            if loss.l2:
                by_weights += np.float32(2 * loss.l2) * weights
            gradients[:0] = [by_weights, slope.sum(axis=0)]
            if len(gradients) < 2 * len(self.layers):
                # Nothing goes back where ReLU or dropout made a value 0; what dropout left was scaled.
                slope = (slope @ weights.T) * (values > 0) * np.float32(1 / (1 - loss.dropout))
        return gradients

    def _inputs(self, bottlenecks: FloatArray, dropout: float, rng: np.random.Generator | None) -> list[FloatArray]:
        """The input of each layer during training."""
        if len(self.layers) == 1:
            return [_dropped(bottlenecks, dropout, rng)]
        inputs = [bottlenecks]
        for weights, biases in self.layers[:-1]:
            inputs.append(_dropped(np.maximum(inputs[-1] @ weights + biases, 0), dropout, rng))
        return inputs


def _dropped(values: FloatArray, dropout: float, rng: np.random.Generator | None) -> FloatArray:
    if not dropout or rng is None:
        return values
    kept = rng.random(values.shape, dtype=np.float32) >= dropout
    return values * kept * np.float32(1 / (1 - dropout))


def truncated_normal(shape: tuple[int, ...], stddev: float, rng: np.random.Generator) -> FloatArray:
    """Normal draws with the given standard deviation, float32; those beyond two deviations are drawn again."""
    values = rng.standard_normal(shape, dtype=np.float32)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = rng.standard_normal(int(beyond.sum()), dtype=np.float32)
    return values * np.float32(stddev)


def glorot_uniform(shape: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """Uniform draws within ±sqrt(6 / (inputs + outputs)), float32 (Glorot and Bengio 2010, formula 16)."""
    limit = np.float32(np.sqrt(6 / sum(shape)))
    return (2 * rng.random(shape, dtype=np.float32) - 1) * limit
