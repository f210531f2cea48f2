"""Exported classifiers in other programs: each reader gives the graph's scores.

Readers that cannot live beside this TensorFlow have a Python of their own, which an environment variable names.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import retrain
from retrain.arrays import FloatArray
from retrain.data.decode import image_from_file
from retrain.data.image_lists import create_image_lists
from retrain.graphdef.description import read_description
from retrain.graphdef.run import batch_function, read_graph
from tests.conftest import ROOT
from tests.support.commands import own_environment
from tests.support.shared import made_once

pytestmark = pytest.mark.slow
PROGRAM = ROOT / "tests" / "integration" / "reader_program.py"
# All formats are written of the first; the conversions to 8 bits take longest. The last one, which test_efficientnet_lite.py
# runs in OpenCV, ONNX Runtime, LiteRT and TensorFlow 1.15 too, is tried with --long alone.
NETWORKS = ("tiny_resnet_128", "mobilenet_0.25_128", "efficientnet_lite0")
FORMATS = ("tflite", "onnx", "tflite:float16", "tflite:dynamic", "tflite:int8")
PHOTOS_OF_A_CLASS = 24
# Reader, the variable that names its Python (none: this one), and the endings of the files that it reads.
READERS = [
    ("tensorflow_1", "RETRAIN_TF113_PYTHON", (".pb",)),
    ("tensorflow_1", "RETRAIN_TF115_PYTHON", (".pb",)),
    ("opencv", "", (".pb", ".onnx")),
    ("opencv", "RETRAIN_OPENCV4_PYTHON", (".pb", ".onnx")),
    ("openvino", "RETRAIN_OPENVINO_PYTHON", (".pb", ".tflite", ".onnx")),
    ("onnxruntime", "", (".onnx",)),
    ("litert", "", (".tflite", ".float16.tflite", ".dynamic.tflite", ".int8.tflite")),
]
CASES = [(reader, variable, ending) for reader, variable, endings in READERS for ending in endings]
# Largest difference of a score; 8 bits are another classifier, of which the labels are compared.
TOLERANCE = {".float16.tflite": 0.1}
EIGHT_BITS = (".dynamic.tflite", ".int8.tflite")


@pytest.fixture(scope="session", params=NETWORKS)
def graph(request: pytest.FixtureRequest, flower_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train and export, and keep the pixels and the scores of the 60 test photos beside the graph."""
    if request.param == NETWORKS[-1] and not request.config.getoption("--long"):
        pytest.skip("takes long: only with --long")
    models = request.getfixturevalue("mobilenet_model_dir") if request.param.startswith("mobilenet") else None

    def export(folder: Path) -> Path:
        for kind in (each for each in sorted(flower_photos.iterdir()) if each.is_dir()):
            (folder / "photos" / kind.name).mkdir(parents=True)
            for photo in sorted(kind.glob("*.jpg"))[:PHOTOS_OF_A_CLASS]:
                (folder / "photos" / kind.name / photo.name).symlink_to(photo)
        config = retrain.RetrainConfig(
            image_dir=str(folder / "photos"),
            split_by="content",  # The folder has another name each time.
            testing_percentage=40,
            architecture=request.param,
            model_dir=str(models or folder / "models"),
            how_many_training_steps=500,
            random_seed=1,
            export=FORMATS if request.param == NETWORKS[0] else FORMATS[:2],
            output_graph=str(folder / "graph.pb"),
            output_labels=str(folder / "labels.txt"),
            summaries_dir=str(folder / "summaries"),
            bottleneck_dir=str(folder / "bottlenecks"),
            checkpoint_path=str(folder / "head"),
        )
        retrain.run(config)
        graph_def = read_graph(config.output_graph)
        about = read_description(graph_def)
        assert about is not None
        lists = create_image_lists(config, config.like_original)
        photos = [lists.images[index].path for index in lists.indices("testing")]
        pixels = np.stack([image_from_file(photo, about.input_spec) for photo in photos])
        np.save(folder / "pixels.npy", pixels)
        np.save(folder / "expected.npy", batch_function(graph_def, about.input_tensor, about.output_tensor)(pixels))
        return folder

    return made_once(tmp_path_factory, f"read_{request.param}", export) / "graph.pb"


def scores_of(reader: str, variable: str, model: Path, folder: Path) -> FloatArray:
    python = os.environ.get(variable) if variable else sys.executable
    if not python:
        pytest.skip(f"set {variable} to a Python that has it to run this")
    paths = map(str, (PROGRAM, reader, model, model.parent / "pixels.npy", folder / "scores.npy"))
    command = [python, *paths]
    process = subprocess.run(command, env=own_environment(), capture_output=True, text=True, check=False, timeout=600)
    assert process.returncode == 0, process.stderr[-2000:]
    scores: FloatArray = np.load(folder / "scores.npy")
    return scores


@pytest.mark.parametrize(("reader", "variable", "ending"), CASES)
def test_a_reader_gives_the_graphs_scores(graph: Path, reader: str, variable: str, ending: str, tmp_path: Path) -> None:
    model = graph.with_suffix(ending) if ending.count(".") == 1 else graph.with_name(f"graph{ending}")
    if not model.exists():
        pytest.skip(f"this format is only written of {NETWORKS[0]}")
    found, expected = scores_of(reader, variable, model, tmp_path), np.load(graph.parent / "expected.npy")
    assert found.shape == expected.shape
    same = int((found.argmax(axis=1) == expected.argmax(axis=1)).sum())
    print(f"{reader} {variable} {graph.parent.name} {ending}: {same} of {len(found)}, {np.abs(found - expected).max():.5f}")
    if ending in EIGHT_BITS:
        assert same >= 0.8 * len(expected)
    else:
        assert np.abs(found - expected).max() <= TOLERANCE.get(ending, 1e-3)


def test_the_converter_of_tensorflow_js_takes_the_graph(graph: Path, tmp_path: Path) -> None:
    python = os.environ.get("RETRAIN_TFJS_PYTHON")
    if not python:
        pytest.skip("set RETRAIN_TFJS_PYTHON to a Python that has tensorflowjs to run this")
    command = [python, "-m", "tensorflowjs.converters.converter", "--input_format=tf_frozen_model"]
    command += ["--output_node_names=final_result", str(graph), str(tmp_path / "web")]
    process = subprocess.run(command, env=own_environment(), capture_output=True, text=True, check=False, timeout=600)
    assert process.returncode == 0, process.stderr[-2000:]
    assert (tmp_path / "web" / "model.json").is_file()
