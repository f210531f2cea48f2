"""Image files → batches → network → its outputs, with decoding and the network running at the same time."""

import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from retrain.arrays import BatchFunction, FloatArray
from retrain.errors import ImageError
from retrain.input_spec import InputSpec
from retrain.preprocess import image_from_bytes, image_from_file

# float32 pixels of one batch: large enough to keep the processor's cores busy, small enough to stay near its caches.
BATCH_BYTES = 16 << 20
MAX_BATCH_SIZE = 64
N_CORES = os.cpu_count() or 1


def run_network(
    paths: Sequence[str], network: BatchFunction, spec: InputSpec, failed: dict[int, str]
) -> Iterator[tuple[list[int], FloatArray]]:
    """Runs image files through a network, in batches.

    Args:
        paths: the image files.
        network: float32 [B, H, W, 3] → float32 [B, D].
        spec: the network's input.
        failed: filled with the reason for each image that cannot be decoded, by its position in `paths`.

    Yields:
        Positions in `paths`, and their outputs, float32 [len(positions), D].
    """
    size = batch_size(spec)
    seen = np.zeros(len(paths), bool)
    dataset = numbered_files(paths).map(
        lambda place, path: (place, image_from_bytes(tf.io.read_file(path), spec)), num_parallel_calls=N_CORES
    )
    # What cannot be decoded here drops out alone, not its batch; it is tried again below, where its reason can be named.
    for places, images in dataset.ignore_errors().batch(size).prefetch(2).as_numpy_iterator():
        seen[places] = True
        yield places.tolist(), run_padded(network, images, size)
    for place in np.flatnonzero(~seen).tolist():
        try:
            image = image_from_file(paths[place], spec)
        except ImageError as error:
            failed[place] = str(error)
            continue
        yield [place], run_padded(network, image[np.newaxis], size)


def run_padded(network: BatchFunction, images: FloatArray, size: int) -> FloatArray:
    """Runs up to `size` images as a batch of exactly `size`: float32 [B, H, W, 3] → float32 [B, D].

    With one size of batch the runtime always takes the same path, and an image's bottleneck is the same to the last bit whatever
    it shares its batch with.
    """
    if len(images) == size:
        return network(images)
    padded = np.zeros((size, *images.shape[1:]), np.float32)
    padded[: len(images)] = images
    return network(padded)[: len(images)]


def batch_size(spec: InputSpec) -> int:
    """How many images go through the network together."""
    return max(1, min(MAX_BATCH_SIZE, BATCH_BYTES // (spec.height * spec.width * 3 * 4)))


def numbered_files(paths: Sequence[str]) -> tf.data.Dataset:
    """A dataset of (position, path): int64 and string scalars."""
    names = tf.constant([os.fsencode(path) for path in paths], tf.string, [len(paths)])
    return tf.data.Dataset.from_tensor_slices((np.arange(len(paths)), names))
