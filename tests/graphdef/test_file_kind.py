"""Files that are given as a model: each is named as what it is."""

import bz2
import gzip
import io
import zipfile
from pathlib import Path

import h5py
import pytest
from PIL import Image

from retrain.graphdef.file_kind import models_in, part_of_saved_model, wrong_kind
from tests.conftest import ROOT


def picture(file_format: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (9, 9)).save(file, file_format)
    return file.getvalue()


def archive(member: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr(member, b"content")
    return file.getvalue()


def hdf5() -> bytes:
    file = io.BytesIO()
    with h5py.File(file, "w") as opened:
        opened["values"] = [1.0]
    return file.getvalue()


UNPACK = "Unpack it, and give the model that is in it."


@pytest.mark.parametrize(
    ("data", "kind", "advice"),
    [
        *((picture(name), f"a {name} image", "") for name in ("JPEG", "PNG", "GIF", "BMP", "TIFF")),
        (picture("WEBP"), "a WebP image", ""),
        (picture("AVIF"), "an image or a film (HEIF, AVIF or MP4)", ""),
        (picture("PDF"), "a PDF file", ""),
        (hdf5(), "an HDF5 file, as Keras writes them", ""),
        (archive("photo.jpg"), "a ZIP archive", UNPACK),
        (archive("model/data.pkl"), "a PyTorch file", "Export the model to another format first, such as ONNX."),
        (gzip.compress(b"content", mtime=0), "a gzip archive", UNPACK),
        (b"", "an empty file", "Get a new copy."),
        (b"daisy\nroses\n", "a text file", ""),
        ("\ufeffGänseblümchen\r\n".encode(), "a text file", ""),
        *((("x" * size + "ヒナギク" * 500).encode(), "a text file", "") for size in range(3)),  # A character is cut off.
        (b"version https://git-lfs.github.com/spec/v1\n", "a pointer of Git LFS", "Get the file itself: git lfs pull"),
        (b"<!DOCTYPE html>\n<title>Not found</title>", "an HTML page", "Download the file itself."),
        (b'node {\n  name: "input"\n}\n', "a graph in text form", "Only graphs in binary form (.pb) can be read."),
    ],
)
def test_the_kind_is_named(data: bytes, kind: str, advice: str) -> None:
    assert wrong_kind(data, "a trained graph") == f"is {kind}, not a trained graph.{f' {advice}' if advice else ''}"


@pytest.mark.parametrize("data", [b"\x80\x81", b"text\x00", bz2.compress(b"content"), b"\x08\x07\x12\x07pytorch"])
def test_other_files_are_of_no_known_kind(data: bytes) -> None:
    assert wrong_kind(data, "a trained graph") is None


def test_the_graph_of_this_repository_is_of_no_other_kind() -> None:
    data = (ROOT / "retrain/backbones/tiny_resnet_128/tiny_resnet_128.pb").read_bytes()
    assert wrong_kind(data, "a trained graph") is None


def test_a_part_of_a_saved_model() -> None:
    assert part_of_saved_model("models/saved_model.pb", b"\x08\x01") == "is a part of a SavedModel. Give its folder: models"
    assert part_of_saved_model("saved_model.pb", b"\x08\x01") == "is a part of a SavedModel. Give its folder: ."
    assert part_of_saved_model("saved_model.pb", b"\x0a\x01") is None  # A frozen graph of that name.
    assert part_of_saved_model("graph.pb", b"\x08\x01") is None


def test_the_models_in_a_folder_are_named(tmp_path: Path) -> None:
    assert models_in(str(tmp_path)) == models_in(str(tmp_path / "missing")) == ""
    (tmp_path / "flowers.pb").touch()
    (tmp_path / "photo.jpg").touch()
    assert models_in(str(tmp_path)) == f" Did you mean {tmp_path}/flowers.pb?"
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").touch()
    assert models_in(str(tmp_path)) == f" Did you mean {tmp_path}/flowers.pb or {tmp_path}/1?"
    for name in ("a.tflite", "b.onnx"):
        (tmp_path / name).touch()
    assert models_in(str(tmp_path)) == ""  # Too many to guess.
