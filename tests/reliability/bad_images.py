"""Files that are images but do not look it, or look it and are not, and some that are neither."""

import io
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from tests.conftest import draw_photo
from tests.reliability.privilege import unprivileged

BAD_CLASS = "red dots"
N_PHOTOS = 25  # Ordinary ones of each class.
BOMB_SIDE = 20_000
BOMB = "it has more than 178,956,970 pixels"
UNKNOWN = "it is no image in a known format"


def encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def jpeg(image: Image.Image) -> bytes:
    return encoded(image, "JPEG", quality=95, subsampling=0)


def picture(seed: int = 0) -> Image.Image:
    """Of the class that holds the bad images; its ordinary photos have other seeds."""
    return draw_photo(BAD_CLASS, 100 + seed)


def png_of_16_bits(image: Image.Image) -> bytes:
    """With an alpha channel that makes half of it transparent."""
    levels = np.asarray(image).astype(np.uint16) * 257
    alpha = np.zeros((*levels.shape[:2], 1), np.uint16)
    alpha[: len(alpha) // 2] = 65535
    contents: bytes = tf.io.encode_png(np.concatenate([levels, alpha], axis=2)).numpy()
    return contents


def animated_gif(frames: Sequence[Image.Image]) -> bytes:
    return encoded(frames[0], "GIF", save_all=True, append_images=[frame.quantize(64) for frame in frames[1:]])


def tiff_of_16_bits(image: Image.Image) -> bytes:
    return encoded(Image.fromarray(np.asarray(image).astype(np.uint16) * 257), "TIFF")


def bomb(file_format: str, mode: str) -> bytes:
    return encoded(Image.new(mode, (BOMB_SIDE, BOMB_SIDE)), file_format)


def gif_bomb() -> bytes:
    """One pixel on a screen of 20,000 × 20,000."""
    contents, side = encoded(Image.new("P", (1, 1)), "GIF"), BOMB_SIDE.to_bytes(2, "little")
    return contents[:6] + side + side + contents[10:]


PLAIN, PALETTE = picture(), picture().quantize(64)
GREY, PIXEL = PLAIN.convert("L"), Image.new("RGB", (1, 1), (200, 90, 30))
EXACT, LOSSY = 1e-4, 0.3  # Mean difference of two bottlenecks; of two pictures of this class it is above 0.6.
# What can be decoded: its file's name → the fault, its content, the same picture in an ordinary format, and how near to it.
USED: dict[str, tuple[str, bytes, Image.Image, float]] = {
    "webp.jpg": ("a WebP named .jpg", encoded(PLAIN, "WEBP", lossless=True), PLAIN, EXACT),
    "png.jpg": ("a PNG named .jpg", encoded(PLAIN, "PNG"), PLAIN, EXACT),
    "gif.jpg": ("a GIF named .jpg", encoded(PALETTE, "GIF"), PALETTE, EXACT),
    "animated.jpg": ("an animated GIF named .jpg", animated_gif([PALETTE, picture(1), picture(2)]), PALETTE, EXACT),
    "bmp.jpg": ("a BMP named .jpg", encoded(PLAIN, "BMP"), PLAIN, EXACT),
    "palette_bmp.jpg": ("a BMP with a palette, named .jpg", encoded(PALETTE, "BMP"), PALETTE, EXACT),
    "tiff.jpg": ("a TIFF named .jpg", encoded(PLAIN, "TIFF"), PLAIN, EXACT),
    "grey_tiff.jpg": ("a 16-bit greyscale TIFF named .jpg", tiff_of_16_bits(GREY), GREY, EXACT),
    "jpeg.png": ("a JPEG named .png", jpeg(PLAIN), PLAIN, LOSSY),
    "cmyk.jpg": ("a CMYK JPEG", jpeg(PLAIN.convert("CMYK")), PLAIN, LOSSY),
    "grey.jpg": ("a greyscale JPEG", jpeg(GREY), GREY, LOSSY),
    "16_bits.png": ("a 16-bit PNG with alpha", png_of_16_bits(PLAIN), PLAIN, EXACT),
    "palette.png": ("a palette PNG with alpha", encoded(PALETTE, "PNG", transparency=bytes(range(64))), PALETTE, EXACT),
    "pixel.png": ("an image of 1 × 1 pixel", encoded(PIXEL, "PNG"), PIXEL.resize((48, 48)), EXACT),
}
# Names of the same ordinary JPEG. Those of 255 bytes leave no room for the ending of a bottleneck's file.
ORDINARY = "jpeg.png"
NAMES = {
    "a symbolic link to an image": "link.jpg",
    "a name with spaces": " a photo  of dots .jpg",
    "a name with commas": "a,b,,c.jpg",
    "a name with a newline": "new\nline.jpg",
    "a non-ASCII name": "rote Tüpfel 赤い点.jpg",
    "a name that is not UTF-8": os.fsdecode(b"caf\xe9.jpg"),
    "a name with %": "100%s%d%.jpg",
    "a name with a leading dash": "--strict.jpg",
    "a name of 255 bytes": "n" * 251 + ".jpg",
    "a non-ASCII name of 255 bytes": "赤" * 83 + "xy.jpg",
}
NEARLY_THE_SAME = "n" * 250 + "m.jpg"  # Another picture; of 255 bytes only one differs from a name above.
# What cannot be decoded: the file's name → the fault, and the reason that has to be given.
UNUSABLE = {
    "cut.jpg": ("a truncated JPEG", r"image file is truncated \(\d+ bytes not processed\)"),
    "cut_png.png": ("a truncated PNG", r"image file is truncated"),
    "empty.jpg": ("an empty file", "the file is empty"),
    "text.jpg": ("text named .jpg", UNKNOWN),
    "page.jpg": ("HTML named .jpg", UNKNOWN),
    "bomb.png": ("a PNG of 20,000 × 20,000 pixels in 49 kB", BOMB),
    "bomb.jpg": ("a JPEG of 20,000 × 20,000 pixels in 4.7 MB", BOMB),
    "bomb_gif.jpg": ("a GIF of 20,000 × 20,000 pixels in 37 bytes", BOMB),
    "broken_link.jpg": ("a broken symbolic link", "No such file or directory"),
    "circle_1.jpg": ("two symbolic links in a circle: the first", "Too many levels of symbolic links"),
    "circle_2.jpg": ("two symbolic links in a circle: the second", "Too many levels of symbolic links"),
    "unreadable.jpg": ("an unreadable file", "Permission denied"),
}
# What is no file, but named like an image.
LEFT_ASIDE = {
    "fifo.jpg": "a FIFO named .jpg",
    "device.jpg": "a link to /dev/zero named .jpg",
    "socket.jpg": "a socket named .jpg",
    "folder.jpg": "a folder named .jpg",
}


def write_photos(folder: Path, encode: Callable[[Image.Image], bytes] = jpeg, count: int = N_PHOTOS) -> None:
    """Photos of the class that the folder is named after."""
    folder.mkdir(parents=True)
    for seed in range(count):
        (folder / f"{seed:03d}.jpg").write_bytes(encode(draw_photo(folder.name, seed)))


def write_usable(folder: Path) -> int:
    """All of `USED` and `NAMES`, and what they are compared with; returns how many files."""
    contents = {name: content for name, (_, content, _, _) in USED.items()}
    contents |= {f"plain_{name}.png": encoded(plain, "PNG") for name, (_, _, plain, _) in USED.items()}
    contents |= {name: jpeg(PLAIN) for name in NAMES.values() if name != "link.jpg"}
    contents |= {name: jpeg(picture(1)) for name in ("other.jpg", NEARLY_THE_SAME)}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder.parents[1] / "elsewhere.jpg").write_bytes(jpeg(PLAIN))
    (folder / "link.jpg").symlink_to("../../elsewhere.jpg")
    return len(contents) + 1


