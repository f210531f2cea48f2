"""Decoding of image files: formats, TensorFlow 1's pixel grid, and files that are no images."""

import contextlib
import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from PIL import Image

from retrain.arrays import FloatArray
from retrain.data.decode import MAX_PIXELS, declared_pixels, decode, image_from_bytes, image_from_file
from retrain.errors import ImageError
from retrain.input_spec import InputSpec
from tests.support.pictures import Pixels, encoded, expected_input, noise, soft

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
    found = image_from_bytes(contents, spec)
    assert found.dtype == np.float32
    assert found.shape == (*new_size, 3)
    np.testing.assert_allclose(found, expected_input(pixels, spec), rtol=0, atol=1e-4)


def originals_pixels(contents: bytes) -> Pixels:
    """Return what TensorFlow's own operation decodes, uint8 [h, w, 3]: it is the original's, and an independent reference."""
    return np.asarray(tf.io.decode_image(contents, channels=3, expand_animations=False))


def originals_input(contents: bytes, spec: InputSpec) -> FloatArray:
    resized = tf.raw_ops.ResizeBilinear(images=originals_pixels(contents)[np.newaxis], size=[spec.height, spec.width])[0]
    return np.asarray((resized - np.float32(spec.mean)) * np.float32(1 / spec.std))


def colours(contents: bytes) -> Pixels:
    return decode(contents)[..., :3]


JPEGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "progressive": {"progressive": True},
    "4:2:0": {"subsampling": 2, "quality": 30},
    "4:2:2": {"subsampling": 1},
    "4:4:4": {"subsampling": 0, "quality": 100},
    "restart markers": {"restart_marker_blocks": 2},
    "kept as RGB": {"keep_rgb": True},
}


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", JPEGS)
@pytest.mark.parametrize("size", [(90, 70), (1, 1), (33, 8)])
def test_a_jpeg_has_the_bits_of_the_originals_decoder(mode: str, kind: str, size: tuple[int, int]) -> None:
    if kind == "kept as RGB" and mode != "RGB":
        pytest.skip("it is a way of storing RGB")
    contents = encoded(Image.fromarray(noise(*size)).convert(mode), "JPEG", **JPEGS[kind])
    # TurboJPEG refuses CMYK with colours at half the resolution; it is left to Pillow, whose integer DCT is the accurate one.
    levels = 3 if mode == "CMYK" and kind in ("4:2:0", "4:2:2") else 0
    np.testing.assert_allclose(colours(contents).astype(int), originals_pixels(contents), rtol=0, atol=levels)


def test_a_cmyk_jpeg_that_is_not_adobes_has_the_bits_of_the_originals_decoder() -> None:
    contents = encoded(Image.fromarray(soft(40, 50)).convert("CMYK"), "JPEG")
    marker = contents.index(b"\xff\xee")
    length = int.from_bytes(contents[marker + 2 : marker + 4], "big")
    plain = contents[:marker] + contents[marker + 2 + length :]
    assert b"Adobe" not in plain
    np.testing.assert_array_equal(colours(plain), originals_pixels(plain))
    assert (colours(plain) != colours(contents)).any()


