"""Decoding of image files: formats, TensorFlow 1's pixel grid, and files that are no images."""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from PIL import Image

from retrain.data.decode import (
    MAX_PIXELS,
    _is_for_tensorflow,
    decode,
    decode_by,
    decode_with_pillow,
    image_from_bytes,
    image_from_file,
    resize,
    shaped,
)
from retrain.errors import ImageError
from retrain.input_spec import CROP, InputSpec
from tests.support.pictures import encoded, noise, soft, tf1_resize

GREY = InputSpec(40, 50, 0.0, 1.0)  # Grey levels as they are.
MOBILENET = InputSpec(128, 128, 127.5, 127.5)


def bmp(pixels: npt.NDArray[np.uint8], bits: int, top_down: bool = False) -> bytes:
    """Return an uncompressed BMP, by its definition: 8 bits with a palette, at most 256 colours, or 24 or 32 without one.

    Rows are padded to a multiple of 4 bytes and go from the bottom up, or with a negative height from the top down.
    """
    height, width, _ = pixels.shape
    colours, indices = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    palette = np.pad(colours[:, ::-1], ((0, 256 - len(colours)), (0, 1))).tobytes() if bits == 8 else b""
    bgr = pixels[..., ::-1]
    bgrx = np.pad(bgr, ((0, 0), (0, 0), (0, 1)))
    values: dict[int, npt.NDArray[Any]] = {8: indices.reshape(height, width, 1), 24: bgr, 32: bgrx}
    rows = [row.astype(np.uint8).tobytes() for row in values[bits]]
    data = b"".join(row + bytes(-len(row) % 4) for row in (rows if top_down else rows[::-1]))
    start = 54 + len(palette)
    file_header = b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start)
    return file_header + bmp_header(width, height, bits, top_down) + palette + data


def bmp_header(width: int, height: int, bits: int, top_down: bool) -> bytes:
    return struct.pack("<IiiHHIIiiII", 40, width, -height if top_down else height, 1, bits, 0, 0, 0, 0, 0, 0)


def expected_input(pixels: npt.NDArray[Any], spec: InputSpec) -> npt.NDArray[np.float64]:
    return (tf1_resize(pixels, spec.height, spec.width) - spec.mean) / spec.std


SIZES = [
    pytest.param((37, 53), (128, 128), id="larger"),
    pytest.param((301, 233), (128, 128), id="smaller"),
    pytest.param((64, 48), (64, 48), id="as it is"),
    pytest.param((7, 500), (299, 299), id="long"),
    pytest.param((1, 1), (4, 6), id="one pixel"),
    pytest.param((100, 90), (1, 1), id="to one pixel"),
]


@pytest.mark.parametrize(("size", "new_size"), SIZES)
@pytest.mark.parametrize(("mean", "std"), [(127.5, 127.5), (128.0, 128.0), (0.0, 255.0)])
def test_the_whole_way_agrees_with_numpy(size: tuple[int, int], new_size: tuple[int, int], mean: float, std: float) -> None:
    contents, spec = encoded(noise(*size), "PNG"), InputSpec(*new_size, mean, std)
    with Image.open(io.BytesIO(contents)) as image:
        pixels = np.asarray(image)
    found = image_from_bytes(tf.constant(contents), spec).numpy()
    assert found.dtype == np.float32
    assert found.shape == (*new_size, 3)
    np.testing.assert_allclose(found, expected_input(pixels, spec), rtol=0, atol=1e-4)


def test_tensorflow_2s_own_grid_would_not_pass() -> None:
    pixels = noise(301, 233)
    newer = tf.image.resize(pixels, (128, 128)).numpy()
    assert np.abs(newer - tf1_resize(pixels, 128, 128)).max() > 10
    np.testing.assert_allclose(resize(tf.constant(pixels), 128, 128), tf1_resize(pixels, 128, 128), rtol=0, atol=1e-2)


def test_resize_takes_uint8_and_float32_alike() -> None:
    pixels = noise(61, 45)
    of_bytes, of_floats = resize(tf.constant(pixels), 32, 40), resize(tf.constant(pixels, tf.float32), 32, 40)
    np.testing.assert_array_equal(of_bytes, of_floats)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG"])
def test_a_pipeline_returns_the_same_bits_as_an_eager_call(file_format: str) -> None:
    contents = encoded(noise(150, 111), file_format)
    eager = image_from_bytes(tf.constant(contents), MOBILENET).numpy()
    dataset = tf.data.Dataset.from_tensors(contents).map(lambda each: image_from_bytes(each, MOBILENET), num_parallel_calls=2)
    (piped,) = dataset.as_numpy_iterator()
    np.testing.assert_array_equal(piped, eager)


