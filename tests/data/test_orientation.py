"""EXIF orientation: all eight, in every format that holds it, against Pillow's `exif_transpose`."""

import contextlib
import dataclasses
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import PIL.PngImagePlugin
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.backbones.catalog import architecture_names, find_architecture
from retrain.data.decode import decode, image_from_bytes
from retrain.data.orientation import orientation_of
from retrain.data.remarks import Remarks
from retrain.data.turned import to_be_turned
from retrain.errors import ImageError
from retrain.graphdef.description import Description, input_fields
from retrain.input_spec import APPLY, InputSpec

SPEC = InputSpec(16, 24, 127.5, 127.5, exif_orientation=APPLY)
IGNORING = dataclasses.replace(SPEC, exif_orientation="ignore")
TURNED = range(2, 9)
FORMATS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "AVIF": {},
    "TIFF": {},
}


def photo(mode: str = "RGB") -> PIL.Image.Image:
    """Return a picture of 40 × 30 pixels that is smooth, and differs from itself turned in any way."""
    y, x = np.mgrid[0:30, 0:40]
    levels = np.stack([x * 6, y * 8, (x + 2 * y) * 2], axis=-1).astype(np.uint8)
    return PIL.Image.fromarray(levels).convert(mode)


def stored(image: PIL.Image.Image, format: str, orientation: int, **how: Any) -> bytes:
    """Return a file of the image, whose tag says `orientation`."""
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, format, exif=exif, **{**FORMATS[format], **how})
    return file.getvalue()


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("orientation", [1, *TURNED])
def test_pixels_are_those_of_exif_transpose(format: str, orientation: int) -> None:
    contents = stored(photo(), format, orientation)
    with PIL.Image.open(io.BytesIO(contents)) as image:
        expected = np.asarray(PIL.ImageOps.exif_transpose(image).convert("RGB")).astype(int)
    pixels = decode(contents, SPEC)[..., :3].astype(int)
    assert pixels.shape == expected.shape
    # libjpeg-turbo's fast DCT differs from Pillow's exact one by a few levels.
    assert np.abs(pixels - expected).max() <= (6 if format == "JPEG" else 0)


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("format", [name for name in FORMATS if name != "TIFF"])
def test_ignored_it_changes_nothing(format: str, orientation: int) -> None:
    assert (decode(stored(photo(), format, orientation), IGNORING) == decode(stored(photo(), format, 1), IGNORING)).all()


@pytest.mark.parametrize("orientation", TURNED)
def test_a_cmyk_jpeg_is_turned(orientation: int) -> None:
    image = photo("CMYK")
    turned = decode(stored(image, "JPEG", orientation), SPEC)[..., :3]
    straight = PIL.Image.fromarray(decode(stored(image, "JPEG", 1), SPEC)[..., :3])
    exif = straight.getexif()
    exif[0x0112] = orientation
    assert (turned == np.asarray(PIL.ImageOps.exif_transpose(straight))).all()


@pytest.mark.parametrize("orientation", TURNED)
def test_decoded_at_a_part_of_its_size_it_is_turned_as_well(orientation: int) -> None:
    large = photo().resize((640, 480))
    scaled = dataclasses.replace(SPEC, decode_scale="auto")
    whole, part = (image_from_bytes(stored(large, "JPEG", orientation), each) for each in (SPEC, scaled))
    assert decode(stored(large, "JPEG", orientation), scaled).shape[0] < 480
    assert np.abs(whole - part).max() < 0.2  # Of a range of 2: the upright picture looks different elsewhere by up to 2.


def test_xmp_tells_it_where_exif_does_not() -> None:
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    file = io.BytesIO()
    photo().save(file, "JPEG", xmp=xmp)
    assert orientation_of(file.getvalue()) == 6
    assert decode(file.getvalue(), SPEC).shape == (40, 30, 4)


def test_a_png_that_tells_it_after_its_pixels_is_turned() -> None:
    contents = stored(photo(), "PNG", 6)
    start = contents.index(b"eXIf") - 4
    end = start + 12 + struct.unpack_from(">I", contents, start)[0]
    last = contents.index(b"IEND") - 4
    moved = contents[:start] + contents[end:last] + contents[start:end] + contents[last:]
    assert (decode(moved, SPEC) == decode(contents, SPEC)).all()


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_a_value_without_meaning_is_upright(value: int) -> None:
    assert decode(stored(photo(), "JPEG", value), SPEC).shape == (30, 40, 4)


@given(st.data())
def test_damaged_files_raise_our_own_error_alone(data: st.DataObject) -> None:
    contents = bytearray(stored(photo(), data.draw(st.sampled_from(sorted(FORMATS))), 6))
    for _ in range(data.draw(st.integers(1, 8))):
        contents[data.draw(st.integers(0, min(len(contents) - 1, 400)))] = data.draw(st.integers(0, 255))
    cut = bytes(contents[: data.draw(st.integers(0, len(contents)))])
    assert 1 <= orientation_of(cut) <= 8
    with contextlib.suppress(ImageError):
        assert decode(cut, SPEC).shape[2] == 4


