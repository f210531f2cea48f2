"""Opening of images with Pillow, which reads the header alone."""

import io
import mmap
import threading
import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import PIL.Image

Contents: TypeAlias = bytes | mmap.mmap
_filtering = threading.Lock()


def open_image(contents: Contents, formats: Sequence[str]) -> PIL.Image.Image:
    """Open an image file's content; only the formats named are tried. Raises what Pillow raises."""
    PIL.Image.init()  # Loads the formats.
    known = [name for name in formats if name in PIL.Image.OPEN]
    # Filters of warnings are the process's, not the thread's.
    with _filtering, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # About many pixels, at half of what it refuses, and about damaged tags.
        file: Any = contents if isinstance(contents, mmap.mmap) else io.BytesIO(contents)
        return PIL.Image.open(file, formats=known)