@pytest.mark.parametrize(("file_format", "pillow"), [("JPEG", False), ("PNG", False), ("PNG", True), ("BMP", True)])
def test_a_pipeline_decodes_by_the_decoder_asked_for(file_format: str, pillow: bool) -> None:
    contents = encoded(noise(150, 111), file_format)
    dataset = tf.data.Dataset.from_tensors((pillow, contents)).map(decode_by, num_parallel_calls=2)
    (piped,) = dataset.as_numpy_iterator()
    np.testing.assert_array_equal(piped, decode_with_pillow(contents) if pillow else decode(tf.constant(contents)))


def test_a_jpeg_is_decoded_bit_for_bit_as_by_the_originals_operation() -> None:
    contents = encoded(noise(90, 70), "JPEG", quality=80)
    np.testing.assert_array_equal(decode(tf.constant(contents)), tf.raw_ops.DecodeJpeg(contents=contents, channels=3))


@pytest.mark.parametrize("ending", ["jpg", "jpeg", "JPG", "png", "gif", "bmp", "txt", ""])
@pytest.mark.parametrize("file_format", ["PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_lossless_files_are_known_by_their_content(file_format: str, ending: str, tmp_path: Path) -> None:
    picture = Image.fromarray(noise(40, 50)).convert("P" if file_format == "GIF" else "RGB")
    path = tmp_path / f"photo.{ending}"
    path.write_bytes(encoded(picture, file_format, **({"lossless": True} if file_format == "WEBP" else {})))
    np.testing.assert_array_equal(image_from_file(str(path), GREY), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("ending", ["jpg", "png", "gif"])
def test_a_jpeg_is_known_by_its_content(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"photo.{ending}"
    path.write_bytes(encoded(soft(40, 50), "JPEG", quality=95))
    assert np.abs(image_from_file(str(path), GREY) - soft(40, 50)).mean() < 4


def test_of_an_animated_gif_the_first_frame_is_decoded(tmp_path: Path) -> None:
    first, second = (Image.fromarray(noise(40, 50, seed)).convert("P") for seed in (1, 2))
    path = tmp_path / "animation.gif"
    path.write_bytes(encoded(first, "GIF", save_all=True, append_images=[second], duration=100))
    np.testing.assert_array_equal(image_from_file(str(path), GREY), np.asarray(first.convert("RGB")))


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "TIFF", "BMP"])
def test_what_is_left_to_pillow(file_format: str) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(tf.constant(encoded(noise(40, 50), file_format)))


@pytest.mark.parametrize(("width", "height", "fits"), [(13_377, 13_377, True), (13_378, 13_378, False), (1, 178_956_971, False)])
def test_the_header_tells_a_png_bomb(width: int, height: int, fits: bool) -> None:
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5B", 13, b"IHDR", width, height, 8, 2, 0, 0, 0)
    assert bool(_is_for_tensorflow(tf.constant(header))) == fits


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize(("width", "height", "fits"), [(13_377, 13_377, True), (13_378, 13_378, False), (1, 178_956_971, False)])
def test_the_header_tells_a_bmp_bomb(width: int, height: int, fits: bool, top_down: bool) -> None:
    """The file ends after its header: Pillow reads on only if the image fits."""
    contents = b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + bmp_header(width, height, 24, top_down)
    assert not _is_for_tensorflow(tf.constant(contents))
    with pytest.raises(ImageError) as caught:
        decode_with_pillow(contents)
    assert (str(caught.value) == f"it has more than {MAX_PIXELS:,} pixels") != fits
    assert ("truncated" in str(caught.value)) == fits


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "BMP"])
def test_a_grey_image_gets_three_equal_channels(file_format: str, tmp_path: Path) -> None:
    grey = Image.fromarray(soft(40, 50)).convert("L")
    (tmp_path / "grey.jpg").write_bytes(encoded(grey, file_format))
    found = image_from_file(str(tmp_path / "grey.jpg"), GREY)
    assert found.shape == (40, 50, 3)
    assert (found == found[..., :1]).all()
    assert np.abs(found[..., 0] - np.asarray(grey)).mean() < 4


def test_a_palette_with_transparency_has_its_colours() -> None:
    picture = Image.fromarray(soft(40, 50)).convert("P")
    contents = encoded(picture, "PNG", transparency=bytes(range(256)))
    np.testing.assert_array_equal(decode(tf.constant(contents)), np.asarray(picture.convert("RGB")))


def test_an_alpha_channel_is_left_out() -> None:
    pixels = np.dstack([noise(40, 50), noise(40, 50, seed=1)[..., :1]])
    found = decode(tf.constant(encoded(Image.fromarray(pixels), "PNG")))
    np.testing.assert_array_equal(found, pixels[..., :3])


