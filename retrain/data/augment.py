"""Random flips, crops, scales and brightnesses, so that the head learns to ignore what does not matter."""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from retrain.arrays import BatchFunction, FloatArray, IndexArray
from retrain.data.decode import decode_by, normalise, resize
from retrain.data.loader import BATCHES_AHEAD, decoded_batches, run_padded, suitable_batch_size
from retrain.errors import ImageFolderError
from retrain.input_spec import InputSpec

N_DRAWS = 5
# So many draws in a row whose images cannot be decoded, besides those under way, mean that the images are gone.
MOST_LOST = 1000


@dataclass(frozen=True)
class Distortion:
    """How much training images are changed.

    Attributes:
        flip_left_right: mirror half of them.
        random_crop, random_scale, random_brightness: percentages, as the flags of these names.
    """

    flip_left_right: bool
    random_crop: int
    random_scale: int
    random_brightness: int

    def draw(self, n_images: int, rng: np.random.Generator) -> FloatArray:
        """The random part for a batch, float32 [N, 5]: enlargement, crop place down and across in [0, 1), mirror, brightness."""
        draws = rng.random((n_images, N_DRAWS), dtype=np.float32)
        margin, reach = 1 + self.random_crop / 100, self.random_brightness / 100
        draws[:, 0] = margin * (1 + draws[:, 0] * self.random_scale / 100)
        draws[:, 3] = (draws[:, 3] < 0.5) & self.flip_left_right
        draws[:, 4] = 1 - reach + 2 * reach * draws[:, 4]
        return draws


def distort(pixels: tf.Tensor, draws: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    """Distorts one image: uint8 [h, w, 3] and float32 [5] of `Distortion.draw` → float32 [H, W, 3].

    The original's order: enlarge, crop to the input size, mirror, brightness, then mean and standard deviation.
    """
    height, width = (tf.cast(draws[0] * float(size), tf.int32) for size in (spec.height, spec.width))
    image = resize(pixels, height, width)
    top = tf.cast(draws[1] * tf.cast(height - spec.height + 1, tf.float32), tf.int32)
    left = tf.cast(draws[2] * tf.cast(width - spec.width + 1, tf.float32), tf.int32)
    cropped = tf.slice(image, [top, left, 0], [spec.height, spec.width, 3])
    mirrored = tf.where(draws[3] > 0, tf.reverse(cropped, [1]), cropped)
    return normalise(mirrored * draws[4], spec.mean, spec.std)


def distorted_bottlenecks(
    paths: Sequence[str],
    for_pillow: Collection[int],
    draw_positions: Callable[[], IndexArray],
    distortion: Distortion,
    rng: np.random.Generator,
    network: BatchFunction,
    spec: InputSpec,
    batch_size: int | None = None,
) -> Iterator[tuple[IndexArray, FloatArray]]:
    """Draws, decodes and distorts images and runs them through the network, without end; what comes next is prepared meanwhile.

    Args:
        paths: N image files. One that cannot be decoded any more drops out, and the next draw takes its place.
        for_pillow: positions of the images that TensorFlow cannot decode.
        draw_positions: gives the positions of one training batch, int64 [B].
        distortion: how much the images are changed.
        rng: the source of the random changes.
        network: float32 [n, H, W, 3] → float32 [n, D].
        spec: the network's input.
        batch_size: how many images go through the network together; None chooses.

    Yields:
        Positions, int64 [n], and bottlenecks, float32 [n, D]; n is the network's batch, whatever the size of the training batch.

    Raises:
        ImageFolderError: none of the images can be decoded any more.
    """
    size = batch_size or suitable_batch_size(spec)
    since_decoded = [0]  # Draws.

    def draws() -> Iterator[tuple[IndexArray, FloatArray]]:
        while since_decoded[0] <= MOST_LOST + (BATCHES_AHEAD + 2) * size:
            positions = draw_positions()
            yield positions, distortion.draw(len(positions), rng)
            since_decoded[0] += len(positions)

    by_pillow = np.zeros(len(paths), bool)
    by_pillow[list(for_pillow)] = True
    all_paths, by_pillow = tf.constant([os.fsencode(path) for path in paths]), tf.constant(by_pillow)
    signature = (tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, N_DRAWS], tf.float32))
    drawn = tf.data.Dataset.from_generator(draws, output_signature=signature).unbatch()
    numbered = drawn.map(lambda position, draw: (position, all_paths[position], by_pillow[position], draw))

    def image(path: tf.Tensor, pillow: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
        return distort(decode_by(pillow, tf.io.read_file(path)), draw, spec)

    for positions, images in decoded_batches(numbered, image, size):
        since_decoded[0] = 0
        yield positions, run_padded(network, images, size)
    raise ImageFolderError("The training images can no longer be decoded. Is their folder still there?")
