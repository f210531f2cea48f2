"""Images as a caller has them: the path of a file, an encoded image, an image of Pillow's, or an array of pixels."""

import io
from typing import TypeAlias

import numpy as np
import PIL.Image

from retrain.data.decode import decode, decode_opened, read_image
from retrain.data.resize import N_CHANNELS, PixelArray
from retrain.input_spec import InputSpec

AS_STORED = InputSpec(1, 1, 0.0, 1.0)  # Input settings that leave the orientation of an image as it is.
# An array is uint8 [h, w, 3]: red, green, blue.
OpenedSource: TypeAlias = bytes | PIL.Image.Image | PixelArray
ImageSource: TypeAlias = str | OpenedSource


def open_source(source: ImageSource) -> OpenedSource:
    """Return the content of a file, and anything else as it is. Raises ImageError if the file cannot be read."""
    return read_image(source) if isinstance(source, str) else source


def decode_source(source: OpenedSource, spec: InputSpec) -> PixelArray:
    """Return the pixels, uint8 [h, w, 4], as those of a file of the image. Raises ImageError; the message is the reason."""
    if isinstance(source, bytes):
        return decode(source, spec)
    if isinstance(source, PIL.Image.Image):
        return decode_opened(source, spec)
    pixels = np.empty((*source.shape[:2], N_CHANNELS), np.uint8)
    for channel in range(3):  # Copying three of four at once takes three times as long.
        pixels[..., channel] = source[..., channel]
    return pixels


def encode_source(source: ImageSource) -> bytes:
    """Return an image as the content of a file; without loss if it is none. Raises ImageError; the message is the reason."""
    opened = open_source(source)
    if isinstance(opened, bytes):
        return opened
    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(decode_source(opened, AS_STORED)[..., :3])).save(file, "PNG", compress_level=1)
    return file.getvalue()
