"""Random flips, crops, scales and brightness changes of training images."""

import os
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from retrain.arrays import BatchFunction, FloatArray, IndexArray
from retrain.data.decode import decode_by, normalise, resize, shaped
from retrain.data.loader import BATCHES_AHEAD, decoded_batches, find_decoders, run_padded, suitable_batch_size
from retrain.errors import ImageFolderError
from retrain.input_spec import InputSpec
from retrain.options.augmentation import AugmentationOptions

N_DRAWS = 5
# After this many draws in a row without an image, besides those under way, the images are taken as removed.
MOST_LOST = 1000


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


def distort(pixels: tf.Tensor, draws: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """Distort one image: uint8 [h, w, 3] and float32 [5] of `draw_distortions` → float32 [H, W, 3].

    The original's order: enlarge, crop to the input size, mirror, brightness, then mean and standard deviation. With
    `--resize crop`, only the centre of the photo is used.
    """
    height, width = (tf.cast(draws[0] * float(size), tf.int32) for size in (spec.height, spec.width))
    image = resize(shaped(pixels, spec), height, width)
    top = tf.cast(draws[1] * tf.cast(height - spec.height + 1, tf.float32), tf.int32)
    left = tf.cast(draws[2] * tf.cast(width - spec.width + 1, tf.float32), tf.int32)
    cropped = tf.slice(image, [top, left, 0], [spec.height, spec.width, 3])
    mirrored = tf.where(draws[3] > 0, tf.reverse(cropped, [1]), cropped)
    return normalise(mirrored * draws[4], spec.mean, spec.std)


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
        """Determine how each file can be decoded.

        Args:
            files: path of each training image, by any index that identifies it to the caller.
            options: how much the images are changed.
            rng: source of the random changes.
            spec: the network's input.
            batch_size: number of images in a batch; None selects a suitable one.
        """
        self.batch_size = batch_size or suitable_batch_size(spec)
        self._options, self._rng, self._spec = options, rng, spec
        for_pillow, self.failed = find_decoders(files)
        self._paths = [os.fsencode(files.get(index, "")) for index in range(max(files, default=-1) + 1)]
        self._for_pillow = [index in for_pillow for index in range(len(self._paths))]

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

        def draws() -> Iterator[tuple[IndexArray, FloatArray]]:
            nonlocal n_lost
            while n_lost <= MOST_LOST + (BATCHES_AHEAD + 2) * self.batch_size:
                indices = draw_indices()
                yield indices, self.draw(len(indices))
                n_lost += len(indices)

        paths, for_pillow = tf.constant(self._paths, tf.string), tf.constant(self._for_pillow, tf.bool)
        signature = (tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, N_DRAWS], tf.float32))
        drawn = tf.data.Dataset.from_generator(draws, output_signature=signature).unbatch()
        numbered = drawn.map(lambda index, draw: (index, paths[index], for_pillow[index], draw))

        def image(path: tf.Tensor, by_pillow: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
            return distort(decode_by(by_pillow, tf.io.read_file(path)), draw, self._spec)

        for indices, images in decoded_batches(numbered, image, self.batch_size):
            n_lost = 0
            yield indices, images
        raise ImageFolderError("The training images can no longer be decoded. Is their folder still there?")
