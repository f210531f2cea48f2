"""Images → the top-k labels and their scores."""

import glob
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from label_image.opening import Classifier, FileFunction
from retrain.arrays import BatchFunction, FloatArray
from retrain.data.endings import ENDINGS, is_image_name
from retrain.data.image_folder import is_file_or_dead_link, walk_visible
from retrain.data.loader import ImageLoader, run_network, runs_one_by_one, suitable_batch_size
from retrain.data.turned import warn_of_turned
from retrain.engines.choice import Work
from retrain.errors import FlagError, GraphError
from retrain.process.tensorflow_loading import tensorflow_errors

# Indices of the images, their scores, float32 [len(indices), C], and the network's wall time in seconds.
ScoredBatch: TypeAlias = tuple[list[int], FloatArray, float]


@dataclass(frozen=True)
class Classification:
    """Labels of one image.

    Attributes:
        path: of the image.
        labels, scores: the best first, `top_k` of them; scores as the graph computes them. Of a graph for images with several
            labels only those above their thresholds: there may be none.
        seconds: wall time of the network for the batch, divided by its number of images.
    """

    path: str
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    seconds: float


def find_images(paths: Sequence[str]) -> list[str]:
    """Return the files themselves, and for each folder all images below it, sorted.

    A pattern such as `*.jpg`, which Windows' shells leave as it is, stands for the files that it matches.

    Raises:
        FlagError: a path does not exist, or a folder holds no image.
    """
    found: list[str] = []
    for path in itertools.chain.from_iterable(map(_matches, paths)):
        if not os.path.isdir(path):
            if not os.path.exists(path):
                raise FlagError(f"--image {path} does not exist.")
            found.append(path)
            continue
        below = [
            os.path.join(folder, name)
            for folder, names in walk_visible(path)
            for name in names
            if is_image_name(name) and is_file_or_dead_link(os.path.join(folder, name))
        ]
        if not below:
            raise FlagError(f"--image {path} holds no image ({', '.join(ENDINGS)}).")
        found.extend(sorted(below))
    return found


def _matches(path: str) -> list[str]:
    return [path] if os.path.exists(path) else sorted(glob.glob(path)) or [path]


def classify(classifier: Classifier, paths: Sequence[str], top_k: int, failed: dict[str, str]) -> list[Classification]:
    """Return the labels of image files, in the order of the files, without those that cannot be decoded.

    Args:
        classifier: the classifier.
        paths: the image files.
        top_k: number of labels for each image; all of them if there are fewer.
        failed: receives the reason for each image that cannot be decoded, by path.

    Raises:
        GraphError: the number of labels is not that of the scores, or the network does not run with such an input.
    """
    answers = dict(classify_each(classifier, paths, top_k, failed))
    return [answers[index] for index in sorted(answers)]


def classify_each(
    classifier: Classifier, paths: Sequence[str], top_k: int, failed: dict[str, str]
) -> Iterator[tuple[int, Classification]]:
    """Yield the index in `paths` and the labels of each image as soon as they are known; otherwise like `classify`."""
    for indices, scores, seconds in score_images(classifier, paths, failed):
        for index, row in zip(indices, scores, strict=True):
            best = np.argsort(-row, kind="stable")
            if thresholds := classifier.description.thresholds:  # Of images with several labels, or none.
                best = best[row[best] >= np.array(thresholds)[best]]
            labels = tuple(classifier.description.labels[i] for i in best[:top_k])
            yield index, Classification(paths[index], labels, tuple(float(row[i]) for i in best[:top_k]), seconds / len(indices))


def score_images(classifier: Classifier, paths: Sequence[str], failed: dict[str, str]) -> Iterator[ScoredBatch]:
    """Yield the scores of image files, batch by batch.

    Args:
        classifier: the classifier.
        paths: the image files.
        failed: receives the reason for each image that cannot be decoded, by path.

    Raises:
        GraphError: the number of labels is not that of the scores, or the network does not run with such an input.
    """
    description = classifier.description
    try:
        if classifier.file_network:
            batches = _score_files(classifier.file_network(), paths, failed)
        else:
            batches = _score_pixels(classifier, paths, failed)
        for batch in batches:
            check_labels(classifier, n_scores=batch[1].shape[1])
            yield batch
    except tensorflow_errors(ValueError, RuntimeError) as error:
        raise GraphError(f"The graph does not run with the input {description.input_tensor}: {error}") from error


class _TimedNetwork:
    """The function float32 [B, H, W, 3] → float32 [B, C] of a network, which measures its last batch.

    Attributes:
        seconds: wall time of the last batch.
        one_by_one: True if the network runs images one by one, so that batches need no padding.
    """

    def __init__(self, network: BatchFunction) -> None:
        self._network = network
        self.seconds = 0.0
        self.one_by_one = runs_one_by_one(network)

    def __call__(self, images: FloatArray) -> FloatArray:
        start = time.perf_counter()
        scores = self._network(images)
        self.seconds = time.perf_counter() - start
        return scores.reshape(len(images), -1)


def _score_pixels(classifier: Classifier, paths: Sequence[str], failed: dict[str, str]) -> Iterator[ScoredBatch]:
    spec = classifier.description.input_spec
    batch_size = min(len(paths), suitable_batch_size(spec))  # A full batch for a single photo would waste time.
    loader = ImageLoader(dict(enumerate(paths)), spec, batch_size)
    network = _TimedNetwork(classifier.network(Work(paths)))
    for indices, scores in run_network(loader, lambda: network):
        yield indices.tolist(), scores, network.seconds
    failed.update({paths[index]: reason for index, reason in loader.failed.items()})
    loader.remarks.warn_of_nearly_black(dict(enumerate(paths)))
    if loader.remarks.turned:
        warn_of_turned(len(loader.remarks.turned), len(paths))


def _score_files(network: FileFunction, paths: Sequence[str], failed: dict[str, str]) -> Iterator[ScoredBatch]:
    """Run files one by one through a network that decodes them itself."""
    for index, path in enumerate(paths):
        start = time.perf_counter()
        try:
            with open(path, "rb") as file:
                scores = network(file.read())
        except tensorflow_errors(OSError) as error:
            failed[path] = getattr(error, "strerror", None) or "the graph cannot decode it"
            continue
        yield [index], scores.reshape(1, -1), time.perf_counter() - start


def check_labels(classifier: Classifier, n_scores: int) -> None:
    """Raise GraphError if the number of labels is not that of the scores."""
    description = classifier.description
    if len(description.labels) != n_scores:
        raise GraphError(
            f"The number of labels must be {n_scores}, the number of scores of {description.output_tensor}. There are "
            f"{len(description.labels)} labels. Set --labels to the labels that the graph was trained with."
        )
