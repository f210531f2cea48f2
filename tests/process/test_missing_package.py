"""Missing packages: each command says in one line which command installs them."""

import re
from pathlib import Path

import pytest

from retrain.process.command import run_command
from retrain.process.missing_package import PACKAGES, missing_package
from tests.conftest import ROOT, RunCli
from tests.support.hiding import hiding

NETWORK = ["--architecture=tiny_resnet_128"]
GRAPH = "retrain/backbones/tiny_resnet_128/tiny_resnet_128.pb"


@pytest.mark.parametrize(
    ("module", "package", "command"),
    [
        ("numpy", "numpy", ["retrain", "--image_dir=photos", *NETWORK]),
        ("PIL", "pillow", ["retrain", "--image_dir=photos", *NETWORK]),
        ("orjson", "orjson", ["retrain", "--image_dir=photos", *NETWORK]),
        ("tensorboard", "tensorboard", ["retrain", "--image_dir=photos", *NETWORK]),
        ("google.protobuf", "protobuf", ["retrain", "--image_dir=photos", *NETWORK]),
        ("simplejpeg", "simplejpeg", ["label_image", f"--graph={GRAPH}", "--image=setup.py"]),
        ("tensorboard", "tensorboard", ["label_image", f"--graph={GRAPH}", "--image=setup.py"]),
        ("numpy", "numpy", ["retrain.sweep", "--image_dir=photos", *NETWORK, "--learning_rate=0.1,1", "--sweep_dir={0}"]),
        ("orjson", "orjson", ["retrain.sweep", "--image_dir=photos", *NETWORK, "--learning_rate=0.1,1", "--sweep_dir={0}"]),
        ("numpy", "numpy", ["scripts.evaluate", GRAPH, "--image_dir=photos"]),
        ("tensorboard", "tensorboard", ["scripts.count_ops", GRAPH]),
        ("google_crc32c", "google-crc32c", ["scripts.graph_pb2tb", "{0}", GRAPH]),
        ("PIL", "pillow", ["scripts.make_flowers", "--output_dir={0}"]),
        ("PIL", "pillow", ["scripts.make_digits", "{0}"]),
        ("PIL", "pillow", ["scripts.show_image", "photo.jpg"]),
    ],
)
def test_a_missing_package(module: str, package: str, command: list[str], run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    arguments = [argument.format(tmp_path / "written") for argument in command]
    done = run_cli(*arguments, cwd=ROOT, env=hiding(tmp_path / "hidden", module))
    sentence = f"error: The package {package} is missing. Install it: pip install {package}\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", sentence)


@pytest.mark.parametrize("command", ["retrain", "label_image", "retrain.sweep", "scripts.evaluate", "scripts.make_flowers"])
def test_help_needs_no_package(command: str, run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli(command, "--help", env=hiding(tmp_path, *PACKAGES))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: python -m {command} ")


def test_training_without_tensorflow(run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    names = ("bottleneck_dir", "summaries_dir", "output_graph", "output_labels", "checkpoint_path")
    outputs = [f"--{name}={tmp_path / name}" for name in names]
    training = [f"--image_dir={small_photos}", *NETWORK, "--engine=tensorflow", "--logging_verbosity=ERROR", *outputs]
    done = run_cli("retrain", *training, env=hiding(tmp_path / "hidden", "tensorflow"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: The package tensorflow is missing. Install it: pip install tensorflow\n"


def test_the_packages_are_those_of_the_installation() -> None:
    text = (ROOT / "setup.py").read_text(encoding="utf-8")
    required = set(re.findall(r'"([a-z][\w-]*)(?:[><=]{1,2}[\d.]+)"', text))
    weights = {name for name in required if name.startswith("efficientnet-")}  # Nothing imports them.
    tools = {
        "pytest",
        "pytest-xdist",
        "pyte",
        "hypothesis",
        "mypy",
        "ruff",
        "selenium",
        "opencv-python-headless",
        "nbclient",
        "ipykernel",
    }
    assert required - weights - tools == set(PACKAGES.values()) - {"protobuf", "h5py", "keras"}


def test_a_module_of_another_package() -> None:
    sentence = "The module absl is missing, which an installed package needs. Install this project again: pip install ."
    assert missing_package(ModuleNotFoundError(name="absl")) == sentence


def test_a_package_without_one_of_its_modules() -> None:
    sentence = "The package numpy has no module numpy.none. Install it again: pip install --force-reinstall numpy"
    assert missing_package(ModuleNotFoundError(name="numpy.none")) == sentence


def test_the_package_with_a_bound() -> None:
    sentence = "The package setuptools is missing. Install it: pip install 'setuptools<82'"
    assert missing_package(ModuleNotFoundError(name="pkg_resources")) == sentence


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError(name="retrain.none"), ModuleNotFoundError(), ImportError("broken", name="numpy")]
)
def test_other_failures_of_imports_are_faults_of_the_program(error: ImportError) -> None:
    def command() -> int:
        raise error

    with pytest.raises(type(error)):
        run_command(command)