def png(bits: int, colour_type: int, channels: int, chunk: bytes = b"") -> bytes:
    """Return a PNG of random samples, by its definition; `chunk` precedes the samples. Palettes have all their entries."""
    rng, width, height = np.random.default_rng(bits), 31, 23
    row_bytes = (width * channels * bits + 7) // 8
    rows = b"".join(b"\0" + rng.bytes(row_bytes) for _ in range(height))
    palette = png_chunk(b"PLTE", rng.bytes(3 * 2**bits)) if colour_type == 3 else b""
    header = png_chunk(b"IHDR", struct.pack(">2I5B", width, height, bits, colour_type, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + palette + chunk + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


GREY_LEVELS, RGB, PALETTE, GREY_ALPHA, RGBA = (0, 1), (2, 3), (3, 1), (4, 2), (6, 4)
PNGS = [
    *((bits, GREY_LEVELS) for bits in (1, 2, 4, 8, 16)),
    *((bits, PALETTE) for bits in (1, 2, 4, 8)),
    *((bits, kind) for kind in (RGB, GREY_ALPHA, RGBA) for bits in (8, 16)),
]


@pytest.mark.parametrize(("bits", "kind"), PNGS)
@pytest.mark.parametrize("chunk", [b"", png_chunk(b"gAMA", struct.pack(">I", 30_000))], ids=["", "gamma"])
def test_a_png_has_the_bits_of_the_originals_decoder(bits: int, kind: tuple[int, int], chunk: bytes) -> None:
    contents = png(bits, *kind, chunk)
    np.testing.assert_array_equal(colours(contents), originals_pixels(contents))


def test_photos_have_the_bits_of_the_originals_way(flower_photos: Path) -> None:
    for path in sorted(flower_photos.rglob("*.jpg"))[::12]:
        contents = path.read_bytes()
        for spec in (MOBILENET, InputSpec(299, 299, 128.0, 128.0), InputSpec(40, 50, 0.0, 255.0)):
            np.testing.assert_array_equal(image_from_bytes(contents, spec), originals_input(contents, spec), str(path))


def damaged(contents: bytes, seed: int) -> bytes:
    """Return the bytes with one to three of them changed, somewhere."""
    rng, changed = np.random.default_rng(seed), bytearray(contents)
    for index in rng.integers(0, len(contents), rng.integers(1, 4)):
        changed[index] = rng.integers(0, 256)
    return bytes(changed)


@pytest.mark.parametrize("progressive", [False, True])
def test_damage_that_the_original_decodes_in_spite_of_gives_its_bits(progressive: bool) -> None:
    contents = encoded(noise(61, 47), "JPEG", progressive=progressive)
    n_decoded = n_different = 0
    for seed in range(200):
        broken = damaged(contents, seed)
        try:
            expected = originals_pixels(broken)
        except tf.errors.InvalidArgumentError:
            continue  # Then Pillow decides.
        n_decoded += 1
        with contextlib.suppress(ImageError):
            n_different += not np.array_equal(colours(broken), expected)
    assert n_decoded > 100
    assert n_different <= n_decoded / 50, "only Pillow's decoding of what libjpeg refuses may differ"


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


SIDES = [(13_377, 13_377, True), (13_378, 13_378, False), (1, 178_956_971, False)]


def reason_of_bytes(contents: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        decode(contents)
    return str(caught.value)


def check_bomb(contents: bytes, fits: bool) -> None:
    """Check a file that ends after its header: it is read on only if the image fits."""
    assert (reason_of_bytes(contents) == f"it has more than {MAX_PIXELS:,} pixels") != fits
    assert (declared_pixels(contents) > 0) == fits


@pytest.mark.parametrize(("width", "height", "fits"), SIDES)
def test_the_header_tells_a_png_bomb(width: int, height: int, fits: bool) -> None:
    header = png_chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
    check_bomb(b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", b""), fits)


@pytest.mark.parametrize(("width", "height", "fits"), [(13_377, 13_377, True), (13_378, 13_378, False), (65_500, 2_733, False)])
def test_the_header_tells_a_jpeg_bomb(width: int, height: int, fits: bool) -> None:
    contents = bytearray(encoded(noise(16, 16), "JPEG"))
    frame = contents.index(b"\xff\xc0")
    contents[frame + 5 : frame + 9] = struct.pack(">2H", height, width)
    check_bomb(bytes(contents[: contents.index(b"\xff\xda") + 14]), fits)


@pytest.mark.parametrize("top_down", [False, True])
@pytest.mark.parametrize(("width", "height", "fits"), SIDES)
def test_the_header_tells_a_bmp_bomb(width: int, height: int, fits: bool, top_down: bool) -> None:
    contents = b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + bmp_header(width, height, 24, top_down)
    check_bomb(contents, fits)
    assert ("truncated" in reason_of_bytes(contents)) == fits


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"])
def test_the_header_tells_the_number_of_pixels(file_format: str) -> None:
    contents = encoded(noise(30, 20), file_format)
    assert declared_pixels(contents) == 600
    assert declared_pixels(contents[:10]) == declared_pixels(b"") == 0


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
    np.testing.assert_array_equal(colours(contents), np.asarray(picture.convert("RGB")))


def test_an_alpha_channel_is_left_out() -> None:
    pixels = np.dstack([noise(40, 50), noise(40, 50, seed=1)[..., :1]])
    found = colours(encoded(Image.fromarray(pixels), "PNG"))
    np.testing.assert_array_equal(found, pixels[..., :3])


def test_sixteen_bits_become_eight() -> None:
    levels = np.arange(256, dtype=np.uint16).reshape(16, 16)
    contents = encoded(Image.fromarray(levels * 257), "PNG")  # 257 = 65535 / 255: white is white in both
    np.testing.assert_array_equal(decode(contents)[..., 0], levels)


def test_a_cmyk_jpeg_keeps_its_colours() -> None:
    contents = encoded(Image.fromarray(soft(40, 50)).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(colours(contents).astype(int) - soft(40, 50)).mean() < 4


def test_what_only_pillow_decodes_is_resized_as_any_other(tmp_path: Path) -> None:
    pixels = noise(91, 77)
    contents = encoded(pixels, "TIFF")
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
    np.testing.assert_array_equal(colours(contents), pixels)
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