def test_sixteen_bits_become_eight() -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    contents = encoded(Image.fromarray(levels * 257), "PNG")  # 257 = 65535 / 255: white is white in both
    np.testing.assert_array_equal(decode(tf.constant(contents))[..., 0], levels)


@pytest.mark.parametrize("reader", ["tensorflow", "pillow"])
def test_a_cmyk_jpeg_keeps_its_colours(reader: str) -> None:
    contents = encoded(Image.fromarray(soft(40, 50)).convert("CMYK"), "JPEG", quality=95)
    found = decode(tf.constant(contents)).numpy() if reader == "tensorflow" else decode_with_pillow(contents)
    assert np.abs(found.astype(int) - soft(40, 50)).mean() < 4


def test_what_only_pillow_decodes_is_resized_as_any_other(tmp_path: Path) -> None:
    pixels = noise(91, 77)
    contents = encoded(pixels, "TIFF")
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(tf.constant(contents))
    (tmp_path / "scan.jpg").write_bytes(contents)
    found = image_from_file(str(tmp_path / "scan.jpg"), MOBILENET)
    np.testing.assert_allclose(found, expected_input(pixels, MOBILENET), rtol=0, atol=1e-4)
    (tmp_path / "scan.png").write_bytes(encoded(pixels, "PNG"))
    np.testing.assert_array_equal(found, image_from_file(str(tmp_path / "scan.png"), MOBILENET))


def test_a_bmp_with_a_palette_has_its_colours(tmp_path: Path) -> None:
    picture = Image.fromarray(soft(40, 50)).convert("P")
    (tmp_path / "old.bmp").write_bytes(encoded(picture, "BMP"))
    np.testing.assert_array_equal(image_from_file(str(tmp_path / "old.bmp"), GREY), np.asarray(picture.convert("RGB")))


@pytest.mark.parametrize("top_down", [False, True], ids=["bottom up", "top down"])
@pytest.mark.parametrize("bits", [8, 24, 32])
def test_a_bmp_of_any_depth_is_decoded_by_pillow(bits: int, top_down: bool, tmp_path: Path) -> None:
    pixels = noise(40, 50) // 52 * 50  # 125 colours, which fit into a palette.
    contents = bmp(pixels, bits, top_down)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(tf.constant(contents))
    np.testing.assert_array_equal(decode_with_pillow(contents), pixels)
    (tmp_path / "photo.jpg").write_bytes(contents)
    np.testing.assert_array_equal(image_from_file(str(tmp_path / "photo.jpg"), GREY), pixels)


def reason_for(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        image_from_file(str(path), MOBILENET)
    reason = str(caught.value)
    assert path.name not in reason, "the caller knows the path, and puts it in front"
    assert " object at 0x" not in reason
    return reason


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"", "the file is empty"),
        (b"no image, but some text\n", "it is no image in a known format"),
        (b"\xff\xd8\xff\xe0", "it is no image in a known format"),
        (bytes(1000), "it is no image in a known format"),
    ],
)
def test_the_reason_for_a_file_that_is_no_image(contents: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(contents)
    assert reason_for(tmp_path / "photo.jpg") == reason


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_the_reason_for_an_image_that_was_cut_off(file_format: str, share: float, tmp_path: Path) -> None:
    contents = encoded(noise(150, 111), file_format)
    (tmp_path / "photo.jpg").write_bytes(contents[: int(len(contents) * share)])
    assert "truncated" in reason_for(tmp_path / "photo.jpg").lower()


def test_the_reason_for_a_missing_file_and_for_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder.jpg").mkdir()
    assert reason_for(tmp_path / "nowhere.jpg") == "No such file or directory"
    assert reason_for(tmp_path / "folder.jpg") == "Is a directory"


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
    np.testing.assert_array_equal(shaped(tf.constant(pixels), spec), pixels[top:bottom, left:right])
    found = image_from_bytes(tf.constant(encoded(Image.fromarray(pixels), "PNG")), spec)
    np.testing.assert_allclose(found, expected_input(pixels[top:bottom, left:right], spec), atol=1e-4)


def test_both_decoders_crop(tmp_path: Path) -> None:
    pixels, spec = noise(60, 90), InputSpec(32, 32, 0.0, 1.0, CROP)
    expected = expected_input(pixels[4:56, 19:71], spec)
    for format in ("PNG", "BMP"):
        path = tmp_path / f"photo.{format.lower()}"
        path.write_bytes(encoded(Image.fromarray(pixels), format))
        np.testing.assert_allclose(image_from_file(str(path), spec), expected, atol=1e-3)
