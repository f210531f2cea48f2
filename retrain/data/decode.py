"""Decoding of an encoded image to pixels, and from there to what the network takes. The one decoder of the project.

Pixels are uint8 [height, width, 4]: red, green, blue, and a byte without meaning, since four bytes are moved as one number.
"""

import contextlib
import threading
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import PIL.Image
import simplejpeg

from retrain.data.orientation import TRANSPOSED, UPRIGHT, orientation_of, upright
from retrain.data.pillow import open_image
from retrain.data.resize import PixelArray, box, fit
from retrain.errors import ImageError
from retrain.input_spec import APPLY, FULL, InputSpec

# Images with more pixels are refused, by Pillow too (twice its MAX_IMAGE_PIXELS): a file of a few kilobytes can claim gigabytes.
MAX_PIXELS = 178_956_970
# Formats that Pillow may decode. Others of its formats are rare, and some start other programs, as EPS does.
PILLOW_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF", "TIFF", "PPM", "ICO", "TGA", "JPEG2000")
JPEG_MARK, START_OF_SCAN, END_OF_IMAGE = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
# Warnings of libjpeg (its jerror.h) about damage in spite of which TensorFlow, and so the original, decodes a file.
HARMLESS = ("Corrupt JPEG data", "Warning", "Invalid SOS parameters", "Inconsistent progression", "Unknown Adobe color transform")

# Pillow decodes an image at its first use, which threads that share one must not do at once. Each image has one of these locks.
_loading = [threading.Lock() for _ in range(64)]

LEAST_RATIO = 2  # Of what is resized to the input, in height and width, where a photo is decoded at a part of its size.


def decode(contents: bytes, spec: InputSpec | None = None) -> PixelArray:
    """Decode an image file's content. The content tells the format.

    Args:
        contents: of the file.
        spec: the network's input, for which a large JPEG may be decoded at a part of its size, and a photo turned upright; None
            decodes all pixels as they are stored.

    A JPEG has the pixels, bit for bit, of TensorFlow's `decode_jpeg`, which the original uses.

    Raises:
        ImageError: it cannot be decoded; the message is the reason.
    """
    orientation = orientation_of(contents) if spec and spec.exif_orientation == APPLY else UPRIGHT
    if contents.startswith(JPEG_MARK):
        try:
            return upright(_decode_jpeg(contents, spec, orientation), orientation)
        except (ValueError, KeyError):  # Pillow may know more of it, and else knows the reason.
            pass
    return upright(_decode_with_pillow(contents), orientation)


def decode_opened(image: PIL.Image.Image, spec: InputSpec) -> PixelArray:
    """Return the pixels of an image that Pillow opened or made, converted as those of a file, and turned upright likewise.

    Raises:
        ImageError: it cannot be decoded; the message is the reason.
    """
    with _pillow_errors():
        with _loading[(id(image) >> 4) % len(_loading)]:
            image.load()  # Of a TIFF file, this turns it upright and removes the tag.
            orientation = orientation_of(image) if spec.exif_orientation == APPLY else UPRIGHT
        if not image.width or not image.height:
            raise ImageError("it has no pixels")
        return upright(_pixels(image.copy() if "transparency" in image.info else image), orientation)


def image_from_bytes(contents: bytes, spec: InputSpec) -> npt.NDArray[np.float32]:
    """Decode an image file's content → float32 [H, W, 3]. Raises ImageError; the message is the reason."""
    return fit(decode(contents, spec), spec)


def image_from_file(path: str, spec: InputSpec) -> npt.NDArray[np.float32]:
    """Decode one image → float32 [H, W, 3].

    Raises:
        ImageError: the file cannot be read or decoded; the message is the reason.
    """
    return image_from_bytes(read_image(path), spec)


