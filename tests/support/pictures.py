"""Pictures made for tests: pixels, files of them, and TensorFlow 1's resizing by its definition."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from retrain.arrays import FloatArray
from retrain.input_spec import InputSpec

Pixels = npt.NDArray[np.uint8]


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def soft(height: int, width: int) -> Pixels:
    """Return a smooth picture, which lossy formats hardly change."""
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    return np.stack([40 + 170 * rows, 200 - 150 * columns, 60 + 90 * (rows + columns)], axis=-1).astype(np.uint8)


def encoded(pixels: Pixels | Image.Image, file_format: str, **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def tf1_resize(image: npt.NDArray[Any], height: int, width: int) -> npt.NDArray[np.float64]:
    """TensorFlow 1's ResizeBilinear with align_corners=False, by its definition.

    Output pixel i lies at i · (old size / new size), without the half-pixel shift of newer kernels; it mixes the two pixels
    around that place, the last pixel standing in for those beyond the edge.
    """

    def along(values: npt.NDArray[np.float64], axis: int, size: int) -> npt.NDArray[np.float64]:
        old = values.shape[axis]
        places = np.arange(size, dtype=np.float32) * (np.float32(old) / np.float32(size))
        lower = np.floor(places).astype(int)
        upper = np.minimum(lower + 1, old - 1)
        share = (places - lower).reshape([-1 if i == axis else 1 for i in range(values.ndim)])
        return np.asarray(values.take(lower, axis) * (1 - share) + values.take(upper, axis) * share)

    return along(along(image.astype(np.float64), 0, height), 1, width)


def expected_input(pixels: npt.NDArray[Any], spec: InputSpec) -> npt.NDArray[np.float64]:
    """Return what a network takes of a photo, by the definition."""
    return (tf1_resize(pixels, spec.height, spec.width) - spec.mean) / spec.std


def pictures(count: int, size: int, seed: int = 0) -> FloatArray:
    """Smooth coloured pictures with some noise, float32 [count, size, size, 3] in [-1, 1]."""
    rng = np.random.default_rng(seed)
    waves = rng.uniform(0.02, 0.3, (count, 2, 3))
    places = np.arange(size)
    rows, columns = (np.sin(places[:, np.newaxis] * waves[:, [axis], :]) for axis in (0, 1))
    smooth = 0.4 * rows[:, :, np.newaxis] + 0.4 * columns[:, np.newaxis]
    return (smooth + rng.uniform(-0.2, 0.2, smooth.shape)).astype(np.float32)
