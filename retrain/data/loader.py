"""Loading of image files in batches, and running them through a network while the next ones are decoded."""

import os
from collections.abc import Callable, Iterator, Mapping
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


class ImageLoader:
    """Loader of image files: decoded batches, each with the indices that the caller gave its files.

    Decoding begins when the loader is made. TensorFlow decodes first; the files that it cannot decode come last, by Pillow.
    A loader is iterated once.

    Attributes:
        batch_size: largest number of images in a batch.
        failed: reason for each image that cannot be decoded, by its index; complete after the last batch.
    """

    def __init__(self, files: Mapping[int, str], spec: InputSpec, batch_size: int | None = None) -> None:
        """Begin to decode.

        Args:
            files: path of each image, by any index that identifies it to the caller.
            spec: the network's input.
            batch_size: number of images in a batch; None selects a suitable one.
        """
        self.batch_size = batch_size or suitable_batch_size(spec)
        self.failed: dict[int, str] = {}
        self._files, self._spec = files, spec
        decoded = lambda path: image_from_bytes(tf.io.read_file(path), spec)  # noqa: E731 - it is what the dataset maps.
        self._decoded = decoded_batches(numbered_files(files), decoded, self.batch_size)

    def __iter__(self) -> Iterator[tuple[IndexArray, FloatArray]]:
        """Yield indices, int64 [B], and images, float32 [B, H, W, 3]."""
        seen: set[int] = set()
        for indices, images in self._decoded:
            raise_if_interrupted()
            seen.update(indices.tolist())
            yield indices, images
        left = [index for index in self._files if index not in seen]
        for start in range(0, len(left), self.batch_size):
            raise_if_interrupted()
            if images_by_index := self._by_pillow(left[start : start + self.batch_size]):
                yield np.array(list(images_by_index), np.int64), np.stack(list(images_by_index.values()))

    def _by_pillow(self, indices: list[int]) -> dict[int, FloatArray]:
        """Decode with the fallback, which reads more formats and gives the reason if it fails."""
        images = {}
        for index in indices:
            try:
                images[index] = image_from_file(self._files[index], self._spec)
            except ImageError as error:
                self.failed[index] = str(error)
        return images


def run_network(loader: ImageLoader, network: Callable[[], BatchFunction]) -> Iterator[tuple[IndexArray, FloatArray]]:
    """Run the images of a loader through a network.

    Args:
        loader: yields the images.
        network: loads the function float32 [B, H, W, 3] → float32 [B, D]; called while the first images are being decoded.

    Yields:
        Indices of the loader's files, int64 [B], and their outputs, float32 [B, D].
    """
    function = network()
    for indices, images in loader:
        yield indices, run_padded(function, images, loader.batch_size)


def decoded_batches(dataset: tf.data.Dataset, decode: Callable[..., tf.Tensor], size: int) -> Iterator[tuple[IndexArray, Any]]:
    """Decode a dataset of (index, …) on all cores, some batches ahead of the consumer. It begins at once.

    Args:
        dataset: its elements are an index, int64, and the inputs of `decode`.
        decode: returns one image's tensor. If it fails, the image is left out, not its batch.
        size: images in a batch; the last one has the rest.

    Returns:
        Iterator of indices, int64 [B], and tensors stacked to [B, …].
    """

    def numbered(index: tf.Tensor, *inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return index, decode(*inputs)

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

    With one batch size the runtime always takes the same path. An image's bottleneck then agrees to 1e-6 of its largest value,
    whatever shares its batch: on some processors, such as those with AVX2 alone, the last bits depend on the index in the batch.
    """
    if len(images) == size:
        return network(images)
    padded = np.zeros((size, *images.shape[1:]), np.float32)
    padded[: len(images)] = images
    return network(padded)[: len(images)]


def suitable_batch_size(spec: InputSpec) -> int:
    """Return the number of images to put through a network together."""
    return max(1, min(MAX_BATCH_SIZE, BATCH_BYTES // (spec.height * spec.width * 3 * 4)))


def numbered_files(files: Mapping[int, str]) -> tf.data.Dataset:
    """Return a dataset of (index, path): int64 and string scalars."""
    indices = np.fromiter(files, np.int64, len(files))
    paths = tf.constant([os.fsencode(path) for path in files.values()], tf.string, [len(files)])
    return tf.data.Dataset.from_tensor_slices((indices, paths))


def find_decoders(files: Mapping[int, str]) -> tuple[set[int], dict[int, str]]:
    """Return the indices of the images that only Pillow can decode, and the reason for each that cannot be decoded at all."""
    sizes = decoded_batches(numbered_files(files), lambda path: tf.size(decode(tf.io.read_file(path))), len(files) or 1)
    seen = {index for indices, _ in sizes for index in indices.tolist()}
    for_pillow, failed = set(), {}
    for index in (index for index in files if index not in seen):
        try:
            decode_with_pillow(read_image(files[index]))
            for_pillow.add(index)
        except ImageError as error:
            failed[index] = str(error)
    return for_pillow, failed
