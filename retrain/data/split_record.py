"""The record of a split: each photo of a run, its labels, its set, and the digest of its content. Loads no TensorFlow."""

import csv
import functools
import hashlib
import io
import logging
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

from retrain.data.image_list import BETWEEN_LABELS
from retrain.data.image_lists import ImageLists
from retrain.data.photos import file_digest
from retrain.errors import counted, listing, shown
from retrain.graphdef.photo_filter import PhotoFilter
from retrain.options.images import SPLITS, TESTING, TRAINING

logger = logging.getLogger("retrain")

COLUMNS = ("path", "label", "set", "sha256")
READERS = 8  # Threads that read files; hashing leaves Python's lock.
LARGEST_TABLE = 2**30  # In bytes: some millions of photos.
Sets: TypeAlias = Mapping[str, frozenset[str]]  # The sets that a content is in, by its SHA-256.


@dataclass(frozen=True)
class RecordedPhoto:
    """One photo of a run.

    Attributes:
        path: relative to the image folder, or to the folder of the table, with `/`.
        labels: its labels.
        split: its set.
        sha256: of its content, in hexadecimal; empty if the file was gone.
    """

    path: str
    labels: tuple[str, ...]
    split: str
    sha256: str


@dataclass(frozen=True)
class SplitRecord:
    """The photos of a run, in the order of the run; without those that could not be decoded."""

    photos: tuple[RecordedPhoto, ...]

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the contents, sets and labels of the photos. Their paths and their order do not matter."""
        lines = sorted(f"{each.sha256} {each.split} {BETWEEN_LABELS.join(each.labels)}\n" for each in self.photos)
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    @functools.cached_property
    def sets(self) -> Sets:
        """The sets of each content: several, if copies of a photo are in several."""
        found: dict[str, set[str]] = {}
        for photo in self.photos:
            if photo.sha256:
                found.setdefault(photo.sha256, set()).add(photo.split)
        return {sha256: frozenset(sets) for sha256, sets in found.items()}

    def warn_of_copies(self) -> None:
        """Warn of photos in the testing set that are in the training set too, under another name."""
        both = {TRAINING, TESTING}
        copies = [each.path for each in self.photos if each.split == TESTING and both <= self.sets.get(each.sha256, frozenset())]
        if copies:
            logger.warning(
                "%s identical to images that are trained on, which makes the accuracy look higher than it is: %s. Add "
                "--split_by content to keep identical images in one set.",
                counted(len(copies), "image of the testing set is", "images of the testing set are"),
                listing([shown(path) for path in copies]),
            )

    @functools.cached_property
    def training_photos(self) -> PhotoFilter:
        """The contents of the training set, in compact form."""
        return PhotoFilter.of(each.sha256 for each in self.photos if each.split == TRAINING and each.sha256)

    def table(self) -> bytes:
        """Return the record as CSV in UTF-8: path, label (several are joined by `|`), set, sha256."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([each.path, BETWEEN_LABELS.join(each.labels), each.split, each.sha256] for each in self.photos)
        return text.getvalue().encode("utf-8", "surrogateescape")

    @classmethod
    def from_table(cls, table: bytes) -> "SplitRecord":
        """Read what `table` returns. Raises ValueError if it is no such table."""
        try:
            rows = list(csv.reader(io.StringIO(table.decode("utf-8", "surrogateescape"), newline=""), strict=True))
        except csv.Error as error:
            raise ValueError(str(error)) from error
        if not rows or tuple(rows[0]) != COLUMNS or any(len(row) != len(COLUMNS) or row[2] not in SPLITS for row in rows[1:]):
            raise ValueError("the table has other columns or sets")
        return cls(
            tuple(
                RecordedPhoto(path, tuple(label.split(BETWEEN_LABELS)), split, sha256) for path, label, split, sha256 in rows[1:]
            )
        )


def record_split(images: ImageLists, root: str, included: Iterable[int], known: Mapping[int, str]) -> SplitRecord:
    """Return the record of a run.

    Args:
        images: all images.
        root: folder that the recorded paths are relative to.
        included: indices of the images to record.
        known: SHA-256 of the contents that are known already, by index; the others are read.
    """
    chosen = sorted(included)
    digests = {**file_digests({index: images.images[index].path for index in chosen if not known.get(index)}), **known}
    return SplitRecord(
        tuple(
            RecordedPhoto(
                _relative(images.images[index].path, root),
                tuple(images.labels[each] for each in images.images[index].classes),
                images.images[index].split,
                digests.get(index, ""),
            )
            for index in chosen
        )
    )


def file_digests(paths: Mapping[int, str]) -> dict[int, str]:
    """Return the SHA-256, in hexadecimal, of the content of each file by its key; empty for one that cannot be read."""
    with ThreadPoolExecutor(READERS) as pool:
        return dict(zip(paths, pool.map(file_digest, paths.values()), strict=True))


def may_be_replaced(path: str) -> bool:
    """Return True if there is nothing at `path`, or the record of a split."""
    if not os.path.isfile(path):
        return True
    try:
        return os.path.getsize(path) == 0 or _has_header(path)
    except OSError:
        return False


def _has_header(path: str) -> bool:
    with open(path, "rb") as file:
        return file.readline().decode("utf-8", "replace").strip() == ",".join(COLUMNS)


def find_split(model_path: str, digest: str) -> SplitRecord | None:
    """Return the record with this digest from the tables in the folder of a model; None if it is not there."""
    folder = os.path.dirname(model_path.rstrip(os.sep)) or "."
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".csv"))
    except OSError:
        return None
    for name in sorted(names, key=lambda each: "split" not in each):
        try:
            path = os.path.join(folder, name)
            if os.path.getsize(path) > LARGEST_TABLE:
                continue
            if not _has_header(path):
                continue
            with open(path, "rb") as file:
                record = SplitRecord.from_table(file.read())
        except (OSError, ValueError):
            continue
        if record.digest == digest:
            return record
    return None


def _relative(path: str, root: str) -> str:
    try:
        return os.path.relpath(path, root).replace(os.sep, "/")
    except ValueError:  # On another drive of Windows.
        return path.replace(os.sep, "/")
