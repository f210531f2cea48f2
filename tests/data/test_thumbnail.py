"""Small pictures of photos."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrain.data.thumbnail import jpeg, small_photo
from retrain.errors import ImageError


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG"
    return image


@pytest.mark.parametrize(
    ("size", "expected"), [((400, 200), (120, 60)), ((200, 400), (60, 120)), ((3000, 1000), (120, 40)), ((50, 20), (50, 20)),
     ((5000, 2), (120, 1))]
)  # fmt: skip
def test_the_whole_photo_fits_into_the_square(size: tuple[int, int], expected: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, (200, 40, 90)).save(tmp_path / "photo.jpg")
    small = opened(jpeg(small_photo(str(tmp_path / "photo.jpg"), 120)))
    assert small.size == expected
    np.testing.assert_allclose(np.asarray(small).mean(axis=(0, 1)), (200, 40, 90), atol=4)


def test_a_photo_that_is_stored_turned_is_upright(tmp_path: Path) -> None:
    pixels = np.zeros((80, 160, 3), np.uint8)
    pixels[:, 80:] = 255  # The right half is white: after a turn to the right, the lower one.
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels).save(tmp_path / "photo.jpg", exif=exif)
    small = np.asarray(opened(jpeg(small_photo(str(tmp_path / "photo.jpg"), 40))))
    assert small.shape == (40, 20, 3)
    assert small[:15].mean() < 10 and small[25:].mean() > 245


def test_what_cannot_be_decoded(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    for name, reason in (("text.jpg", "it is no image in a known format"), ("missing.jpg", "No such file or directory")):
        with pytest.raises(ImageError) as caught:
            small_photo(str(tmp_path / name), 120)
        assert str(caught.value) == reason
