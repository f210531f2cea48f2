"""Small pictures of photos, for reports."""

import io
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import PIL.Image

from retrain.data.decode import decode, read_image
from retrain.data.loader import N_CORES
from retrain.errors import ImageError
from retrain.input_spec import APPLY, SCALED, InputSpec

QUALITY = 80  # Of the JPEG, as Pillow counts: 3 to 6 KB for 120 pixels.


def small_photo(path: str, side: int) -> PIL.Image.Image:
    """Return a small picture of a photo, in RGB: upright, whole, and as large as fits into a square of `side` pixels.

    Raises:
        ImageError: it cannot be read or decoded; the message is the reason.
    """
    contents = read_image(path)
    # Of a large JPEG, a part of the pixels is enough: the decoder keeps twice the size of the input or more.
    half = -(-side // 2)
    pixels = decode(contents, InputSpec(half, half, 0.0, 1.0, decode_scale=SCALED, exif_orientation=APPLY))
    height, width = pixels.shape[:2]
    scale = min(1.0, side / max(height, width))
    size = math.ceil(width * scale), math.ceil(height * scale)
    return PIL.Image.fromarray(pixels[..., :3]).resize(size, PIL.Image.Resampling.BILINEAR, reducing_gap=2.0)


def small_photos(paths: Sequence[str], side: int) -> list[PIL.Image.Image | None]:
    """Return small pictures of photos, as `small_photo`, decoded in threads; None for one that cannot be read or decoded."""
    with ThreadPoolExecutor(N_CORES) as pool:
        return list(pool.map(lambda path: _small_photo_or_none(path, side), paths))


def _small_photo_or_none(path: str, side: int) -> PIL.Image.Image | None:
    try:
        return small_photo(path, side)
    except ImageError:
        return None


def jpeg(photo: PIL.Image.Image) -> bytes:
    """Return a small picture as a JPEG file."""
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
