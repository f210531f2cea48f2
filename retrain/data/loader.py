"""Loading of image files in batches, and running them through a network while the next ones are decoded."""

import collections
import concurrent.futures
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np

from retrain.arrays import BatchFunction, FloatArray, IndexArray
from retrain.data.remarks import Remarks
from retrain.data.resize import fit
from retrain.data.sources import ImageSource, decode_source, open_source
from retrain.errors import ImageError
from retrain.input_spec import IGNORE, InputSpec
from retrain.process.interruption import raise_if_interrupted

# float32 pixels of one batch: large enough to keep the processor's cores busy, small enough to stay near its caches.
BATCH_BYTES = 16 << 20
MAX_BATCH_SIZE = 64
BATCHES_AHEAD = 4
N_CORES = os.cpu_count() or 1
Task = TypeVar("Task")


@dataclass
class _Batch(Generic[Task]):
    """A batch in the making: its tasks, and what becomes of each, a row of `images` or an error."""

    tasks: list[Task]
    images: FloatArray
    rows: "list[concurrent.futures.Future[None]]"


class ImageLoader:
    """Loader of images: decoded batches, each with the indices that the caller gave its images.

    Decoding begins when the loader is made. A loader is iterated once.

    Attributes:
        batch_size: largest number of images in a batch.
        failed: reason for each image that cannot be decoded, by its index; complete after the last batch.
        remarks: what was noticed about the images; complete after the last batch.
        n_drawn: number of images that were drawn so far, those of several batches.
    """

    def __init__(
        self,
        images: Mapping[int, ImageSource] | Iterable[tuple[int, ImageSource]],
        spec: InputSpec,
        batch_size: int | None = None,
        as_drawn: bool = False,
    ) -> None:
        """Begin to decode.

        Args:
            images: each image, mostly the path of its file, by any index that identifies it to the caller. Those of an iterator
                are drawn some batches ahead, in the thread that iterates the loader.
            spec: the network's input.
            batch_size: number of images in a batch; None selects a suitable one.
            as_drawn: True if images in memory may change after the next one was drawn, as the frames of a film do.
        """
        self.batch_size = batch_size or suitable_batch_size(spec)
        self.failed: dict[int, str] = {}
        self.remarks = Remarks(spec.exif_orientation == IGNORE)
        self.n_drawn = 0
        waiting: dict[int, ImageSource] = {}  # Until they are decoded: the images of a batch would fill a lot of memory.

        def indices() -> Iterator[int]:
            for index, image in images.items() if isinstance(images, Mapping) else images:
                waiting[index] = image
                self.n_drawn += 1
                yield index

        def decoded(index: int) -> FloatArray:
            opened = open_source(waiting.pop(index))
            pixels = decode_source(opened, spec)
            self.remarks.note(index, opened, pixels)
            return fit(pixels, spec)

        def is_in_memory(index: int) -> bool:
            return as_drawn and not isinstance(waiting[index], str | bytes)

        self._batches = decoded_batches(indices(), decoded, spec, self.batch_size, is_in_memory)

    def __iter__(self) -> Iterator[tuple[IndexArray, FloatArray]]:
        """Yield indices, int64 [B], and images, float32 [B, H, W, 3]."""
        for indices, images, errors in self._batches:
            self.failed.update({indices[row]: reason for row, reason in errors.items()})
            kept = [row for row in range(len(indices)) if row not in errors]
            if kept:
                yield np.array([indices[row] for row in kept], np.int64), images[kept] if errors else images


