"""Exported graphs in the TensorFlow they were invented for: the readers of these files are TensorFlow 1 programs too."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from label_image.classify import classify
from label_image.graph import Overrides, open_graph
from retrain.input_spec import InputSpec
from retrain.preprocess import image_from_file
from tests.integration.commands import TrainingRun, own_environment
from tests.integration.conftest import InceptionRun

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("tensorflow_1_program.py")
INTERPRETER_VARIABLE = "RETRAIN_TF115_PYTHON"


@pytest.fixture(scope="module")
def tensorflow_1() -> str:
    """The interpreter that has TensorFlow 1.15."""
    interpreter = os.environ.get(INTERPRETER_VARIABLE)
    if not interpreter:
        pytest.skip(f"set {INTERPRETER_VARIABLE} to the Python of an environment with tensorflow==1.15.5 to run this")
    return interpreter


def test_mobilenet(mobilenet_run: TrainingRun, flower_photos: Path, tensorflow_1: str, tmp_path: Path) -> None:
    """With a photo of the test set: its scores are no 0 and 1."""
    graph, photo = mobilenet_run.outputs.graph, flower_photos / "daisy" / "173350276_02817aa8d5.jpg"
    scores = _run(tensorflow_1, graph, "input", _pixels(photo, InputSpec(128, 128, 127.5, 127.5), tmp_path), tmp_path)
    assert scores == pytest.approx(_our_scores(graph, photo), abs=1e-5)


def test_tiny_resnet(tiny_resnet_run: TrainingRun, small_photos: Path, tensorflow_1: str, tmp_path: Path) -> None:
    graph, photo = tiny_resnet_run.outputs.graph, _a_small_photo(small_photos)
    scores = _run(tensorflow_1, graph, "input", _pixels(photo, InputSpec(128, 128, 127.5, 127.5), tmp_path), tmp_path)
    assert scores == pytest.approx(_our_scores(graph, photo), abs=1e-5)


def test_hidden_layers(hidden_run: TrainingRun, small_photos: Path, tensorflow_1: str, tmp_path: Path) -> None:
    graph, photo = hidden_run.outputs.graph, _a_small_photo(small_photos)
    scores = _run(tensorflow_1, graph, "input", _pixels(photo, InputSpec(128, 128, 127.5, 127.5), tmp_path), tmp_path)
    assert scores == pytest.approx(_our_scores(graph, photo), abs=1e-5)


def test_a_fine_tuned_network(fine_tuned_run: TrainingRun, small_photos: Path, tensorflow_1: str, tmp_path: Path) -> None:
    graph, photo = fine_tuned_run.outputs.graph, _a_small_photo(small_photos)
    scores = _run(tensorflow_1, graph, "input", _pixels(photo, InputSpec(128, 128, 127.5, 127.5), tmp_path), tmp_path)
    assert scores == pytest.approx(_our_scores(graph, photo), abs=1e-5)


def test_inception(inception_run: InceptionRun, small_photos: Path, tensorflow_1: str, tmp_path: Path) -> None:
    graph, photo = inception_run.training.outputs.graph, _a_small_photo(small_photos)
    scores = _run(tensorflow_1, graph, "Mul", _pixels(photo, InputSpec(299, 299, 128, 128), tmp_path), tmp_path)
    assert scores == pytest.approx(_our_scores(graph, photo), abs=1e-5)


def test_inception_fed_with_a_file(inception_run: InceptionRun, small_photos: Path, tensorflow_1: str, tmp_path: Path) -> None:
    """The graph decodes the photo itself, as most programs of that time have it do."""
    graph, photo = inception_run.training.outputs.graph, _a_small_photo(small_photos)
    scores = _run(tensorflow_1, graph, "DecodeJpeg/contents", photo, tmp_path)
    assert scores == pytest.approx(_our_scores(graph, photo), abs=1e-5)


def _a_small_photo(photos: Path) -> Path:
    return sorted((photos / "red dots").iterdir())[0]


def _pixels(photo: Path, spec: InputSpec, folder: Path) -> Path:
    np.save(folder / "pixels.npy", image_from_file(str(photo), spec)[np.newaxis])
    return folder / "pixels.npy"


def _run(interpreter: str, graph: Path, feed: str, value: Path, folder: Path) -> list[float]:
    """What TensorFlow 1.15 gives for the graph's `final_result`."""
    output = folder / "scores.npy"
    command = [interpreter, *map(str, [PROGRAM, graph, feed, value, "final_result", output])]
    environment = {**own_environment(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert process.returncode == 0, process.stderr
    [scores] = np.load(output)
    return [float(score) for score in scores]


def _our_scores(graph: Path, photo: Path) -> list[float]:
    """What `label_image` gives, in the order of the labels."""
    opened = open_graph(str(graph), Overrides())
    [answer] = classify(opened, [str(photo)], len(opened.description.labels), {})
    score_of = dict(zip(answer.labels, answer.scores, strict=True))
    return [score_of[label] for label in opened.description.labels]
