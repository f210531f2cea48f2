"""One photo, as a folder or a list names it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Photo:
    """A photo that is not yet assigned to a class or a set.

    Attributes:
        path: of its file.
        hashed: the text that the original's split depends on: the path as it was typed.
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
