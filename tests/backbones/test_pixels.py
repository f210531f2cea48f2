"""`pixels_<side>` and `scripts.make_digits`: a dense network that is trained from nothing on small images."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from label_image.__main__ import main as label_main
from retrain.__main__ import main
from retrain.backbones.catalog import find_architecture
from retrain.backbones.load import load_network
from retrain.data.decode import image_from_file
from retrain.errors import FlagError
from retrain.graphdef.run import read_graph
from retrain.head.checkpoint import read_checkpoint
from retrain.input_spec import InputSpec
from retrain.options.network import NetworkOptions
from scripts.make_digits import encode_digit
from scripts.make_digits import main as make_digits
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the script has made, without its name: the split depends on that."""
    folder = tmp_path_factory.mktemp("written") / "digits"
    assert make_digits([str(folder)]) == 0
    return folder


def test_grey_levels_row_by_row() -> None:
    """By the weights of ITU-R BT.601, from 0 to 1."""
    backbone = load_network(NetworkOptions(architecture="Pixels_5"))
    chosen = backbone.architecture
    assert (chosen.name, chosen.bottleneck_size) == ("pixels_5", 25)
    assert chosen.input_spec == InputSpec(5, 5, 0.0, 255.0, exif_orientation="apply")
    pixels = np.random.default_rng(3).uniform(0, 1, (4, 5, 5, 3)).astype(np.float32)
    expected = [0.299 * row[:, 0] + 0.587 * row[:, 1] + 0.114 * row[:, 2] for row in pixels.reshape(4, 25, 3).astype(np.float64)]
    np.testing.assert_allclose(backbone.run(pixels), expected, atol=1e-6)


def test_a_file_becomes_its_pixels(digits: Path) -> None:
    path = digits / "3" / "digit_0003.png"
    backbone = load_network(NetworkOptions(architecture="pixels_28"))
    found = backbone.run(image_from_file(str(path), backbone.architecture.input_spec)[np.newaxis])
    np.testing.assert_allclose(found, np.asarray(Image.open(path)).reshape(1, 784) / 255, atol=1e-6)


@pytest.mark.slow
def test_its_fingerprint_is_the_same_in_every_run() -> None:
    """In another process too; and an update of TensorFlow must not have all bottlenecks made again, as its version would."""
    program = "from retrain.backbones.load import *; print(load_network(NetworkOptions(architecture='pixels_28')).fingerprint)"
    other = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    backbones = [load_network(NetworkOptions(architecture="pixels_28")) for _ in range(2)]
    assert [backbone.fingerprint for backbone in backbones] == [other, other]
    assert backbones[0].graph_def.versions.producer == 134


@pytest.mark.parametrize("name", ["pixels_0", "pixels_513", "pixels_028", "pixels_", "pixels_28x28", "pixels_1000"])
def test_sizes_that_there_are_not(name: str) -> None:
    with pytest.raises(FlagError, match=f"pixels_<1 to 512>, .* folder. Got {name}. --list"):
        find_architecture(name)


class TestDigits:
    def test_all_of_them_in_their_classes(self, digits: Path) -> None:
        counts = np.bincount(load_digits().target).tolist()
        assert [len(list((digits / str(digit)).iterdir())) for digit in range(10)] == counts
        assert sum(counts) == 1797
        with Image.open(digits / "0" / "digit_0000.png") as picture:
            assert (picture.size, picture.mode, picture.format) == ((28, 28), "L", "PNG")

    def test_levels(self) -> None:
        """0 to 16 becomes 0 to 255; a picture of one level stays one."""
        for level, grey in ((0, 0), (8, 128), (16, 255)):
            file = encode_digit(np.full((8, 8), float(level)))
            picture = Image.open(io.BytesIO(file))
            assert set(np.asarray(picture).ravel().tolist()) == {grey}

    def test_without_scikit_learn(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "sklearn", None)  # What Python takes for a package that is not there.
        assert make_digits([str(tmp_path / "digits")]) == 1
        sentence = "The digits come with scikit-learn, which is not installed: pip install '.[digits]'."
        assert capsys.readouterr() == ("", f"error: {sentence}\n")
        assert not (tmp_path / "digits").exists()

    def test_a_folder_is_needed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert make_digits([]) == 2
        assert capsys.readouterr().err == "error: the following arguments are required: FOLDER. --help lists the flags.\n"


@pytest.mark.slow
def test_the_dense_network_of_the_course(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """784 → 128 → dropout → 10: 101,770 parameters, and right in more than 19 of 20 digits after a second or two of training.

    scikit-learn's own k nearest neighbours reach about 98% on these pictures, guessing 10%.
    """
    monkeypatch.chdir(digits.parent)  # So that the paths, and with them the split, are the same in every run.
    flags = "--architecture=pixels_28 --hidden_units=128 --dropout=0.2 --optimizer=adam --learning_rate=0.001 --random_seed=1"
    places = {
        "output_graph": "graph.pb",
        "output_labels": "labels.txt",
        "checkpoint_path": "checkpoint",
        "summaries_dir": "summaries",
        "bottleneck_dir": "bottlenecks",
    }
    written = [f"--{flag}={tmp_path / place}" for flag, place in places.items()]
    assert main(["--image_dir=digits", "--how_many_training_steps=400", *flags.split(), *written]) == 0
    accuracy = float(capsys.readouterr().err.split("Final test accuracy = ")[1].split("%")[0])
    assert accuracy > 95

    graph = read_graph(str(tmp_path / "graph.pb"))
    sizes = {
        node.name: int(np.prod([size.size for size in node.attr["value"].tensor.tensor_shape.dim]))
        for node in graph.node
        if node.op == "Const" and node.name.endswith(("weights", "biases"))
    }
    assert sum(sizes.values()) == 784 * 128 + 128 + 128 * 10 + 10 == 101_770, sizes
    assert read_checkpoint(str(tmp_path / "checkpoint")) is not None

    pictures = [digits / str(digit) / f"digit_{digit:04}.png" for digit in range(10)]
    assert (
        label_main([f"--graph={tmp_path / 'graph.pb'}", "--top_k=1", "--output_format=csv", "--image", *map(str, pictures)]) == 0
    )
    answers = capsys.readouterr().out.splitlines()
    assert len(answers) == 11
    assert sum(f",{digit}," in answer for digit, answer in enumerate(answers[1:])) >= 9
