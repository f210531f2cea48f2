"""Opening of images with Pillow, which reads the header alone."""

import importlib
import io
import mmap
import threading
import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import PIL.Image

from retrain.errors import ImageError

Contents: TypeAlias = bytes | mmap.mmap
HEIF_PACKAGE = "pillow_heif"
# Brands in the first box of HEIF files (ISO/IEC 23008-12): pictures compressed as HEVC. AVIF is another codec in such files.
HEIF_BRANDS, AVIF_BRAND = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), b"avif"
MOST_BRANDS = 64
_filtering = threading.Lock()


def open_image(contents: Contents, formats: Sequence[str]) -> PIL.Image.Image:
    """Open an image file's content; only the formats named are tried. Raises what Pillow raises."""
    if is_heif(contents):
        return _open_heif(contents)
    PIL.Image.init()  # Loads the formats.
    known = [name for name in formats if name in PIL.Image.OPEN]
    # Filters of warnings are the process's, not the thread's.
    with _filtering, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # About many pixels, at half of what it refuses, and about damaged tags.
        file: Any = contents if isinstance(contents, mmap.mmap) else io.BytesIO(contents)
        return PIL.Image.open(file, formats=known)


def is_heif(contents: Contents) -> bool:
    """Return True for a photo as iPhones store them."""
    if contents[4:8] != b"ftyp":
        return False
    end = min(int.from_bytes(contents[:4], "big"), 8 + 4 * MOST_BRANDS)
    brands = {bytes(contents[start : start + 4]) for start in range(8, end, 4)}
    return AVIF_BRAND not in brands and not brands.isdisjoint(HEIF_BRANDS)


def _open_heif(contents: Contents) -> PIL.Image.Image:
    """Open a photo as iPhones store them. The package turns it upright. Raises ImageError if it is not installed."""
    try:
        package = importlib.import_module(HEIF_PACKAGE)
    except ImportError as error:
        raise ImageError("HEIC images need the package pillow-heif: pip install '.[heif]'") from error
    found: PIL.Image.Image = package.open_heif(bytes(contents)).to_pillow()
    return found
