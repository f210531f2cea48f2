"""Photos that can be decoded, but probably not as their owner means: they get a warning."""

import logging
import struct
from collections.abc import Mapping

import numpy as np
import PIL.Image

from retrain.data.orientation import UPRIGHT, orientation_of
from retrain.data.pillow import open_image
from retrain.data.resize import PixelArray
from retrain.data.sources import OpenedSource
from retrain.errors import counted, listing, shown

logger = logging.getLogger("retrain")

BRIGHTEST_OF_12_BITS = 15  # Of 255: a level below 2^12 in a file of 16 bits.
PNG_START, BIT_DEPTH = b"\x89PNG\r\n\x1a\n", 24  # The offset of the bit depth in a PNG file, which begins with its header.
TIFF_STARTS, BITS_PER_SAMPLE = (b"II*\0", b"MM\0*"), 258


class Remarks:
    """Remarks about photos, made while they were decoded.

    Attributes:
        turned: indices of the photos with an EXIF orientation that is ignored.
        nearly_black: indices of the photos with 16 bits a level of which only the lower 12 are used.
    """

    def __init__(self, ignores_orientation: bool = False) -> None:
        """Begin without remarks. `ignores_orientation` counts the photos that are decoded as they are stored, but turned."""
        self._ignores_orientation = ignores_orientation
        self.turned: set[int] = set()
        self.nearly_black: set[int] = set()

    def note(self, index: int, contents: OpenedSource, pixels: PixelArray) -> None:
        """Note what is odd about one photo: its file's content or the like, and its pixels, uint8 [h, w, 4]."""
        if isinstance(contents, np.ndarray):
            return
        if self._ignores_orientation and orientation_of(contents) != UPRIGHT:
            self.turned.add(index)
        if _has_16_bits(contents) and pixels[..., :3].max() <= BRIGHTEST_OF_12_BITS:
            self.nearly_black.add(index)

    def warn_of_nearly_black(self, paths: Mapping[int, str]) -> None:
        """Warn of the photos that use 12 of 16 bits; `paths` has their files by index."""
        if self.nearly_black:
            named = [shown(paths[index]) for index in sorted(self.nearly_black)]
            logger.warning(
                "%s nearly black: 16 bits for each grey level, of which 12 are used at most. Save with levels up to 65535, or in "
                "8 bits: %s.",
                counted(len(named), "photo is", "photos are"),
                listing(named),
            )


def _has_16_bits(contents: bytes | PIL.Image.Image) -> bool:
    if isinstance(contents, PIL.Image.Image):
        return contents.mode.startswith("I;16")
    if contents.startswith(PNG_START):
        return contents[BIT_DEPTH : BIT_DEPTH + 1] == b"\x10"
    if not contents.startswith(TIFF_STARTS):
        return False
    try:
        with open_image(contents, ["TIFF"]) as image:
            bits = image.getexif().get(BITS_PER_SAMPLE, 8)
    except (OSError, ValueError, SyntaxError, struct.error):
        return False
    return 16 in (bits if isinstance(bits, tuple) else (bits,))
