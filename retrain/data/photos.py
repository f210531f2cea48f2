"""One photo, as a folder or a list names it."""

import dataclasses
import hashlib
from collections.abc import Sequence

from retrain.data.decode import read_image
from retrain.errors import ImageError


@dataclasses.dataclass(frozen=True, slots=True)
class Photo:
    """A photo that is not yet assigned to a class or a set.

    Attributes:
        path: of its file.
        hashed: the text that the split depends on: the path as it was typed, or relative to the image folder.
        folder: the folder of its bottleneck in the cache.
        file_name: the file's name in it.
        labels: its labels; one, unless photos may have several.
        split: the set that a list gives it; else empty.
        group: the group that a list gives it; else empty.
    """

    path: str
    hashed: str
    folder: str
    file_name: str
    labels: tuple[str, ...]
    split: str = ""
    group: str = ""


def content_digest(photo: Photo) -> str:
    """Return the SHA-256 of a photo's file; its path if it cannot be read."""
    return file_digest(photo.path) or photo.hashed


def file_digest(path: str) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal; empty if it cannot be read."""
    try:
        return hashlib.sha256(read_image(path)).hexdigest()
    except ImageError:
        return ""


def merged(photos: Sequence[Photo]) -> list[Photo]:
    """Return the photos with those of equal content as one, which has the labels of all; the first of them names it."""
    by_content: dict[str, Photo] = {}
    for photo in photos:
        digest = content_digest(photo)
        first = by_content.get(digest, photo)
        by_content[digest] = dataclasses.replace(first, labels=tuple(dict.fromkeys([*first.labels, *photo.labels])))
    return list(by_content.values())
