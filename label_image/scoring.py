"""Images → their scores: decoded on all cores, run in batches through a network that is loaded once."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from label_image.opening import Classifier, FileFunction
from retrain.arrays import BatchFunction, FloatArray
from retrain.data.loader import ImageLoader, run_padded
from retrain.data.sources import ImageSource, encode_source
from retrain.data.turned import warn_of_turned
from retrain.engines.choice import Work
from retrain.errors import GraphError, ImageError
from retrain.process.tensorflow_loading import tensorflow_errors

# Indices of the images, their scores, float32 [len(indices), C], and the network's wall time in seconds.
ScoredBatch: TypeAlias = tuple[list[int], FloatArray, float]


class Images:
    """Images of one call, and which of them cannot be decoded.

    Attributes:
        count: number of images; None if it is not known before the last one was drawn.
        paths: of the images drawn so far that are files, by index. Whoever has the answer to an image may remove its path.
        failed: reason for each image so far that cannot be decoded, by index.
    """

    def __init__(self, images: Iterable[ImageSource], count: int | None) -> None:
        self._images, self.count = images, count
        self.paths: dict[int, str] = {}
        self.failed: dict[int, str] = {}

    def __iter__(self) -> Iterator[tuple[int, ImageSource]]:
        for index, image in enumerate(self._images):
            if isinstance(image, str):
                self.paths[index] = image
            yield index, image


class Scorer:
    """Network of a classifier, loaded at its first use. Any number of threads may use it at once."""

    def __init__(self, classifier: Classifier, work: Work | None = None) -> None:
        """Store the classifier; `work` is all that the network is wanted for, or None if the first images stand for that."""
        self.classifier = classifier
        self._work = work
        self._lock = threading.Lock()
        self._network: BatchFunction | None = None
        self._file_network: FileFunction | None = None
        self._has_warned_of_turned = False

    def scores(self, images: Images) -> Iterator[ScoredBatch]:
        """Yield the scores of images, batch by batch; `images.failed` receives the reason for each that cannot be decoded.

        Images whose number is not known are drawn some batches ahead, in this thread.

        Raises:
            GraphError: the number of labels is not that of the scores, or the network does not run with such an input.
        """
        try:
            decodes = self.classifier.file_network
            for batch in self._score_files(images, decodes) if decodes else self._score_pixels(images):
                check_labels(self.classifier, n_scores=batch[1].shape[1])
                yield batch
        except tensorflow_errors(ValueError, RuntimeError) as error:
            source = self.classifier.description.input_tensor
            raise GraphError(f"The graph does not run with the input {source}: {error}") from error

    def _score_pixels(self, images: Images) -> Iterator[ScoredBatch]:
        loader = ImageLoader(images, self.classifier.description.input_spec, as_drawn=images.count is None)
        batch_size = min(loader.batch_size, loader.n_drawn)  # A full batch for a single photo would waste time.
        if self._work:
            self._load(self._work)  # While the first images are being decoded.
        dark: dict[int, str] = {}
        for indices, pixels in loader:
            network = self._load(self._work or Work(n_images=images.count or len(pixels), samples=pixels))
            start = time.perf_counter()
            scores = run_padded(network, pixels, batch_size).reshape(len(pixels), -1)
            seconds = time.perf_counter() - start
            images.failed.update(loader.failed)
            loader.failed.clear()
            dark.update({index: images.paths.get(index, f"image {index}") for index in loader.remarks.nearly_black - dark.keys()})
            yield indices.tolist(), scores, seconds
        images.failed.update(loader.failed)
        loader.remarks.warn_of_nearly_black(dark)
        if loader.remarks.turned and not self._has_warned_of_turned:
            self._has_warned_of_turned = True
            warn_of_turned(len(loader.remarks.turned), loader.n_drawn)

    def _load(self, work: Work) -> BatchFunction:
        with self._lock:
            if self._network is None:
                self._network = self.classifier.network(work)
            return self._network

    def _score_files(self, images: Images, load: Callable[[], FileFunction]) -> Iterator[ScoredBatch]:
        """Run files one by one through a network that decodes them itself."""
        with self._lock:
            self._file_network = network = self._file_network or load()
        for index, image in images:
            start = time.perf_counter()
            try:
                scores = network(encode_source(image)).reshape(1, -1)
            except ImageError as error:
                images.failed[index] = str(error)
                continue
            except tensorflow_errors():
                images.failed[index] = "the graph cannot decode it"
                continue
            yield [index], scores, time.perf_counter() - start


def check_labels(classifier: Classifier, n_scores: int) -> None:
    """Raise GraphError if the number of labels is not that of the scores."""
    description = classifier.description
    if len(description.labels) != n_scores:
        raise GraphError(
            f"The number of labels must be {n_scores}, as many as the output {description.output_tensor} has scores. There are "
            f"{len(description.labels)} labels. Set --labels to the labels that the graph was trained with."
        )
