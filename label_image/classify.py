"""Images → the top-k labels and their scores."""

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from label_image.graph import LabelledGraph
from label_image.opening import Classifier
from retrain.arrays import BatchFunction, FloatArray
from retrain.data.image_folder import is_file_or_dead_link
from retrain.data.loader import ImageLoader, run_network, suitable_batch_size
from retrain.errors import FlagError, GraphError
from retrain.graphdef.run import bytes_function
from retrain.input_spec import InputSpec

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".bmp")


@dataclass(frozen=True)
class Classification:
    """The answer for one image.

    Attributes:
        path: the image.
        labels, scores: the best first, as many as were asked for; scores as the graph gives them.
        seconds: wall time of the network for this image, its share of the batch's.
    """

    path: str
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    seconds: float


def find_images(paths: Sequence[str]) -> list[str]:
    """The files themselves, and of each folder every image below it, sorted.

    Raises:
        FlagError: a path does not exist, or a folder holds no image.
    """
    found: list[str] = []
    for path in paths:
        if not os.path.isdir(path):
            if not os.path.exists(path):
                raise FlagError(f"--image {path} does not exist.")
            found.append(path)
            continue
        below = [
            os.path.join(folder, name)
            for folder, _, names in os.walk(path)
            for name in names
            if name.lower().endswith(IMAGE_ENDINGS) and is_file_or_dead_link(os.path.join(folder, name))
        ]
        if not below:
            raise FlagError(f"--image {path} holds no image ({', '.join(IMAGE_ENDINGS)}).")
        found.extend(sorted(below))
    return found


def classify(graph: Classifier, paths: Sequence[str], top_k: int, failed: dict[str, str]) -> list[Classification]:
    """Labels image files, in their order.

    Args:
        graph: the classifier.
        paths: the image files.
        top_k: how many labels to give for each; all of them where there are fewer.
        failed: filled with the reason for each image that cannot be decoded, by path.

    Raises:
        GraphError: the labels do not match the graph's outputs, or the graph does not take such an input.
    """
    answers = dict(classify_each(graph, paths, top_k, failed))
    return [answers[place] for place in sorted(answers)]


def classify_each(
    graph: Classifier, paths: Sequence[str], top_k: int, failed: dict[str, str]
) -> Iterator[tuple[int, Classification]]:
    """As `classify`, but gives each answer as soon as it is there, with the image's position in `paths`, in another order."""
    for places, scores, seconds in score_images(graph, paths, failed):
        for place, row in zip(places, scores, strict=True):
            yield place, _top(graph.description.labels, paths[place], row, top_k, seconds / len(places))


def score_images(
    graph: Classifier, paths: Sequence[str], failed: dict[str, str]
) -> Iterator[tuple[list[int], FloatArray, float]]:
    """Runs image files through a graph, in batches where it takes them.

    Args:
        graph: the classifier.
        paths: the image files.
        failed: filled with the reason for each image that cannot be decoded, by path.

    Yields:
        Positions in `paths`, their scores, float32 [len(positions), C], and the network's wall time in seconds.

    Raises:
        GraphError: the labels do not match the graph's outputs, or the graph does not take such an input.
    """
    if isinstance(graph, LabelledGraph) and graph.takes_file_bytes:
        outputs = _file_bytes_outputs(graph, paths, failed)
    else:
        outputs = _pixel_outputs(graph, paths, failed)
    try:
        for places, scores, seconds in outputs:
            _check_labels(graph, scores)
            yield places, scores, seconds
    except (tf.errors.OpError, ValueError) as error:
        raise GraphError(f"The graph does not run with the input {graph.description.input_tensor}: {error}") from error


def _pixel_outputs(
    graph: Classifier, paths: Sequence[str], failed: dict[str, str]
) -> Iterator[tuple[list[int], FloatArray, float]]:
    about = graph.description
    spec = InputSpec(about.input_height, about.input_width, about.input_mean, about.input_std)
    last = [0.0]

    def timed_network() -> BatchFunction:
        function = graph.network()

        def timed(images: FloatArray) -> FloatArray:
            start = time.perf_counter()
            scores = function(images)
            last[0] = time.perf_counter() - start
            return scores.reshape(len(images), -1)

        return timed

    size = min(len(paths), suitable_batch_size(spec))  # For one photo it would be a waste to fill a batch.
    loader = ImageLoader(dict(enumerate(paths)), spec, size)
    for places, scores in run_network(loader, timed_network):
        yield places.tolist(), scores, last[0]
    failed.update({paths[place]: reason for place, reason in loader.failed.items()})


def _file_bytes_outputs(
    graph: LabelledGraph, paths: Sequence[str], failed: dict[str, str]
) -> Iterator[tuple[list[int], FloatArray, float]]:
    """Feeds each file as it is; the graph decodes it, and takes one at a time."""
    about = graph.description
    function = bytes_function(graph.graph_def, about.input_tensor, about.output_tensor)
    for place, path in enumerate(paths):
        start = time.perf_counter()
        try:
            with open(path, "rb") as file:
                scores = function(file.read())
        except (OSError, tf.errors.InvalidArgumentError) as error:
            failed[path] = getattr(error, "strerror", None) or "the graph cannot decode it"
            continue
        yield [place], scores.reshape(1, -1), time.perf_counter() - start


def _check_labels(graph: Classifier, scores: FloatArray) -> None:
    n_labels, n_outputs = len(graph.description.labels), scores.shape[1]
    if n_labels != n_outputs:
        raise GraphError(
            f"The graph's output {graph.description.output_tensor} has {n_outputs} values, but there are {n_labels} labels. "
            "Give the labels that the graph was trained with (--labels)."
        )


def _top(labels: Sequence[str], path: str, scores: FloatArray, top_k: int, seconds: float) -> Classification:
    best = np.argsort(-scores, kind="stable")[:top_k]
    return Classification(path, tuple(labels[i] for i in best), tuple(float(scores[i]) for i in best), seconds)
