"""The tensors of a checkpoint, as the weights of convolutions with BatchNorm folded in."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from retrain.arrays import FloatArray
from retrain.backbones.efficientnet_lite.variants import Variant
from retrain.errors import ModelError, shown

EPSILON = 1e-3  # Of BatchNorm, in the published program (tensorflow/tpu) and in the port that the checkpoints belong to.
Double = npt.NDArray[np.float64]


class Weights:
    """Tensors of a checkpoint, each of which must be used exactly once.

    Raises:
        ModelError: (by each method) a tensor is missing, unexpected, or of a wrong shape, type or value.
    """

    def __init__(self, variant: Variant, tensors: Mapping[str, npt.NDArray[np.generic]]) -> None:
        self._variant = variant
        self._unused = dict(tensors)

    def take(self, name: str, *shape: int, dtype: type[np.generic] = np.float32) -> npt.NDArray[np.generic]:
        """Return the tensor of that name, and remove it from the unused ones."""
        tensor = self._unused.pop(name, None)
        if tensor is None:
            raise self._error(f"it lacks the tensor {name}")
        if tensor.shape != shape or tensor.dtype != dtype:
            expected, found = f"{dtype.__name__} {list(shape)}", f"{tensor.dtype.name} {list(tensor.shape)}"
            raise self._error(f"its tensor {name} must be {expected} and is {found}")
        if not np.isfinite(tensor.astype(np.float64)).all():
            raise self._error(f"its tensor {name} has values that are not finite")
        return tensor

    def convolution(self, name: str, batch_norm: str, shape: tuple[int, int, int, int]) -> tuple[FloatArray, FloatArray]:
        """Return a convolution and the BatchNorm after it as kernel, [height, width, inputs, outputs], and biases, [outputs]; float32.

        `gamma · (conv(x) - mean) / sqrt(variance + EPSILON) + beta` is a convolution again. It is computed in float64, by
        additions, products, quotients and square roots alone, each of which IEEE 754 rounds in the same way everywhere.

        Args:
            name: the convolution.
            batch_norm: the BatchNorm.
            shape: of the kernel in PyTorch: outputs, inputs, height, width.
        """
        kernel, scale, shift = self._folded(name, batch_norm, shape)
        return (kernel * scale).astype(np.float32), shift.astype(np.float32)

    def depthwise(self, name: str, batch_norm: str, filters: int, size: int) -> tuple[FloatArray, FloatArray]:
        """Return those of a depthwise convolution as `convolution` does; the kernel is float32 [size, size, filters, 1]."""
        kernel, scale, shift = self._folded(name, batch_norm, (filters, 1, size, size))
        return (kernel * scale).transpose(0, 1, 3, 2).astype(np.float32), shift.astype(np.float32)

    def dense(self, name: str, inputs: int, outputs: int) -> tuple[FloatArray, FloatArray]:
        """Return weights and biases of a dense layer, float32 [inputs, outputs] and [outputs]."""
        weights = self.take(f"{name}.weight", outputs, inputs)
        return weights.T.astype(np.float32), self.take(f"{name}.bias", outputs).astype(np.float32)

    def check_all_used(self) -> None:
        """Raise ModelError if a tensor was not taken."""
        if self._unused:
            raise self._error(f"it has a tensor {shown(min(self._unused)[:100])} that {self._variant.name} does not use")

    def _folded(self, name: str, batch_norm: str, shape: tuple[int, int, int, int]) -> tuple[Double, Double, Double]:
        """Return a kernel, [height, width, inputs, outputs], and what scales and shifts each output."""
        kernel = self.take(f"{name}.weight", *shape).astype(np.float64).transpose(2, 3, 1, 0)
        gamma, beta, mean, variance = (
            self.take(f"{batch_norm}.{part}", shape[0]).astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        self.take(f"{batch_norm}.num_batches_tracked", dtype=np.int64)  # A counter of the training.
        if variance.min() < 0:
            raise self._error(f"its tensor {batch_norm}.running_var has a negative variance")
        scale = gamma / np.sqrt(variance + EPSILON)
        return kernel, scale, beta - mean * scale

    def _error(self, found: str) -> ModelError:
        return ModelError(
            f"The checkpoint {self._variant.checkpoint} is not that of {self._variant.name}: {found}. "
            f"Install it again: {self._variant.install_again}"
        )
