"""Exported graphs in the TensorFlow they were invented for: the readers of these files are TensorFlow 1 programs too."""

from pathlib import Path

import numpy as np
import pytest

from label_image.classify import classify
from label_image.config import ClassifierOptions
from label_image.opening import open_classifier
from retrain.backbones.load import load_network
from retrain.data.decode import image_from_file
from retrain.input_spec import InputSpec
from retrain.options.network import NetworkOptions
from tests.conftest import RunCli
from tests.integration.conftest import InceptionRun
from tests.support.commands import Outputs, TrainingRun, assert_succeeded
from tests.support.hub_modules import write_tf2_module
from tests.support.tensorflow_1 import interpreter, run_graph, run_program

pytestmark = pytest.mark.slow

MODULE_WRITER = Path(__file__).with_name("tensorflow_1_module.py")


@pytest.fixture(scope="module")
def tensorflow_1() -> str:
    """Return the interpreter that has TensorFlow 1.15."""
    return interpreter()


def test_mobilenet(mobilenet_run: TrainingRun, flower_photos: Path, tensorflow_1: str, tmp_path: Path) -> None:
    """With a photo of the test set: its scores are no 0 and 1."""
    graph, photo = mobilenet_run.outputs.graph, flower_photos / "daisy" / "173350276_02817aa8d5.jpg"
    [scores] = run_graph(tensorflow_1, graph, "input", _pixels(photo, InputSpec(128, 128, 127.5, 127.5), tmp_path), tmp_path)
    assert scores == pytest.approx(_our_scores(graph, photo), abs=1e-5)


def test_tiny_resnet(tiny_resnet_run: TrainingRun, small_photos: Path, tensorflow_1: str, tmp_path: Path) -> None:
    graph, photo = tiny_resnet_run.outputs.graph, _a_small_photo(small_photos)
    [scores] = run_graph(tensorflow_1, graph, "input", _pixels(photo, InputSpec(128, 128, 127.5, 127.5), tmp_path), tmp_path)
    assert scores == pytest.approx(_our_scores(graph, photo), abs=1e-5)


def test_hidden_layers(hidden_run: TrainingRun, small_photos: Path, tensorflow_1: str, tmp_path: Path) -> None:
    graph, photo = hidden_run.outputs.graph, _a_small_photo(small_photos)
    [scores] = run_graph(tensorflow_1, graph, "input", _pixels(photo, InputSpec(128, 128, 127.5, 127.5), tmp_path), tmp_path)
    assert scores == pytest.approx(_our_scores(graph, photo), abs=1e-5)


def test_a_fine_tuned_network(fine_tuned_run: TrainingRun, small_photos: Path, tensorflow_1: str, tmp_path: Path) -> None:
    graph, photo = fine_tuned_run.outputs.graph, _a_small_photo(small_photos)
    [scores] = run_graph(tensorflow_1, graph, "input", _pixels(photo, InputSpec(128, 128, 127.5, 127.5), tmp_path), tmp_path)
    assert scores == pytest.approx(_our_scores(graph, photo), abs=1e-5)


def test_inception(inception_run: InceptionRun, small_photos: Path, tensorflow_1: str, tmp_path: Path) -> None:
    graph, photo = inception_run.training.outputs.graph, _a_small_photo(small_photos)
    [scores] = run_graph(tensorflow_1, graph, "Mul", _pixels(photo, InputSpec(299, 299, 128, 128), tmp_path), tmp_path)
    assert scores == pytest.approx(_our_scores(graph, photo), abs=1e-5)


def test_inception_fed_with_a_file(inception_run: InceptionRun, small_photos: Path, tensorflow_1: str, tmp_path: Path) -> None:
    """The graph decodes the photo itself, as most programs of that time have it do."""
    graph, photo = inception_run.training.outputs.graph, _a_small_photo(small_photos)
    [scores] = run_graph(tensorflow_1, graph, "DecodeJpeg/contents", photo, tmp_path)
    assert scores == pytest.approx(_our_scores(graph, photo), abs=1e-5)


def test_a_module_of_its_time(tensorflow_1: str, small_photos: Path, run_cli: RunCli, tmp_path: Path) -> None:
    """A Hub module that TensorFlow 1.15 has written is retrained here, and the graph goes back there."""
    module, images = tmp_path / "module", np.random.default_rng(1).uniform(0, 1, (3, 32, 32, 3)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    run_program(tensorflow_1, MODULE_WRITER, module, tmp_path / "images.npy", tmp_path / "vectors.npy")
    backbone = load_network(NetworkOptions(tfhub_module=str(module)))
    np.testing.assert_allclose(backbone.run(images), np.load(tmp_path / "vectors.npy"), atol=1e-5)
    _assert_retrained_module_runs(tensorflow_1, module, small_photos, run_cli, tmp_path)


def test_a_module_of_today(tensorflow_1: str, small_photos: Path, run_cli: RunCli, tmp_path: Path) -> None:
    """Its nodes are made by today's TensorFlow, with attributes that 1.15 does not know unless they are left out."""
    module = write_tf2_module(tmp_path / "module")
    _assert_retrained_module_runs(tensorflow_1, module, small_photos, run_cli, tmp_path)


def _assert_retrained_module_runs(interpreter: str, module: Path, photos: Path, run_cli: RunCli, folder: Path) -> None:
    outputs = Outputs(folder / "outputs")
    flags = ["--how_many_training_steps=20", "--learning_rate=0.5", *outputs.flags()]
    assert_succeeded(run_cli("retrain", f"--image_dir={photos}", f"--tfhub_module={module}", *flags))
    photo = _a_small_photo(photos)
    [scores] = run_graph(interpreter, outputs.graph, "Placeholder", _pixels(photo, InputSpec(32, 32, 0, 255), folder), folder)
    assert scores == pytest.approx(_our_scores(outputs.graph, photo), abs=1e-5)


def _a_small_photo(photos: Path) -> Path:
    return sorted((photos / "red dots").iterdir())[0]


def _pixels(photo: Path, spec: InputSpec, folder: Path) -> Path:
    np.save(folder / "pixels.npy", image_from_file(str(photo), spec)[np.newaxis])
    return folder / "pixels.npy"


def _our_scores(graph: Path, photo: Path) -> list[float]:
    """Return the scores of `label_image`, in the order of the labels."""
    opened = open_classifier(str(graph), ClassifierOptions())
    [answer] = classify(opened, [str(photo)], len(opened.description.labels), {})
    score_of = dict(zip(answer.labels, answer.scores, strict=True))
    return [score_of[label] for label in opened.description.labels]
