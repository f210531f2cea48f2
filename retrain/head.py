"""The new top layer, softmax(bottlenecks · W + b), and its training by plain gradient descent.

Written in numpy: a step is two small matrix products, so that calls into a heavier runtime would cost more than the arithmetic.
"""

from collections.abc import Callable, Iterable

import numpy as np
from threadpoolctl import threadpool_limits

from retrain.arrays import FloatArray, IndexArray
from retrain.interruption import interrupts_deferred, raise_if_interrupted

INITIAL_STDDEV = 0.001
LARGE_HEAD = 2**18  # Weights from which on several threads multiply faster than one.


class SoftmaxHead:
    """A dense layer with softmax.

    Attributes:
        weights: float32 [D, C].
        biases: float32 [C].
    """

    def __init__(self, bottleneck_size: int, n_classes: int, rng: np.random.Generator) -> None:
        """Weights from a normal distribution with standard deviation 0.001 truncated at two deviations, biases zero."""
        self.weights = truncated_normal((bottleneck_size, n_classes), INITIAL_STDDEV, rng)
        self.biases: FloatArray = np.zeros(n_classes, np.float32)

    def logits(self, bottlenecks: FloatArray) -> FloatArray:
        """float32 [N, D] → float32 [N, C]."""
        return bottlenecks @ self.weights + self.biases

    def train_step(self, bottlenecks: FloatArray, classes: IndexArray, learning_rate: float) -> None:
        """One step of gradient descent on the mean softmax cross entropy of a batch, float32 [B, D] and int64 [B].

        The gradient with respect to the logits is `(softmax - one_hot) / B`.
        """
        gradient = softmax(self.logits(bottlenecks))
        gradient[np.arange(len(classes)), classes] -= 1
        gradient *= np.float32(learning_rate / len(classes))
        self.weights -= bottlenecks.T @ gradient
        self.biases -= gradient.sum(axis=0)


def train(
    head: SoftmaxHead,
    batches: Iterable[tuple[FloatArray, IndexArray]],
    learning_rate: float,
    after_step: Callable[[int, FloatArray, IndexArray], None],
    first_step: int = 0,
) -> None:
    """Runs a training step for each batch (float32 [B, D], int64 [B]), then calls `after_step(step, bottlenecks, classes)`.

    Steps are counted from `first_step`. At Ctrl-C it raises KeyboardInterrupt, always between two steps.
    """
    # On small products BLAS threads wait for each other longer than they compute, many times longer where other programs run too.
    threads = 1 if head.weights.size < LARGE_HEAD else None
    quiet = np.errstate(over="ignore", invalid="ignore")
    with threadpool_limits(threads, user_api="blas"), quiet, interrupts_deferred():
        for step, (bottlenecks, classes) in enumerate(batches, first_step):
            raise_if_interrupted()
            head.train_step(bottlenecks, classes, learning_rate)
            after_step(step, bottlenecks, classes)


def softmax(logits: FloatArray) -> FloatArray:
    """float32 [N, C] → float32 [N, C], each row summing to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def truncated_normal(shape: tuple[int, ...], stddev: float, rng: np.random.Generator) -> FloatArray:
    """Normal draws with the given standard deviation, float32; those beyond two deviations are drawn again."""
    values = rng.standard_normal(shape, dtype=np.float32)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = rng.standard_normal(int(beyond.sum()), dtype=np.float32)
    return values * np.float32(stddev)
