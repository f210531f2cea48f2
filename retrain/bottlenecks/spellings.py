"""The spellings of an image folder that a cache was used with. The original's split depends on the spelling."""

import contextlib
import logging
import os

import orjson

from retrain.errors import shown
from retrain.files import append

logger = logging.getLogger("retrain")

FILE_NAME = ".image_dirs.jsonl"  # A line for each spelling: the folder it leads to, and the spelling.


def warn_of_other_spelling(bottleneck_dir: str, image_dir: str) -> None:
    """Warn if the cache was used with the same folder under other spellings and never with this one, and remember this one."""
    # `flowers` and `flowers/` are split alike.
    folder, spelling = _text(os.path.realpath(image_dir)), _text(os.path.join(image_dir, ""))
    path = os.path.join(bottleneck_dir, FILE_NAME)
    before = [other for place, other in _read(path) if place == folder]
    if spelling in before:
        return
    if before:
        logger.warning(
            "The split of this network depends on how --image_dir is typed, as the original's does. This folder was typed %s "
            "before; typed %s, other photos are in the testing set. Type it as before, or add --split_by content.",
            shown(before[-1].rstrip(os.sep) or os.sep),
            shown(image_dir),
        )
    with contextlib.suppress(OSError):  # A cache that cannot be written to remembers nothing.
        append(path, b"\n" + orjson.dumps([folder, spelling]))


def _read(path: str) -> list[tuple[str, str]]:
    found = []
    try:
        with open(path, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            place, spelling = orjson.loads(line)
        except (ValueError, TypeError):
            continue
        if isinstance(place, str) and isinstance(spelling, str):
            found.append((place, spelling))
    return found


def _text(path: str) -> str:
    """Return a path that JSON can hold."""
    return path.encode("utf-8", "backslashreplace").decode()
