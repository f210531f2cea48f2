"""Images in memory: they become the same pixels as the files that hold them."""

import io
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageSequence
import pytest

from retrain.arrays import FloatArray
from retrain.data.decode import decode
from retrain.data.loader import ImageLoader
from retrain.data.sources import ImageSource, decode_source, encode_source
from retrain.errors import ImageError
from retrain.input_spec import APPLY, InputSpec
from tests.support.pictures import Pixels, encoded, noise, soft

SPEC = InputSpec(8, 8, 0.0, 1.0)
TURNING = InputSpec(8, 8, 0.0, 1.0, exif_orientation=APPLY)
# Modes of Pillow's images, and a format whose files hold each without loss.
MODES = {
    "RGB": "PNG",
    "RGBA": "PNG",
    "L": "PNG",
    "LA": "PNG",
    "P": "PNG",
    "1": "PNG",
    "I;16": "TIFF",
    "CMYK": "TIFF",
    "YCbCr": "TIFF",
}

QUALITY: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}


def rgb(source: Any, spec: InputSpec = SPEC) -> Pixels:
    pixels = decode_source(source, spec)
    assert pixels.dtype == np.uint8
    assert pixels.shape[2:] == (4,)
    return pixels[..., :3]


def in_mode(mode: str) -> PIL.Image.Image:
    if mode == "I;16":
        return PIL.Image.fromarray(np.linspace(0, 65535, 600).astype(np.uint16).reshape(20, 30))
    return PIL.Image.fromarray(soft(20, 30)).convert(mode)


@pytest.mark.parametrize("mode", MODES)
def test_an_image_of_any_mode_is_converted_as_its_file_is(mode: str) -> None:
    image = in_mode(mode)
    assert image.mode == mode
    np.testing.assert_array_equal(rgb(image), rgb(encoded(image, MODES[mode])))
    assert image.mode == mode  # It is the caller's.


def test_transparency_is_left_out_and_the_image_is_left_as_it_is() -> None:
    image = in_mode("P")
    image.info["transparency"] = 3
    np.testing.assert_array_equal(rgb(image), rgb(encoded(image, "PNG")))
    assert image.info["transparency"] == 3


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("spec", [SPEC, TURNING], ids=["ignore", "apply"])
def test_the_orientation_of_an_image_is_handled_as_that_of_its_file(file_format: str, orientation: int, spec: InputSpec) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    contents = encoded(soft(20, 30), file_format, exif=exif, **QUALITY.get(file_format, {}))
    opened = PIL.Image.open(io.BytesIO(contents))
    found, expected = rgb(opened, spec).astype(int), rgb(contents, spec).astype(int)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= (6 if file_format == "JPEG" else 0)  # Pillow decodes JPEGs by another DCT.
    np.testing.assert_array_equal(rgb(opened, spec), found)  # Again, now that it is loaded.


def test_an_array_has_its_own_pixels() -> None:
    pixels = noise(7, 9)
    np.testing.assert_array_equal(rgb(pixels), pixels)
    np.testing.assert_array_equal(rgb(pixels[::-1, ::2, ::-1]), pixels[::-1, ::2, ::-1])


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (PIL.Image.new("F", (4, 4)), "the range of its grey levels is not known"),
        (PIL.Image.new("I", (4, 4)), "the range of its grey levels is not known"),
        (PIL.Image.new("RGB", (0, 4)), "it has no pixels"),
    ],
)
def test_an_image_that_cannot_be_converted_says_why(image: PIL.Image.Image, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        decode_source(image, SPEC)
    assert str(caught.value) == reason


def test_an_image_whose_file_is_damaged_is_an_error() -> None:
    contents = encoded(noise(40, 50), "PNG")
    with pytest.raises(ImageError, match="truncated"):
        decode_source(PIL.Image.open(io.BytesIO(contents[: len(contents) // 2])), SPEC)


def test_threads_may_share_an_image_that_is_not_loaded_yet() -> None:
    contents = encoded(noise(300, 400), "PNG")
    expected = rgb(contents)
    for _ in range(10):
        image = PIL.Image.open(io.BytesIO(contents))
        found: list[Pixels] = []
        threads = [threading.Thread(target=lambda image=image, found=found: found.append(rgb(image, TURNING))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(found) == 8
        assert all((each == expected).all() for each in found)


@pytest.mark.parametrize("kind", ["bytes", "array", "image"])
def test_an_image_can_be_stored_without_loss(kind: str) -> None:
    pixels = noise(7, 9)
    source: Any = {"bytes": encoded(pixels, "BMP"), "array": pixels, "image": PIL.Image.fromarray(pixels)}[kind]
    np.testing.assert_array_equal(decode(encode_source(source))[..., :3], pixels)


def loaded(images: Iterator[ImageSource], **how: Any) -> list[FloatArray]:
    loader = ImageLoader(enumerate(images), SPEC, **how)
    found = [image for _, batch in loader for image in batch]
    assert loader.failed == {}
    assert loader.n_drawn == len(found)
    return found


def test_frames_that_replace_each_other_are_used_as_they_are_drawn() -> None:
    """In an array that the caller fills again and again, and in an image that is moved from frame to frame."""
    levels = list(range(0, 200, 10))
    frame = np.zeros((8, 8, 3), np.uint8)

    def frames() -> Iterator[ImageSource]:
        for level in levels:
            frame[...] = level
            yield frame

    assert [image[0, 0, 0] for image in loaded(frames(), as_drawn=True)] == levels
    first, *others = [PIL.Image.new("L", (8, 8), level) for level in levels]
    film = PIL.Image.open(io.BytesIO(encoded(first, "GIF", save_all=True, append_images=others)))
    assert [image[0, 0, 0] for image in loaded(PIL.ImageSequence.Iterator(film), as_drawn=True)] == levels


@pytest.mark.parametrize("as_drawn", [False, True])
def test_images_of_all_kinds_in_one_batch(as_drawn: bool) -> None:
    pixels = [noise(8, 8, seed) for seed in range(3)]
    sources: list[ImageSource] = [encoded(pixels[0], "PNG"), pixels[1], PIL.Image.fromarray(pixels[2])]
    np.testing.assert_array_equal(loaded(iter(sources), as_drawn=as_drawn), pixels)


def test_an_image_in_memory_that_cannot_be_decoded_does_not_cost_its_batch() -> None:
    good = noise(8, 8)
    for as_drawn in (False, True):
        sources: list[ImageSource] = [good, PIL.Image.new("F", (4, 4)), b"some text", b"", good]
        loader = ImageLoader(enumerate(sources), SPEC, as_drawn=as_drawn)
        [(indices, images)] = list(loader)
        assert indices.tolist() == [0, 4]
        np.testing.assert_array_equal(images, [good, good])
        assert loader.failed == {
            1: "the range of its grey levels is not known",
            2: "it is no image in a known format",
            3: "the file is empty",
        }