def write_unusable(folder: Path, prefix: str = "") -> None:
    """All of `UNUSABLE` and `LEFT_ASIDE`, with something before their names."""
    contents = {
        "cut.jpg": jpeg(PLAIN)[:900],
        "cut_png.png": encoded(PLAIN, "PNG")[:900],
        "empty.jpg": b"",
        "text.jpg": b"a photo of red dots\n",
        "page.jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>\n",
        "bomb.png": bomb("PNG", "1"),
        "bomb.jpg": bomb("JPEG", "L"),
        "bomb_gif.jpg": gif_bomb(),
        "unreadable.jpg": jpeg(PLAIN),
    }
    links = {"broken_link.jpg": "nowhere.jpg", "circle_1.jpg": f"{prefix}circle_2.jpg", "circle_2.jpg": f"{prefix}circle_1.jpg"}
    for name, content in contents.items():
        (folder / f"{prefix}{name}").write_bytes(content)
    if unprivileged() is None:
        (folder / f"{prefix}unreadable.jpg").unlink()
    else:
        (folder / f"{prefix}unreadable.jpg").chmod(0)
    for name, target in (links | {"device.jpg": "/dev/zero"}).items():
        (folder / f"{prefix}{name}").symlink_to(target)
    os.mkfifo(folder / f"{prefix}fifo.jpg")
    os.mknod(folder / f"{prefix}socket.jpg", 0o600 | stat.S_IFSOCK)
    (folder / f"{prefix}folder.jpg").mkdir()
