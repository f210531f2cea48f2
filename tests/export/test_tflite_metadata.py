"""The standard metadata of TensorFlow Lite files: what MediaPipe reads, and what other tools' files tell label_image."""

import contextlib
import dataclasses
import importlib.util
import json
import os
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from label_image.classify import classify
from label_image.config import ClassifierOptions
from label_image.opening import open_classifier
from retrain.data.decode import decode, read_image
from retrain.data.resize import Levels, axis, resized, shaped
from retrain.graphdef.description import Description
from retrain.runtimes.tflite_metadata import LABELS_FILE, metadata_bytes, read_metadata, with_labels
from tests.conftest import ROOT
from tests.support.commands import Outputs
from tests.support.exported import Exported
from tests.support.labelling import LABELS
from tests.support.quantized import write_quantized

MEDIAPIPE = "RETRAIN_TEST_MEDIAPIPE"  # A Python that has MediaPipe.
ABOUT = Description(("Café", "日本", "a b"), "input:0", 8, 8, 127.5, 127.5, "final_result:0", "a network")


def test_what_is_written_is_read() -> None:
    model = with_labels(b"a model", ABOUT.labels)
    found = read_metadata(metadata_bytes(ABOUT), model)
    assert (found.labels, found.levels) == (ABOUT.labels, (127.5, 127.5))
    other = dataclasses.replace(ABOUT, input_mean=0.0, input_std=255.0)
    assert read_metadata(metadata_bytes(other), model).levels == (0.0, 255.0)
    assert metadata_bytes(ABOUT) == metadata_bytes(ABOUT)
    assert with_labels(b"a model", ABOUT.labels) == model


def test_the_labels_are_an_archive_that_any_program_opens(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(with_labels(b"a model" * 1000, ABOUT.labels))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read(LABELS_FILE).decode() == "Café\n日本\na b"


@given(st.data())
def test_damaged_metadata_raises_what_the_reader_of_models_expects(data: st.DataObject) -> None:
    metadata = bytearray(metadata_bytes(ABOUT))
    model = bytearray(with_labels(b"a model", ABOUT.labels))
    for damaged in (metadata, model):
        for _ in range(data.draw(st.integers(0, 6))):
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(metadata[: data.draw(st.integers(8, len(metadata)))])
    with contextlib.suppress(ValueError, struct.error, IndexError, TypeError, OverflowError):
        found = read_metadata(cut, bytes(model))
        assert found.levels is None or np.isfinite(found.levels).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["uint8", "int8"])
def test_another_tools_file_needs_no_labels_beside_it(kind: str, few_photos: list[Path], tmp_path: Path) -> None:
    path = write_quantized(tmp_path / "plain.tflite", kind, few_photos)
    names = [str(photo) for photo in few_photos]
    expected = classify(open_classifier(str(path), ClassifierOptions()), names, 5, {})
    path.with_suffix(".txt").unlink()
    described = tmp_path / "described.tflite"
    described.write_bytes(with_standard_metadata(path.read_bytes()))
    found = classify(open_classifier(str(described), ClassifierOptions()), names, 5, {})
    assert [(answer.path, answer.labels, answer.scores) for answer in found] == [
        (answer.path, answer.labels, answer.scores) for answer in expected
    ]


def test_a_float_file_tells_mean_and_deviation(exported: Exported, few_photos: list[Path], tmp_path: Path) -> None:
    """The file of an export without our own metadata, as another tool would write it."""
    names = [str(photo) for photo in few_photos]
    expected = classify(open_classifier(str(exported.path("tflite")), ClassifierOptions()), names, 5, {})
    path = tmp_path / "other.tflite"
    path.write_bytes(exported.path("tflite").read_bytes().replace(b"retrain_description", b"another_description"))
    about = open_classifier(str(path), ClassifierOptions()).description
    assert (about.architecture, about.input_mean, about.input_std) == ("", 127.5, 127.5)
    found = classify(open_classifier(str(path), ClassifierOptions()), names, 5, {})
    assert [answer.labels for answer in found] == [answer.labels for answer in expected]


def with_standard_metadata(model: bytes) -> bytes:
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    content = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(metadata_bytes(dataclasses.replace(ABOUT, labels=LABELS)))
    entry.name, entry.buffer = "TFLITE_METADATA", len(content.buffers)
    content.buffers.append(buffer)
    content.metadata = [*(content.metadata or []), entry]
    return with_labels(bytes(flatbuffer_utils.convert_object_to_bytearray(content)), LABELS)


# MediaPipe


@pytest.fixture
def mediapipe() -> str:
    """Return a Python that has MediaPipe."""
    python = os.environ.get(MEDIAPIPE) or (sys.executable if importlib.util.find_spec("mediapipe") else None)
    if python is None:
        pytest.skip(f"MediaPipe is not installed: set {MEDIAPIPE} to a Python that has it")
    return python


def mediapipe_answers(python: str, model: Path, photos: list[str]) -> list[str]:
    program = ROOT / "tests" / "support" / "mediapipe_classifier.py"
    process = subprocess.run([python, program, model, *photos], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    return [label for label, _ in json.loads(process.stdout.splitlines()[-1])]


def as_the_network_sees_it(path: str, about: Description, target: Path) -> str:
    """Write a photo in the size of the network's input, so that no other program resizes it."""
    pixels, spec = shaped(decode(read_image(path), about.input_spec), about.input_spec), about.input_spec
    rows, columns = axis(pixels.shape[0], spec.height), axis(pixels.shape[1], spec.width)
    levels = resized(pixels, rows, columns, Levels(0.0, 1.0))
    Image.fromarray(np.round(levels).astype(np.uint8)).save(target)
    return str(target)


@pytest.mark.slow
def test_mediapipe_names_the_classes_of_60_test_photos(
    mediapipe: str, flower_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MediaPipe resizes photos on another grid. Measured: 59 of 60 photos get the same label, whose scores are near a tie."""
    import retrain
    from retrain.data.image_lists import create_image_lists

    (tmp_path / "shared").symlink_to(flower_photos.parent)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    outputs = Outputs(tmp_path)
    config = retrain.RetrainConfig(
        image_dir="../shared/flower_photos",
        architecture="tiny_resnet_128",
        random_seed=1,
        export=("tflite", "tflite:int8"),
        **outputs.settings(),
    )
    retrain.run(config)
    lists = create_image_lists(config)
    photos = [lists.images[index].path for index in lists.indices("testing")]
    for ending, least in ((".tflite", 58), (".int8.tflite", 56)):
        model = outputs.graph.with_suffix(ending)
        classifier = open_classifier(str(model), ClassifierOptions())
        (tmp_path / "seen").mkdir(exist_ok=True)
        seen = [
            as_the_network_sees_it(path, classifier.description, tmp_path / "seen" / f"{number}.png")
            for number, path in enumerate(photos)
        ]
        ours = [answer.labels[0] for answer in classify(classifier, photos, 1, {})]
        assert len(ours) == 60
        same = [mine == other for mine, other in zip(ours, mediapipe_answers(mediapipe, model, photos), strict=True)]
        assert sum(same) >= least
        same = [mine == other for mine, other in zip(ours, mediapipe_answers(mediapipe, model, seen), strict=True)]
        assert sum(same) == 60 or (ending == ".int8.tflite" and sum(same) >= least)
