"""Random flips, crops, scales and brightness changes of training images."""

import concurrent.futures
import threading
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from retrain.arrays import BatchFunction, FloatArray, IndexArray
from retrain.data.decode import decode, read_image
from retrain.data.loader import BATCHES_AHEAD, N_CORES, decoded_batches, rebatch, run_padded, suitable_batch_size
from retrain.data.remarks import Remarks
from retrain.data.resize import Levels, PixelArray, axis, in_order, resized, shaped
from retrain.errors import ImageError, ImageFolderError
from retrain.input_spec import InputSpec
from retrain.options.augmentation import AugmentationOptions
from retrain.process.interruption import raise_if_interrupted

N_DRAWS = 5
# After this many draws in a row without an image, besides those under way, the images are taken as removed.
MOST_LOST = 1000
KEPT_BYTES = 1 << 30  # Of decoded photos: some 3,500 of 320 × 240 pixels.


def draw_distortions(options: AugmentationOptions, n_images: int, rng: np.random.Generator) -> FloatArray:
    """Draw the random part of the distortions, float32 [n_images, 5].

    The columns are the enlargement, the vertical and horizontal crop position in [0, 1), 1 to mirror, and the brightness factor.
    """
    draws = rng.random((n_images, N_DRAWS), dtype=np.float32)
    margin, reach = 1 + options.random_crop / 100, options.random_brightness / 100
    draws[:, 0] = margin * (1 + draws[:, 0] * options.random_scale / 100)
    draws[:, 3] = (draws[:, 3] < 0.5) & options.flip_left_right
    draws[:, 4] = 1 - reach + 2 * reach * draws[:, 4]
    return draws


def distort(pixels: PixelArray, draws: FloatArray, spec: InputSpec) -> FloatArray:
    """Distort one image: uint8 [h, w, 4] and float32 [5] of `draw_distortions` → float32 [H, W, 3].

    The original's order: enlarge, crop to the input size, mirror, brightness, then mean and standard deviation. Only what the
    crop keeps is computed. With `--resize crop`, only the centre of the photo is used.
    """
    part = shaped(pixels, spec)
    enlarged = [int(draws[0] * np.float32(size)) for size in (spec.height, spec.width)]
    top, left = (
        int(draw * np.float32(larger - size + 1))
        for draw, larger, size in zip(draws[1:3], enlarged, (spec.height, spec.width), strict=True)
    )
    rows = axis(part.shape[0], enlarged[0]).part(top, spec.height)
    columns = axis(part.shape[1], enlarged[1]).part(left, spec.width, mirrored=bool(draws[3] > 0))
    return in_order(resized(part, rows, columns, Levels(spec.mean, spec.std, draws[4])), spec)


class DistortedLoader:
    """Loader of training images that are drawn and distorted at random, without end.

    Attributes:
        batch_size: number of images in a batch.
        failed: reason for each image that cannot be decoded, by its index.
    """

    def __init__(
        self,
        files: Mapping[int, str],
        options: AugmentationOptions,
        rng: np.random.Generator,
        spec: InputSpec,
        batch_size: int | None = None,
    ) -> None:
        """Decode each file once, to know which ones can be decoded.

        Args:
            files: path of each training image, by any index that identifies it to the caller.
            options: how much the images are changed.
            rng: source of the random changes.
            spec: the network's input.
            batch_size: number of images in a batch; None selects a suitable one.
        """
        self.batch_size = batch_size or suitable_batch_size(spec)
        self._options, self._rng, self._spec = options, rng, spec
        self._photos = _Photos(files, spec)
        self.failed = self._photos.failures()
        self._photos.remarks.warn_of_nearly_black(files)

    def draw(self, n_images: int) -> FloatArray:
        """Draw the random part of the distortions of the next images, float32 [n_images, 5]."""
        return draw_distortions(self._options, n_images, self._rng)

    def outputs(self, draw_indices: Callable[[], IndexArray], network: BatchFunction) -> Iterator[tuple[IndexArray, FloatArray]]:
        """Run the images of `batches` through a network. Yield indices, int64 [n], and outputs, float32 [n, D]."""
        for indices, images in self.batches(draw_indices):
            yield indices, run_padded(network, images, self.batch_size)

    def batches(self, draw_indices: Callable[[], IndexArray]) -> Iterator[tuple[IndexArray, FloatArray]]:
        """Draw, decode and distort images, some batches ahead.

        Args:
            draw_indices: draws the indices of the files of one training batch, int64 [B].

        Yields:
            Indices, int64 [n], and images, float32 [n, H, W, 3]; n is `batch_size`, whatever B is. A draw whose image cannot be
            decoded is left out, and the next draw takes its place.

        Raises:
            ImageFolderError: none of the images can be decoded any more.
        """
        n_lost = 0

        def draws() -> Iterator[tuple[int, FloatArray]]:
            nonlocal n_lost
            while n_lost <= MOST_LOST + (BATCHES_AHEAD + 2) * self.batch_size:
                indices = draw_indices()
                yield from zip(indices.tolist(), self.draw(len(indices)), strict=True)
                n_lost += len(indices)

        def image(task: tuple[int, FloatArray]) -> FloatArray:
            index, drawn = task
            return distort(self._photos[index], drawn, self._spec)

        def decodable() -> Iterator[tuple[IndexArray, FloatArray]]:
            nonlocal n_lost
            for tasks, images, errors in decoded_batches(draws(), image, self._spec, self.batch_size):
                kept = [row for row in range(len(tasks)) if row not in errors]
                if kept:
                    n_lost = 0
                    yield np.array([tasks[row][0] for row in kept], np.int64), images[kept] if errors else images
            raise ImageFolderError("The training images can no longer be decoded. Is their folder still there?")

        return rebatch(decodable(), self.batch_size)


class _Photos:
    """Decoded photos, read from their files. As many as fit into KEPT_BYTES are kept, since each is drawn again and again."""

    def __init__(self, files: Mapping[int, str], spec: InputSpec) -> None:
        self._files, self._spec = files, spec
        self.remarks = Remarks()
        self._kept: dict[int, PixelArray] = {}
        self._n_bytes = 0
        self._lock = threading.Lock()

    def __getitem__(self, index: int) -> PixelArray:
        """Return a photo's pixels, uint8 [h, w, 4]. Raises ImageError."""
        kept = self._kept.get(index)
        if kept is not None:
            return kept
        contents = read_image(self._files[index])
        pixels = decode(contents, self._spec)
        self.remarks.note(index, contents, pixels)
        with self._lock:
            if index not in self._kept and self._n_bytes + pixels.nbytes <= KEPT_BYTES:
                self._kept[index] = pixels
                self._n_bytes += pixels.nbytes
        return pixels

    def failures(self) -> dict[int, str]:
        """Return the reason for each photo that cannot be decoded, by its index."""
        failed = {}
        with concurrent.futures.ThreadPoolExecutor(N_CORES) as pool:
            for index, reason in zip(self._files, pool.map(self._failure, self._files), strict=True):
                raise_if_interrupted()
                if reason:
                    failed[index] = reason
        return failed

    def _failure(self, index: int) -> str | None:
        try:
            _ = self[index]
        except ImageError as error:
            return str(error)
        return None
