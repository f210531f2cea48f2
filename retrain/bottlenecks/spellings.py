"""The spellings of an image folder that a cache was used with. The original's split depends on the spelling."""

import contextlib
import logging
import os

import orjson

from retrain.bottlenecks.index import json_name, read_lines
from retrain.errors import shown
from retrain.files import append

logger = logging.getLogger("retrain")

FILE_NAME = ".image_dirs.jsonl"  # A line for each spelling: the folder it leads to, and the spelling.


def warn_of_other_spelling(bottleneck_dir: str, image_dir: str) -> None:
    """Warn if the cache was used with the same folder under other spellings and never with this one, and remember this one."""
    # `flowers` and `flowers/` are split alike.
    folder, spelling = json_name(os.path.realpath(image_dir)), json_name(os.path.join(image_dir, ""))
    path = os.path.join(bottleneck_dir, FILE_NAME)
    before = _spellings_of(folder, path)
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


def _spellings_of(folder: str, path: str) -> list[str]:
    """Return the spellings of a folder in the file `path`, the last one last. Lines that are not of this form are skipped."""
    pairs = [values for values in read_lines(path) if isinstance(values, list) and len(values) == 2]
    return [spelling for place, spelling in pairs if place == folder and isinstance(spelling, str)]
