"""TensorFlow 1's pixel grid, bit for bit; the crop, and the arithmetic on grey levels."""

import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retrain.arrays import FloatArray
from retrain.data.decode import image_from_bytes, image_from_file
from retrain.data.resize import Levels, axis, fit, resized, shaped
from retrain.input_spec import CROP, InputSpec
from tests.support.pictures import Pixels, encoded, expected_input, noise, tf1_resize

AS_THEY_ARE = Levels(0.0, 1.0)
SIDES = st.integers(1, 90)


def four(pixels: Pixels) -> Pixels:
    """Return pixels as they are decoded: with a fourth byte, of any value."""
    return np.ascontiguousarray(np.dstack([pixels, pixels[..., :1] ^ 77]))


def resize(pixels: Pixels, height: int, width: int) -> FloatArray:
    return resized(four(pixels), axis(pixels.shape[0], height), axis(pixels.shape[1], width), AS_THEY_ARE)


@given(SIDES, SIDES, SIDES, SIDES)
@settings(deadline=None, max_examples=60)
def test_every_size_has_the_bits_of_the_originals_operation(height: int, width: int, new_height: int, new_width: int) -> None:
    pixels = noise(height, width)
    expected = tf.raw_ops.ResizeBilinear(images=pixels[np.newaxis], size=[new_height, new_width])[0]
    np.testing.assert_array_equal(resize(pixels, new_height, new_width), expected)


def test_tensorflow_2s_own_grid_would_not_pass() -> None:
    pixels = noise(301, 233)
    newer = tf.image.resize(pixels, (128, 128)).numpy()
    assert np.abs(newer - tf1_resize(pixels, 128, 128)).max() > 10
    np.testing.assert_allclose(resize(pixels, 128, 128), tf1_resize(pixels, 128, 128), rtol=0, atol=1e-2)


def test_threads_do_not_share_their_buffers() -> None:
    photos = [noise(200 + 10 * seed, 300, seed) for seed in range(8)]
    alone = [resize(photo, 128, 128) for photo in photos]
    found: dict[int, list[FloatArray]] = {}

    def work(number: int) -> None:
        found[number] = [resize(photos[number], 128, 128) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, results in found.items():
        for result in results:
            np.testing.assert_array_equal(result, alone[number])
    assert len(found) == 8


def test_a_photo_that_is_part_of_another_is_resized_by_itself() -> None:
    whole, spec = four(noise(60, 90)), InputSpec(32, 40, 127.5, 127.5)
    part = whole[10:50, 20:80]
    np.testing.assert_array_equal(fit(part, spec), fit(part.copy(), spec))


# The size of a photo, of the input, and the part that is kept by hand: seven eighths of the largest central rectangle.
CROPS = [
    pytest.param((400, 400), (128, 128), (25, 375, 25, 375), id="square"),
    pytest.param((400, 240), (128, 128), (95, 305, 15, 225), id="tall"),
    pytest.param((240, 400), (128, 128), (15, 225, 95, 305), id="wide"),
    pytest.param((240, 401), (128, 128), (15, 225, 95, 305), id="odd"),
    pytest.param((300, 300), (100, 200), (84, 215, 19, 281), id="wide input"),
    pytest.param((1, 1), (128, 128), (0, 1, 0, 1), id="one pixel"),
    pytest.param((1, 300), (128, 128), (0, 1, 149, 150), id="one row"),
]


@pytest.mark.parametrize(("size", "shape", "kept"), CROPS)
def test_a_crop_keeps_the_centre_in_the_shape_of_the_input(
    size: tuple[int, int], shape: tuple[int, int], kept: tuple[int, int, int, int]
) -> None:
    pixels = noise(*size)
    top, bottom, left, right = kept
    spec = InputSpec(*shape, 127.0, 128.0, CROP)
    np.testing.assert_array_equal(shaped(four(pixels), spec)[..., :3], pixels[top:bottom, left:right])
    found = image_from_bytes(encoded(Image.fromarray(pixels), "PNG"), spec)
    np.testing.assert_allclose(found, expected_input(pixels[top:bottom, left:right], spec), atol=1e-4)


def test_every_format_is_cropped(tmp_path: Path) -> None:
    pixels, spec = noise(60, 90), InputSpec(32, 32, 0.0, 1.0, CROP)
    expected = expected_input(pixels[4:56, 19:71], spec)
    for format in ("PNG", "BMP"):
        path = tmp_path / f"photo.{format.lower()}"
        path.write_bytes(encoded(Image.fromarray(pixels), format))
        np.testing.assert_allclose(image_from_file(str(path), spec), expected, atol=1e-3)