def decoded_batches(
    tasks: Iterable[Task],
    decode: Callable[[Task], FloatArray],
    spec: InputSpec,
    size: int,
    at_once: Callable[[Task], bool] = lambda task: False,
) -> Iterator[tuple[list[Task], FloatArray, dict[int, str]]]:
    """Decode images on all cores, some batches ahead of the consumer. It begins at once.

    Args:
        tasks: one for each image; drawn some batches ahead.
        decode: returns one image, float32 [H, W, 3], or raises ImageError.
        spec: the network's input.
        size: images in a batch; the last one has the rest.
        at_once: returns True for a task that has to be done before the next one is drawn.

    Returns:
        Iterator of the tasks of a batch, its images, float32 [B, H, W, 3], in the same order, and the reason for each that cannot
        be decoded, by its row; the values of that row mean nothing.
    """
    pool = _decoders()
    waiting = iter(tasks)
    ahead: collections.deque[_Batch[Task]] = collections.deque()

    def put(task: Task, images: FloatArray, row: int) -> None:
        images[row] = decode(task)

    def begin() -> None:
        images = np.empty((size, spec.height, spec.width, 3), np.float32)
        chosen: list[Task] = []
        rows: list[concurrent.futures.Future[None]] = []
        for row, task in zip(range(size), waiting, strict=False):
            chosen.append(task)
            work = functools.partial(put, task, images, row)
            rows.append(_done(work) if at_once(task) else pool.submit(work))
        if chosen:
            ahead.append(_Batch(chosen, images[: len(chosen)], rows))

    def finished() -> Iterator[tuple[list[Task], FloatArray, dict[int, str]]]:
        try:
            while ahead:
                batch = ahead[0]
                errors = {row: str(error) for row, each in enumerate(batch.rows) if (error := _error_of(each))}
                ahead.popleft()
                begin()
                yield batch.tasks, batch.images, errors
        finally:  # Images that nobody waits for any more are not decoded.
            for row in [row for batch in ahead for row in batch.rows]:
                row.cancel()

    for _ in range(BATCHES_AHEAD):
        begin()
    return finished()


@functools.cache
def _decoders() -> concurrent.futures.ThreadPoolExecutor:
    """Return the threads that decode, one for each core. All loaders share them: to start some takes as long as a photo."""
    return concurrent.futures.ThreadPoolExecutor(N_CORES, "decoder")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_decoders.cache_clear)  # A forked process has none of its parent's threads.


def _done(work: Callable[[], None]) -> "concurrent.futures.Future[None]":
    """Do some work now; return its future. Another error than ImageError is raised at once."""
    future: concurrent.futures.Future[None] = concurrent.futures.Future()
    try:
        work()
        future.set_result(None)
    except ImageError as error:
        future.set_exception(error)
    return future


def _error_of(future: "concurrent.futures.Future[None]") -> ImageError | None:
    """Wait for an image. Return why it cannot be decoded, None if it can."""
    raise_if_interrupted()
    try:
        future.result()
    except ImageError as error:
        return error
    return None


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


def run_padded(network: BatchFunction, images: FloatArray, size: int) -> FloatArray:
    """Run up to `size` images as a batch of exactly `size`: float32 [B, H, W, 3] → float32 [B, D].

    With one batch size the runtime always takes the same path. An image's bottleneck then agrees to 1e-6 of its largest value,
    whatever shares its batch: on some processors, such as those with AVX2 alone, the last bits depend on the index in the batch.
    A network that runs images one by one needs no such batch.
    """
    if len(images) == size or runs_one_by_one(network):
        return network(images)
    padded = np.zeros((size, *images.shape[1:]), np.float32)
    padded[: len(images)] = images
    return network(padded)[: len(images)]


def runs_one_by_one(network: Any) -> bool:
    """Return True if a network computes each image on its own, so that its outputs never depend on the batch."""
    return getattr(network, "one_by_one", False)


def suitable_batch_size(spec: InputSpec) -> int:
    """Return the number of images to put through a network together."""
    return max(1, min(MAX_BATCH_SIZE, BATCH_BYTES // (spec.height * spec.width * 3 * 4)))


def rebatch(chunks: Iterator[tuple[IndexArray, FloatArray]], batch_size: int) -> Iterator[tuple[IndexArray, FloatArray]]:
    """Regroup chunks of any size, int64 [n] and float32 [n, D], into batches of `batch_size`, in the same order."""
    indices, values = next(chunks)
    while True:
        while len(indices) < batch_size:
            more_indices, more_values = next(chunks)
            indices, values = np.append(indices, more_indices), np.concatenate([values, more_values])
        yield indices[:batch_size], values[:batch_size]
        indices, values = indices[batch_size:], values[batch_size:]
