"""Image lists: tables of paths and labels, in place of a folder for each class. Loads no TensorFlow."""

import codecs
import csv
import io
import os
import re
from collections import Counter
from collections.abc import Sequence

from retrain.data.labels import label_of, plain_label
from retrain.data.photos import Photo
from retrain.errors import ImageFolderError, OutputError, shown
from retrain.files import write_atomically
from retrain.options.images import ORIGINAL_NAMES, SPLITS

COLUMNS = PATH, LABEL, SPLIT, GROUP = ("path", "label", "set", "group")
# Other names of the columns, and other words for the sets, as other tools write them.
COLUMN_NAMES = {
    "path": PATH,
    "image": PATH,
    "file": PATH,
    "filename": PATH,
    "label": LABEL,
    "labels": LABEL,
    "class": LABEL,
    "set": SPLIT,
    "split": SPLIT,
    "group": GROUP,
}
SET_NAMES = {
    **{split: split for split in SPLITS},
    "train": "training",
    "val": "validation",
    "valid": "validation",
    "test": "testing",
}
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SEPARATORS = "\t,;"  # A spreadsheet writes the last one where the comma is in numbers.
BETWEEN_LABELS = "|"  # Of one image.


def read_list(path: str, label_names: str, multi_label: bool = False) -> list[Photo]:
    """Read a table of images: columns path and label and, if there are any, set and group.

    The first line may name the columns; else they come in this order. A path is relative to the folder of the table.

    Args:
        path: of the table, in UTF-8 or UTF-16, with commas, tabs or semicolons.
        label_names: `original` makes labels of names as the original makes them of folders; `folder` keeps them.
        multi_label: several labels of one image are separated by `|`.

    Raises:
        ImageFolderError: it cannot be read, or a line has no path, no label, another set, or contradicts an earlier one.
    """
    rows = _rows(path)
    columns = _columns(rows[0][1]) if rows else {}
    if columns:
        rows = rows[1:]
        if missing := [name for name in (PATH, LABEL) if name not in columns]:
            raise _wrong(path, 1, f"the table has no column {' and no column '.join(missing)}")
    else:
        columns = {name: index for index, name in enumerate(COLUMNS)}
    photos: dict[str, tuple[int, Photo]] = {}
    for line, row in rows:
        cells = {name: row[index].strip() if index < len(row) else "" for name, index in columns.items()}
        photo = _photo(path, line, cells, label_names, multi_label)
        before = photos.get(photo.hashed)
        if before and before[1] != photo:
            raise _wrong(path, line, f"{shown(photo.hashed)} stands in line {before[0]} too, with other values")
        photos[photo.hashed] = before or (line, photo)
    if not photos:
        raise ImageFolderError(f"--image_list {path} names no image. Give a table with the columns path and label.")
    found = _with_folders([photo for _, photo in photos.values()])
    if not any(os.path.lexists(photo.path) for photo in found):
        raise ImageFolderError(
            f"--image_list {path}: none of its {len(found)} images is there, such as {shown(found[0].path)}. Paths are relative "
            "to the folder of the table."
        )
    return sorted(found, key=lambda photo: (photo.labels, photo.hashed))


def write_list(path: str, rows: Sequence[tuple[str, Sequence[str], str, str]]) -> None:
    """Write a table that `read_list` reads.

    Args:
        path: of the table.
        rows: path, labels, set and group of each image.

    Raises:
        OutputError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    n_columns = 4 if any(group for _, _, _, group in rows) else 3
    folder = os.path.dirname(path) or "."
    writer.writerow(COLUMNS[:n_columns])
    for image, labels, split, group in rows:
        writer.writerow([os.path.relpath(image, folder), BETWEEN_LABELS.join(labels), split, group][:n_columns])
    try:
        write_atomically(path, text.getvalue().encode("utf-8", "surrogateescape"))
    except OSError as error:
        raise OutputError(f"--save_split {path} cannot be written ({error.strerror}).") from error


def _rows(path: str) -> list[tuple[int, list[str]]]:
    """Return the number and the cells of each line that is not empty."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        text = data.decode("utf-16" if data.startswith(UTF_16_MARKS) else "utf-8-sig", "surrogateescape")
        first = next((line for line in text.splitlines() if line.strip()), "")
        separator = next((each for each in SEPARATORS if each in first), ",")
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
        return [(reader.line_num, row) for row in reader if any(cell.strip() for cell in row)]
    except OSError as error:
        raise ImageFolderError(f"--image_list {path} cannot be read ({error.strerror}). Give a table of images.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ImageFolderError(f"--image_list {path} is no table of text ({error}). Save it as CSV, in UTF-8.") from error


def _columns(first: Sequence[str]) -> dict[str, int]:
    """Return the index of each column that the first line names; empty if it names none."""
    names = [COLUMN_NAMES.get(cell.strip().lower()) for cell in first]
    found = {name: index for index, name in reversed(list(enumerate(names))) if name}
    return found if PATH in found or LABEL in found else {}


def _photo(table: str, line: int, cells: dict[str, str], label_names: str, multi_label: bool) -> Photo:
    listed = cells[PATH]
    if not listed or "\0" in listed:
        raise _wrong(table, line, "it has no path" if not listed else "its path has a character that no path can have")
    parts = cells[LABEL].split(BETWEEN_LABELS) if multi_label else [cells[LABEL]]
    names = [part.strip() for part in parts if part.strip()]
    if not names:
        raise _wrong(table, line, f"{shown(listed)} has no label")
    split = cells.get(SPLIT, "").lower()
    if split and split not in SET_NAMES:
        raise _wrong(table, line, f"the set must be {', '.join(SPLITS)} or empty. It is {shown(cells[SPLIT])}")
    try:
        labels = tuple(dict.fromkeys(label_of(name) if label_names == ORIGINAL_NAMES else plain_label(name) for name in names))
    except ImageFolderError as error:
        raise _wrong(table, line, str(error).rstrip(".")) from error
    beside = os.path.dirname(table)
    if "\\" in listed and not os.path.lexists(os.path.join(beside, listed)):
        listed = listed.replace("\\", "/")  # As Windows writes paths.
    folder = os.path.dirname(listed)
    path = os.path.join(beside, listed)
    return Photo(path, listed, folder, os.path.basename(listed), labels, SET_NAMES.get(split, ""), cells.get(GROUP, ""))


def _with_folders(photos: list[Photo]) -> list[Photo]:
    """Return the photos with their folders in the cache: the last one of their path, as in an image folder, if it is enough."""
    last = [os.path.basename(photo.folder) for photo in photos]
    counts = Counter((folder, photo.file_name) for folder, photo in zip(last, photos, strict=True))
    ambiguous = {folder for (folder, _), count in counts.items() if count > 1}
    return [
        _in_folder(photo, re.sub(r"[/\\:]|^\.\.?$", "~", photo.folder) if folder in (*ambiguous, "..") else folder)
        for folder, photo in zip(last, photos, strict=True)
    ]


def _in_folder(photo: Photo, folder: str) -> Photo:
    return Photo(photo.path, photo.hashed, folder, photo.file_name, photo.labels, photo.split, photo.group)


def _wrong(table: str, line: int, problem: str) -> ImageFolderError:
    return ImageFolderError(f"--image_list {table}, line {line}: {problem}.")
