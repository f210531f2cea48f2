"""Photos that their EXIF orientation says to turn."""

import logging
import mmap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import compress

from retrain.data.loader import N_CORES
from retrain.data.orientation import UPRIGHT, orientation_of
from retrain.errors import counted
from retrain.input_spec import APPLY, InputSpec
from retrain.process.interruption import raise_if_interrupted

logger = logging.getLogger("retrain")


def to_be_turned(paths: Sequence[str], spec: InputSpec) -> frozenset[int]:
    """Return the indices of the photos that have to be turned upright for a network: none if it ignores the orientation.

    If it ignores the orientation of photos that have one, a warning says how many they are.
    """
    with ThreadPoolExecutor(N_CORES) as pool:
        turned = frozenset(compress(range(len(paths)), _all(pool.map(_is_turned, paths))))
    if not turned:
        return turned
    if spec.exif_orientation == APPLY:
        n_photos = counted(len(paths), "photo", "photos")
        turns = counted(len(turned), "is", "are")
        logger.info("Of %s, %s turned upright, as the EXIF orientation says.", n_photos, turns)
        return turned
    warn_of_turned(len(turned), len(paths))
    return frozenset()


def warn_of_turned(n_turned: int, n_photos: int) -> None:
    """Warn that photos are used as they are stored, although their EXIF orientation says otherwise."""
    text = (
        "Of %s, %s an EXIF orientation, which says how to turn the stored picture upright. It is ignored: the network sees "
        "%s lying or upside down. To train a network on them upright, add --exif_orientation apply to the training."
    )
    them = "that one" if n_turned == 1 else "those"
    logger.warning(text, counted(n_photos, "photo", "photos"), counted(n_turned, "has", "have"), them)


def _all(found: Iterator[bool]) -> Iterator[bool]:
    for each in found:
        raise_if_interrupted()
        yield each


def _is_turned(path: str) -> bool:
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as contents:
            return orientation_of(contents) != UPRIGHT
    except (OSError, ValueError):  # A file that is missing or empty is reported where it is decoded.
        return False
