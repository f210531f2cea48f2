"""EXIF orientation: cameras store a photo as the sensor saw it, and in a tag how it has to be turned to be upright.

TensorFlow's decoders ignore the tag, and so does the original. TIFF files are no part of this: there, the orientation belongs to
the format, and decoding applies it.
"""

import struct
from collections.abc import Iterator

import numpy as np
import PIL.Image

from retrain.data.pillow import Contents, is_heif, open_image
from retrain.data.resize import PixelArray

UPRIGHT = 1
ORIENTATION = 0x0112  # The tag, in the EXIF standard (CIPA DC-008), with the values 1 to 8.
TRANSPOSED = range(5, 9)  # The values whose height and width are exchanged.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "JPEG2000")  # Those that can hold the tag.
JPEG_START, EXIF_MARK, XMP_MARK = b"\xff\xd8", b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
PNG_START, PNG_TEXTS = b"\x89PNG\r\n\x1a\n", (b"tEXt", b"zTXt", b"iTXt")
PNG_KEYS = (b"Raw profile type exif", b"Raw profile type APP1", b"XML:com.adobe.xmp")  # Of texts that hold EXIF or XMP.
SEGMENT, APP1, START_OF_SCAN, RESTARTS = 0xFF, 0xE1, 0xDA, (0xD0, 0xD9)  # Marks; those of `RESTARTS` have no length.


def orientation_of(contents: Contents | PIL.Image.Image) -> int:
    """Return the orientation of an image, 1 to 8; 1, which is upright, if it does not tell or is damaged.

    Args:
        contents: of an image file, or an image that Pillow opened.
    """
    try:  # Pillow reads the tag as its `ImageOps.exif_transpose` does: from EXIF, or else from XMP.
        if isinstance(contents, PIL.Image.Image):
            return _orientation_in(contents)
        if not _may_tell(contents):
            return UPRIGHT
        with open_image(contents, FORMATS) as image:
            return _orientation_in(image)
    except Exception:  # noqa: BLE001 - Pillow raises many kinds for damaged files.
        return UPRIGHT


def _orientation_in(image: PIL.Image.Image) -> int:
    found = image.getexif().get(ORIENTATION, UPRIGHT)
    return found if type(found) is int and UPRIGHT <= found <= 8 else UPRIGHT


def upright(pixels: PixelArray, orientation: int) -> PixelArray:
    """Turn a photo upright: uint8 [h, w, 4] → uint8 [h, w, 4], or [w, h, 4] for the orientations 5 to 8.

    The tag tells where the first row and the first column of the file are in the upright photo: 1 top and left, 2 top and right,
    3 bottom and right, 4 bottom and left, and 5 to 8 the same with rows and columns exchanged.
    """
    if orientation == UPRIGHT:
        return pixels
    turned = pixels.view(np.uint32)[..., 0]
    if orientation in TRANSPOSED:
        turned = turned.T
    if orientation in (3, 4, 7, 8):
        turned = turned[::-1]
    if orientation in (2, 3, 6, 7):
        turned = turned[:, ::-1]
    return np.ascontiguousarray(turned)[..., np.newaxis].view(np.uint8)


def _may_tell(contents: Contents) -> bool:
    """Return False if the file cannot hold an orientation: that is quick to see for nearly all files."""
    start = contents[:16]
    try:
        if start.startswith(JPEG_START):
            return _jpeg_may_tell(contents)
        if start.startswith(PNG_START):
            return any(
                kind == b"eXIf" or (kind in PNG_TEXTS and text.startswith(PNG_KEYS)) for kind, text in _png_chunks(contents)
            )
        if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
            return any(kind in (b"EXIF", b"XMP ") for kind in _webp_chunks(contents))
    except struct.error:  # The file ends too early.
        return False
    return start[4:8] in (b"ftyp", b"jP  ") and not is_heif(contents)  # AVIF and JPEG 2000; HEIF is turned while it is decoded.


def _jpeg_may_tell(contents: Contents) -> bool:
    """Return True if there is a segment of EXIF or XMP before the pixels, or the segments are damaged."""
    position = len(JPEG_START)
    while True:
        mark, kind, length = struct.unpack_from(">BBH", contents, position)
        if mark != SEGMENT or kind == START_OF_SCAN:
            return bool(mark != SEGMENT)
        if kind == APP1 and contents[position + 4 : position + 40].startswith((EXIF_MARK, XMP_MARK)):
            return True
        # Fill bytes, and marks without a length.
        position += 1 if kind == SEGMENT else 2 if kind == 1 or RESTARTS[0] <= kind <= RESTARTS[1] else 2 + length


def _png_chunks(contents: Contents) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind of each chunk, and its first bytes: of a text, its key."""
    position = len(PNG_START)
    while position < len(contents):
        length, kind = struct.unpack_from(">I4s", contents, position)
        yield kind, contents[position + 8 : position + 40]
        position += length + 12


def _webp_chunks(contents: Contents) -> Iterator[bytes]:
    position = 12
    while position < len(contents):
        kind, length = struct.unpack_from("<4sI", contents, position)
        yield kind
        position += 8 + length + length % 2
