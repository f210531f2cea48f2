"""Image files → batches → network → its outputs, with decoding and the network running at the same time."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from retrain.arrays import BatchFunction, FloatArray, IndexArray
from retrain.data.decode import decode, decode_with_pillow, image_from_bytes, image_from_file, read_image
from retrain.errors import ImageError
from retrain.input_spec import InputSpec
from retrain.process.interruption import raise_if_interrupted

# float32 pixels of one batch: large enough to keep the processor's cores busy, small enough to stay near its caches.
BATCH_BYTES = 16 << 20
MAX_BATCH_SIZE = 64
BATCHES_AHEAD = 4
N_CORES = os.cpu_count() or 1


def run_network(
    paths: Sequence[str],
    network: Callable[[], BatchFunction],
    spec: InputSpec,
    failed: dict[int, str],
    batch_size: int | None = None,
) -> Iterator[tuple[list[int], FloatArray]]:
    """Runs image files through a network, in batches.

    Args:
        paths: the image files.
        network: gives the function float32 [B, H, W, 3] → float32 [B, D]; called while the first images are being decoded.
        spec: the network's input.
        failed: filled with the reason for each image that cannot be decoded, by its position in `paths`.
        batch_size: how many images go through the network together; None chooses.

    Yields:
        Positions in `paths`, and their outputs, float32 [len(positions), D].
    """
    size = batch_size or suitable_batch_size(spec)
    seen = np.zeros(len(paths), bool)
    decoded = decoded_batches(numbered_files(paths), lambda path: image_from_bytes(tf.io.read_file(path), spec), size)
    function = network()
    for places, images in decoded:
        raise_if_interrupted()
        seen[places] = True
        yield places.tolist(), run_padded(function, images, size)
    # What dropped out above is tried again in the way that can read more formats, and can name a reason.
    left = np.flatnonzero(~seen).tolist()
    for start in range(0, len(left), size):
        raise_if_interrupted()
        images = {}
        for place in left[start : start + size]:
            try:
                images[place] = image_from_file(paths[place], spec)
            except ImageError as error:
                failed[place] = str(error)
        if images:
            yield list(images), run_padded(function, np.stack(list(images.values())), size)


def decoded_batches(dataset: tf.data.Dataset, decode: Callable[..., tf.Tensor], size: int) -> Iterator[tuple[IndexArray, Any]]:
    """Decodes a dataset of (position, …) on all cores, some batches ahead of whoever takes them; it begins at once.

    Args:
        dataset: its elements are a position, int64, and what `decode` takes.
        decode: gives one image's tensor. An image at which it fails drops out alone, not its batch.
        size: images in a batch; the last has what is left.

    Returns:
        An iterator of positions, int64 [B], and tensors stacked to [B, …].
    """

    def numbered(position: tf.Tensor, *inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return position, decode(*inputs)

    # There is no Python control flow in it, and converting it would take longer than decoding a hundred images.
    numbered = tf.autograph.experimental.do_not_convert(numbered)
    options = tf.data.Options()
    options.experimental_warm_start = True
    # Its thread makes the end of a dataset wait for half a second, and there is nothing to tune.
    options.autotune.enabled = False
    batches = dataset.map(numbered, num_parallel_calls=N_CORES).ignore_errors().batch(size).prefetch(BATCHES_AHEAD)
    return iter(batches.with_options(options).as_numpy_iterator())


def run_padded(network: BatchFunction, images: FloatArray, size: int) -> FloatArray:
    """Run up to `size` images as a batch of exactly `size`: float32 [B, H, W, 3] → float32 [B, D].

    With one size of batch the runtime always takes the same path. An image's bottleneck then agrees to 1e-6 of its largest value
    whatever shares its batch: on some processors, such as those with AVX2 alone, the last bits depend on the index in the batch.
    """
    if len(images) == size:
        return network(images)
    padded = np.zeros((size, *images.shape[1:]), np.float32)
    padded[: len(images)] = images
    return network(padded)[: len(images)]


def suitable_batch_size(spec: InputSpec) -> int:
    """How many images to put through the network together."""
    return max(1, min(MAX_BATCH_SIZE, BATCH_BYTES // (spec.height * spec.width * 3 * 4)))


def numbered_files(paths: Sequence[str]) -> tf.data.Dataset:
    """A dataset of (position, path): int64 and string scalars."""
    names = tf.constant([os.fsencode(path) for path in paths], tf.string, [len(paths)])
    return tf.data.Dataset.from_tensor_slices((np.arange(len(paths)), names))


def how_to_decode(paths: Sequence[str]) -> tuple[list[int], dict[int, str]]:
    """Positions of the images that only Pillow can decode, and the reason for each that cannot be decoded at all."""
    sizes = decoded_batches(numbered_files(paths), lambda path: tf.size(decode(tf.io.read_file(path))), len(paths) or 1)
    seen = {position for positions, _ in sizes for position in positions.tolist()}
    for_pillow, failed = [], {}
    for position in sorted(set(range(len(paths))) - seen):
        try:
            decode_with_pillow(read_image(paths[position]))
            for_pillow.append(position)
        except ImageError as error:
            failed[position] = str(error)
    return for_pillow, failed
