"""TensorFlow 1's bilinear resize, bit for bit, on photos of uint8; and the crop and the scaling of pixels around it.

All cached bottlenecks, the original's too, were made of photos on this grid. Its formula, in float32: `x = i · (n_in / n_out)`,
`low = floor(x)`, `high = min(low + 1, n_in - 1)`; then `low + (high - low) · (x - low)`, along each row and between two rows.
"""

import functools
import threading
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from retrain.arrays import FloatArray
from retrain.input_spec import CROP_FRACTION, RGB, SQUASH, InputSpec

PixelArray: TypeAlias = npt.NDArray[np.uint8]

# Rows of a result that are computed together. Fewer would stay in nearer caches, but each operation of NumPy takes Python's lock
# again, for which the threads wait.
ROWS_AT_ONCE = 128
N_CHANNELS = 4  # Of a pixel in memory; the last is left out of the result.
_buffers = threading.local()


@dataclass(frozen=True)
class Axis:
    """Where the values along one axis of a result come from.

    Attributes:
        low, high: indices of the two neighbours in the photo, int64 [n].
        fraction: weight of the second one, float32 [n].
    """

    low: npt.NDArray[np.intp]
    high: npt.NDArray[np.intp]
    fraction: FloatArray

    def part(self, start: int, size: int, mirrored: bool = False) -> "Axis":
        """Return `size` values from `start` on, or the same from the last to the first."""
        chosen = slice(start, start + size)
        step = -1 if mirrored else 1
        return Axis(self.low[chosen][::step], self.high[chosen][::step], self.fraction[chosen][::step])


@dataclass(frozen=True)
class Levels:
    """Arithmetic on the grey levels: `(level · brightness - mean) · (1 / std)`, in float32 and in this order."""

    mean: float
    std: float
    brightness: float | None = None

    def apply(self, levels: FloatArray) -> None:
        """Change the levels in place. The multiplication by `1 / std` is the original's."""
        if self.brightness is not None:
            levels *= np.float32(self.brightness)
        levels -= np.float32(self.mean)
        levels *= np.float32(1.0 / self.std)


@functools.lru_cache(maxsize=256)
def axis(n_in: int, n_out: int) -> Axis:
    """Return the axis of a resize from `n_in` to `n_out` pixels."""
    x = np.arange(n_out, dtype=np.float32) * (np.float32(n_in) / np.float32(n_out))
    low = np.floor(x).astype(np.intp)
    return Axis(low, np.minimum(low + 1, n_in - 1), x - low.astype(np.float32))


def resized(pixels: PixelArray, rows: Axis, columns: Axis, levels: Levels) -> FloatArray:
    """Resize a photo.

    Args:
        pixels: uint8 [h, w, 4].
        rows: the H rows of the result.
        columns: its W columns.
        levels: what is done to the grey levels afterwards.

    Returns:
        float32 [H, W, 3].
    """
    # A pixel is moved as one number of four bytes: taking rows and columns would cost more than the arithmetic otherwise.
    photo = pixels.view(np.uint32)[..., 0]
    height, width = len(rows.low), len(columns.low)
    result = np.empty((height, width, 3), np.float32)
    fractions = np.repeat(columns.fraction, N_CHANNELS)
    for start in range(0, height, ROWS_AT_ONCE):
        block = rows.part(start, ROWS_AT_ONCE)
        n = len(block.low)
        both = photo[np.concatenate([block.low, block.high])]
        left, right = _columns_of(both, columns.low, 0), _columns_of(both, columns.high, 1)
        right -= left
        right *= fractions
        right += left
        upper, lower = right[:n], right[n:]
        lower -= upper
        lower *= block.fraction[:, np.newaxis]
        lower += upper
        levels.apply(lower)
        for channel, values in zip(range(3), np.moveaxis(lower.reshape(n, width, N_CHANNELS), -1, 0), strict=False):
            result[start : start + n, :, channel] = values  # Copying three of four at once takes four times as long.
    return result


def _columns_of(rows: npt.NDArray[np.uint32], columns: npt.NDArray[np.intp], number: int) -> FloatArray:
    """Return the columns of some rows, uint32 [n, w] → float32 [n, W · 4], in memory that the next call of this thread reuses."""
    needed = len(rows) * len(columns)
    buffers = _buffers.__dict__.setdefault("of_columns", {})  # Each thread has a `__dict__` of its own.
    if number not in buffers or len(buffers[number][0]) < needed:
        buffers[number] = np.empty(needed, np.uint32), np.empty(needed * N_CHANNELS, np.float32)
    taken, floats = buffers[number]
    shape = (len(rows), len(columns))
    chosen = taken[:needed].reshape(shape)
    rows.take(columns, 1, chosen, "clip")
    values = floats[: needed * N_CHANNELS].reshape(len(rows), -1)
    values[...] = chosen.view(np.uint8)
    return values


def fit(pixels: PixelArray, spec: InputSpec) -> FloatArray:
    """Make the network's input of a decoded photo: uint8 [h, w, 4] → float32 [H, W, 3]."""
    part = shaped(pixels, spec)
    height, width = part.shape[:2]
    return in_order(resized(part, axis(height, spec.height), axis(width, spec.width), Levels(spec.mean, spec.std)), spec)


def in_order(image: FloatArray, spec: InputSpec) -> FloatArray:
    """Return an image, float32 [H, W, 3] of red, green and blue, with its colours in the order of the network's input."""
    return image if spec.channel_order == RGB else np.ascontiguousarray(image[..., ::-1])


def shaped(pixels: PixelArray, spec: InputSpec) -> PixelArray:
    """Return the part of a photo that is resized: all of it, or the centre in the shape of the input."""
    top, left, tall, wide = box(pixels.shape[0], pixels.shape[1], spec)
    return pixels[top : top + tall, left : left + wide]


def box(height: int, width: int, spec: InputSpec) -> tuple[int, int, int, int]:
    """Return the first row, the first column, the height and the width of the part of a photo that is resized."""
    if spec.resize == SQUASH:
        return 0, 0, height, width
    share, of = CROP_FRACTION
    # The largest rectangle of the input's shape, and the middle of that.
    largest = min(height, width * spec.height // spec.width), min(width, height * spec.width // spec.height)
    tall, wide = (max(side * share // of, 1) for side in largest)
    return (height - tall) // 2, (width - wide) // 2, tall, wide
