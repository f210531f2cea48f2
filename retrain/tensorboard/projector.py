"""Files of TensorBoard's Projector: the bottlenecks as points, with labels and small pictures of the photos."""

import contextlib
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import orjson
import PIL.Image

from retrain.arrays import FloatArray, IndexArray
from retrain.bottlenecks.cache import Bottlenecks
from retrain.data.image_list import BETWEEN_LABELS
from retrain.data.image_lists import ImageLists
from retrain.data.thumbnail import small_photos
from retrain.errors import shown
from retrain.evaluation.answers import Report
from retrain.files import write_atomically
from retrain.tensorboard.drawing import LIGHT_GREY, WHITE, encoded
from retrain.tensorboard.events import PROJECTOR_CONFIG, PROJECTOR_MARK

MOST_POINTS = 2000
MOST_NUMBERS = 2_000_000  # Of all points: 6 to 8 bytes each in the file.
DIGITS = 3  # Of the numbers, after the first one of their standard deviation.
LARGEST_POWER = 30  # Of ten, that float32 can be multiplied by.
SIDE = 48  # Pixels of a small picture: those of 2,000 photos make a square of 2,160; the Projector takes 8,192.
GAP = 1
Row: TypeAlias = tuple[str, str, str, str]
HEADS: Row = ("label", "prediction", "set", "photo")
KEPT = ".thumbnails.jpg"
UNTESTED, NO_LABEL = "not tested", "no label"

CONFIG = f"""{PROJECTOR_MARK}
embeddings {{
  tensor_name: "bottlenecks"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
  sprite {{ image_path: "sprite.jpg" single_image_dim: {SIDE} single_image_dim: {SIDE} }}
}}
"""


@dataclass(frozen=True)
class Points:
    """Images as points.

    Attributes:
        images: all images of the run.
        bottlenecks: their bottlenecks.
        indices: the images whose bottlenecks are defined.
    """

    images: ImageLists
    bottlenecks: Bottlenecks
    indices: Sequence[int]


def write_projector(folder: str, points: Points, report: Report | None, root: str, cache_dir: str) -> None:
    """Write the files, unless there are no points.

    Args:
        folder: gets them; TensorBoard finds them in a folder that has an event file.
        points: the images; of many, some are chosen.
        report: the answers to those of the testing set.
        root: the folder that the paths of the photos are relative to.
        cache_dir: the small pictures are kept here, and used again while the photos are the same.

    Raises:
        OSError: a file cannot be written.
    """
    classes = np.array([points.images.images[index].class_index for index in points.indices], np.int64)
    values = points.bottlenecks.values
    most = max(1, min(MOST_POINTS, MOST_NUMBERS // values.shape[1]))
    chosen = [points.indices[position] for position in evenly_chosen(classes, most)]
    if not chosen:
        return
    predictions = {each.path: each.prediction or NO_LABEL for each in report.answers} if report else {}
    rows = [_row(points.images, index, predictions, root) for index in chosen]
    files = {
        PROJECTOR_CONFIG: CONFIG.encode(),  # First: it tells the next run that the others may be deleted.
        "vectors.tsv": vectors(values[chosen]),
        "metadata.tsv": metadata(rows),
        "sprite.jpg": _sprite(points, chosen, cache_dir),
    }
    for name, data in files.items():
        write_atomically(os.path.join(folder, name), data)


def evenly_chosen(classes: IndexArray, most: int) -> IndexArray:
    """Return the positions, in order, of at most `most` images of classes int64 [n], as many of each class as there can be.

    Of a class with more images some are drawn, in each run the same.
    """
    order = np.random.default_rng(0).permutation(len(classes))
    by_class = order[np.argsort(classes[order], kind="stable")]
    starts = np.searchsorted(classes[by_class], classes[by_class])  # Of each image's class.
    rank = np.arange(len(classes)) - starts
    chosen: IndexArray = np.sort(by_class[np.argsort(rank, kind="stable")[:most]])
    return chosen


def vectors(values: FloatArray) -> bytes:
    """Return a line for each row of float32 [n, D], its numbers between tabs; three decimal places at their scale."""
    finite = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    scale = float(finite.std(dtype=np.float64))
    decimals = DIGITS - int(np.floor(np.log10(scale))) if scale else DIGITS
    decimals = min(max(decimals, -LARGEST_POWER), LARGEST_POWER)
    numbers = orjson.dumps(np.round(finite, decimals), option=orjson.OPT_SERIALIZE_NUMPY)
    return numbers[2:-2].replace(b"],[", b"\n").replace(b",", b"\t") + b"\n"


def metadata(rows: Sequence[Row]) -> bytes:
    """Return a line of names and a line for each point, between tabs; other tabs and line breaks are escaped as in Python."""
    return "".join("\t".join(map(shown, row)) + "\n" for row in (HEADS, *rows)).encode()


def _row(images: ImageLists, index: int, predictions: Mapping[str, str], root: str) -> Row:
    image = images.images[index]
    labels = BETWEEN_LABELS.join(images.labels[each] for each in image.classes)
    return labels, predictions.get(image.path, UNTESTED), image.split, os.path.relpath(image.path, root)


def _sprite(points: Points, chosen: Sequence[int], cache_dir: str) -> bytes:
    """Return the picture of all photos: the one that is kept, or a new one, which is kept if all photos can be read."""
    digests = [points.bottlenecks.digests.get(index, "") for index in chosen]
    mark = hashlib.sha256(f"{SIDE} {' '.join(digests)}".encode()).hexdigest().encode()  # Follows the file's own content.
    path = os.path.join(cache_dir, KEPT)
    if all(digests):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            if (kept := file.read()).endswith(mark):
                return kept
    photos = small_photos([points.images.images[index].path for index in chosen], SIDE - 2 * GAP)
    drawn = encoded(_drawn(photos), "JPEG") + mark
    if all(digests) and all(photos):
        with contextlib.suppress(OSError):  # It only saves time.
            write_atomically(path, drawn)
    return drawn


def _drawn(photos: Sequence[PIL.Image.Image | None]) -> PIL.Image.Image:
    """Draw a square of small pictures, row by row, each in the middle of its place; a missing one is grey."""
    columns = int(np.ceil(np.sqrt(len(photos))))
    rows = -(-len(photos) // columns)
    sheet = PIL.Image.new("RGB", (columns * SIDE, rows * SIDE), WHITE)
    for number, photo in enumerate(photos):
        small = photo or PIL.Image.new("RGB", (SIDE - 2 * GAP, SIDE - 2 * GAP), LIGHT_GREY)
        x, y = number % columns * SIDE, number // columns * SIDE
        sheet.paste(small, (x + (SIDE - small.width) // 2, y + (SIDE - small.height) // 2))
    return sheet