def read_image(path: str) -> bytes:
    """Return an image file's content. Raises ImageError if it cannot be read; the message is the reason."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ImageError(error.strerror or str(error)) from error


def declared_pixels(contents: bytes) -> int:
    """Return the number of pixels that an image's header declares; 0 if the image cannot be decoded, or declares too many."""
    with contextlib.suppress(Exception):  # Of many kinds: see _pillow_errors.
        if contents.startswith(JPEG_MARK):
            with contextlib.suppress(ValueError):
                height, width, _, _ = simplejpeg.decode_jpeg_header(contents, strict=False)
                return int(height * width) if height * width <= MAX_PIXELS else 0
        with open_image(contents, PILLOW_FORMATS) as image:
            return image.width * image.height
    return 0


def _decode_jpeg(contents: bytes, spec: InputSpec | None, orientation: int) -> PixelArray:
    """Decode a JPEG as TensorFlow does: with the fast integer DCT. Raises ValueError if it cannot, or has too many pixels."""
    height, width, colours, _ = simplejpeg.decode_jpeg_header(contents, strict=False)
    if height * width > MAX_PIXELS:
        raise ValueError("it has too many pixels")
    if colours in ("CMYK", "YCCK"):
        return _without_black(_leniently(contents, "CMYK"), b"Adobe" in contents)
    sizes = (width, height) if orientation in TRANSPOSED else (height, width)
    divisor = _divisor(*sizes, spec) if spec else 1
    if divisor == 1:
        return _leniently(contents, "RGBX")
    # The smallest size that is at least this one, which is the one that is meant.
    size = {"min_height": -(-height // divisor), "min_width": -(-width // divisor), "min_factor": divisor}
    return _leniently(contents, "RGBX", **size)


def _divisor(height: int, width: int, spec: InputSpec) -> int:
    """Return 1, 2, 4 or 8: the part of its height and width that a photo is decoded at."""
    if spec.decode_scale == FULL:
        return 1
    _, _, tall, wide = box(height, width, spec)
    return next((n for n in (8, 4, 2) if tall >= n * LEAST_RATIO * spec.height and wide >= n * LEAST_RATIO * spec.width), 1)


def _leniently(contents: bytes, colours: str, **size: int) -> PixelArray:
    try:
        return simplejpeg.decode_jpeg(contents, colours, fastdct=True, **size)
    except ValueError as error:
        if not str(error).startswith(HARMLESS) or contents.rfind(END_OF_IMAGE) < contents.rfind(START_OF_SCAN):
            raise  # Of several kinds of damage the message tells the first; a file that was cut off is refused.
    return simplejpeg.decode_jpeg(contents, colours, fastdct=True, strict=False, **size)


def _without_black(cmyk: PixelArray, inverted: bool) -> PixelArray:
    """Convert cyan, magenta, yellow and black as TensorFlow does (jpeg_mem.cc): `c · k / 255`, of inverted values if Adobe's."""
    wide = (cmyk if inverted else 255 - cmyk).astype(np.uint16)
    return (wide * wide[..., 3:] // 255).astype(np.uint8)


def _decode_with_pillow(contents: bytes) -> PixelArray:
    if not contents:
        raise ImageError("the file is empty")
    with _pillow_errors(), open_image(contents, PILLOW_FORMATS) as image:
        return _pixels(image)


@contextlib.contextmanager
def _pillow_errors() -> Iterator[None]:
    """Raise ImageError for what Pillow raises."""
    try:
        yield
    except ImageError:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"it has more than {MAX_PIXELS:,} pixels") from error
    except PIL.UnidentifiedImageError as error:
        raise ImageError("it is no image in a known format") from error
    except Exception as error:  # Pillow's decoders raise many kinds for damaged files: all mean the same here.
        raise ImageError(str(error)) from error


def _pixels(image: PIL.Image.Image) -> PixelArray:
    """Return a Pillow image's pixels. Pillow itself clips 16-bit grey levels at 255, which makes most of them white."""
    if image.mode.startswith("I;16"):
        return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., np.newaxis], 4, axis=-1)
    if image.mode in ("I", "F"):
        raise ImageError("the range of its grey levels is not known")
    image.load()
    image.info.pop("transparency", None)  # It has no effect but a warning.
    rgb = image.convert("RGB")  # Which Pillow holds in four bytes a pixel.
    return np.frombuffer(rgb.tobytes("raw", "RGBX"), np.uint8).reshape(rgb.height, rgb.width, 4)
