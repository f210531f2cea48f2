"""Images → the top-k labels and their scores."""

import glob
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from label_image.opening import Classifier
from label_image.scoring import Images, ScoredBatch, Scorer
from retrain.data.endings import ENDINGS, is_image_name
from retrain.data.image_folder import is_file_or_dead_link, walk_visible
from retrain.engines.choice import Work
from retrain.errors import FlagError


@dataclass(frozen=True)
class Classification:
    """Labels of one image.

    Attributes:
        path: of the image; None if it was no file.
        labels, scores: the best first, `top_k` of them; scores as the graph computes them. Of a graph for images with several
            labels only those above their thresholds: there may be none.
        seconds: wall time of the network for the batch, divided by its number of images.
    """

    path: str | None
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    seconds: float = field(default=0.0, compare=False, repr=False)

    @property
    def label(self) -> str | None:
        """The best label; None if no label is above its threshold."""
        return self.labels[0] if self.labels else None

    @property
    def score(self) -> float | None:
        """The score of the best label; None if no label is above its threshold."""
        return self.scores[0] if self.scores else None

    def to_dict(self) -> dict[str, Any]:
        """Return `image`, the path, and `predictions`, each a `label` and a `score`: what `--output_format json` prints."""
        predictions = [{"label": label, "score": score} for label, score in zip(self.labels, self.scores, strict=True)]
        return {"image": self.path, "predictions": predictions}


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
    images = Images(paths, len(paths))
    answers = dict(classify_each(Scorer(classifier, Work(paths)), images, top_k))
    failed.update({paths[index]: reason for index, reason in images.failed.items()})
    return [answers[index] for index in sorted(answers)]


def classify_each(scorer: Scorer, images: Images, top_k: int) -> Iterator[tuple[int, Classification]]:
    """Yield the index and the labels of each image as soon as they are known.

    `images.failed` receives the reason for each image that cannot be decoded. Raises GraphError as `classify`.
    """
    about = scorer.classifier.description
    for indices, scores, seconds in scorer.scores(images):
        for index, row in zip(indices, scores, strict=True):
            best = np.argsort(-row, kind="stable")
            if about.thresholds:  # Of images with several labels, or none.
                best = best[row[best] >= np.array(about.thresholds)[best]]
            labels = tuple(about.labels[i] for i in best[:top_k])
            values = tuple(float(row[i]) for i in best[:top_k])
            yield index, Classification(images.paths.get(index), labels, values, seconds / len(indices))


def score_images(classifier: Classifier, paths: Sequence[str], failed: dict[str, str]) -> Iterator[ScoredBatch]:
    """Yield the scores of image files, batch by batch.

    Args:
        classifier: the classifier.
        paths: the image files.
        failed: receives the reason for each image that cannot be decoded, by path.

    Raises:
        GraphError: the number of labels is not that of the scores, or the network does not run with such an input.
    """
    images = Images(paths, len(paths))
    yield from Scorer(classifier, Work(paths)).scores(images)
    failed.update({paths[index]: reason for index, reason in images.failed.items()})