def test_the_networks_of_the_original_ignore_it_by_default() -> None:
    kinds = {name: find_architecture(name).input_spec.exif_orientation for name in architecture_names()}
    assert {name for name, kind in kinds.items() if kind == "ignore"} == {
        name for name in kinds if name == "inception_v3" or name.startswith("mobilenet_")
    }
    assert set(kinds.values()) == {"ignore", "apply"}


def test_metadata_holds_it_and_older_metadata_means_ignore() -> None:
    about = Description(("a", "b"), "x:0", **input_fields(SPEC), output_tensor="y:0", architecture="net")
    assert Description.from_json(about.to_json()).input_spec == SPEC
    older = dataclasses.replace(about, input_exif_orientation="ignore").to_json()
    assert "orientation" not in older
    assert Description.from_json(older).input_spec == IGNORING


def test_the_fingerprint_of_a_network_does_not_depend_on_it() -> None:
    assert SPEC.fingerprint_text == IGNORING.fingerprint_text


def test_turned_photos_are_found(tmp_path: Path, logged: list[str]) -> None:
    names = {}
    for number, (format, orientation) in enumerate((format, o) for format in FORMATS for o in (1, 6)):
        path = tmp_path / f"{number}"
        path.write_bytes(stored(photo(), format, orientation))
        names[str(path)] = orientation != 1 and format != "TIFF"  # A TIFF file is decoded upright in any case.
    paths = [*names, str(tmp_path / "missing"), str(tmp_path)]
    assert to_be_turned(paths, SPEC) == {index for index, turned in enumerate(names.values()) if turned}
    assert to_be_turned(paths, IGNORING) == frozenset()
    assert logged == [
        "INFO: Of 12 photos, 4 are turned upright, as the EXIF orientation says.",
        "WARNING: Of 12 photos, 4 have an EXIF orientation, which says how to turn the stored picture upright. It is ignored: "
        "the network sees those lying or upside down. To train a network on them upright, add --exif_orientation apply to the "
        "training.",
    ]


def sixteen_bits(format: str, brightest: int) -> bytes:
    levels = np.linspace(0, brightest, 40 * 30).astype(np.uint16).reshape(30, 40)
    file = io.BytesIO()
    PIL.Image.fromarray(levels).save(file, format)
    return file.getvalue()


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
@pytest.mark.parametrize(("brightest", "is_told"), [(255, True), (4095, True), (4096, False), (65535, False)])
def test_levels_of_12_bits_in_16_are_noticed(format: str, brightest: int, is_told: bool, logged: list[str]) -> None:
    remarks = Remarks()
    contents = sixteen_bits(format, brightest)
    remarks.note(0, contents, decode(contents))
    dark = io.BytesIO()
    PIL.Image.new("L", (4, 4), 3).save(dark, format)  # Dark, but in 8 bits: as it was meant.
    remarks.note(1, dark.getvalue(), decode(dark.getvalue()))
    remarks.warn_of_nearly_black({0: "x_ray.png", 1: "night.png"})
    assert logged == (
        [
            "WARNING: 1 photo is nearly black: 16 bits for each grey level, of which 12 are used at most. Save with levels up to "
            "65535, or in 8 bits: x_ray.png."
        ]
        if is_told
        else []
    )


def test_a_photo_of_an_iphone_is_decoded_upright_in_any_case() -> None:
    package = pytest.importorskip("pillow_heif")
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    package.from_pillow(photo()).save(file, exif=exif.tobytes())
    contents = file.getvalue()
    assert contents[4:12] == b"ftypheic"
    for spec in (SPEC, IGNORING):
        pixels = decode(contents, spec)
        assert pixels.shape[:2] == package.open_heif(contents).to_pillow().size[::-1]


def test_a_heic_photo_names_the_package_that_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrain.data.pillow.HEIF_PACKAGE", "a_package_that_is_not_installed")
    with pytest.raises(ImageError, match=r"^HEIC images need the package pillow-heif: pip install '\.\[heif\]'$"):
        decode(b"\0\0\0\x18ftypheic" + bytes(100))


def test_other_texts_of_a_png_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow would decode all pixels to find a tag behind them."""
    about = PIL.PngImagePlugin.PngInfo()
    about.add_text("Software", "a screenshot")
    file = io.BytesIO()
    photo().save(file, "PNG", pnginfo=about)
    monkeypatch.setattr("retrain.data.orientation.open_image", lambda *_: pytest.fail("opened"))
    assert orientation_of(file.getvalue()) == 1


def test_a_png_with_xmp_is_turned() -> None:
    about = PIL.PngImagePlugin.PngInfo()
    about.add_itxt("XML:com.adobe.xmp", '<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>')
    file = io.BytesIO()
    photo().save(file, "PNG", pnginfo=about)
    assert orientation_of(file.getvalue()) == 6
