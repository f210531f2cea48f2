"""Endings of images' names, and the images that a folder holds under other names."""

import importlib.util

from retrain.data.pillow import HEIF_PACKAGE

ORIGINAL_ENDINGS = (".jpg", ".jpeg", ".png")  # The original's, in any case.
HEIF_ENDINGS = (".heic", ".heif")
ENDINGS = (
    *ORIGINAL_ENDINGS,
    *(".jpe", ".jfif", ".mpo", ".gif", ".bmp", ".webp", ".avif", ".tif", ".tiff", ".jp2", ".ppm", ".pgm", ".tga", ".ico"),
    *HEIF_ENDINGS,
)
# How files of these formats begin: JPEG, PNG, GIF, BMP, TIFF, and WebP, which is told by bytes 8 to 12.
STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*")
WEBP = b"RIFF", b"WEBP"


def usable_endings(all_images: bool) -> tuple[str, ...]:
    """Return the endings of the images that training uses: the original's, or those of all formats that can be decoded here."""
    if not all_images:
        return ORIGINAL_ENDINGS
    return ENDINGS if reads_heif() else tuple(each for each in ENDINGS if each not in HEIF_ENDINGS)


def reads_heif() -> bool:
    """Return True if the package that reads the photos of iPhones is installed."""
    return importlib.util.find_spec(HEIF_PACKAGE) is not None


def is_image_name(name: str, endings: tuple[str, ...] = ENDINGS) -> bool:
    """Return True if a file's name has one of the endings, in upper or lower case."""
    return name.lower().endswith(endings)


def is_unnamed_image(path: str) -> bool:
    """Return True for a file that begins as an image does, whatever its name."""
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError:
        return False
    return start.startswith(STARTS) or (start[:4], start[8:12]) == WEBP
