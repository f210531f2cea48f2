"""The examples at the end of --help: each command line works as it stands there."""

import shlex
from pathlib import Path

import pytest

from label_image.__main__ import EXAMPLES as LABEL_EXAMPLES
from retrain.__main__ import EXAMPLES as RETRAIN_EXAMPLES
from tests.conftest import RunCli
from tests.support.commands import assert_succeeded
from tests.support.shared import made_once

CLASSES = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
IMAGES_PER_CLASS = 8


def commands(text: str, module: str) -> list[str]:
    """Return the arguments of each example of a module."""
    examples = text.partition("\n\n")[0].splitlines()[1:]
    start = f"  python -m {module} "
    assert all(line.startswith(start) for line in examples)
    return [line.removeprefix(start) for line in examples]


TRAINING, LABELLING = commands(RETRAIN_EXAMPLES, "retrain"), commands(LABEL_EXAMPLES, "label_image")


def outputs(folder: Path, command: str) -> list[str]:
    """Return flags with which a training writes nothing outside of `folder`, and ends soon."""
    names = ("bottleneck_dir", "summaries_dir", "checkpoint_path", "model_dir", "output_graph", "output_labels")
    paths = [f"--{name}={folder / name}" for name in names if f"--{name} " not in command]
    few = ["--how_many_training_steps=30"]
    if "--flip_left_right" in command:  # Each photo of a batch goes through the network.
        few += ["--train_batch_size=2"]
    if "--fine_tune_steps" in command:
        few += ["--fine_tune_steps=3", "--fine_tune_batch_size=2"]
    return [*paths, *few]


@pytest.fixture(scope="session")
def flowers(run_cli: RunCli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the examples name: drawn flowers, a table of them, a photo, and the first example's graph."""

    def make(folder: Path) -> Path:
        count = f"--images_per_class={IMAGES_PER_CLASS}"
        assert_succeeded(run_cli("scripts.make_flowers", "--output_dir=flowers", count, cwd=folder))
        photos = sorted((folder / "flowers").glob("*/*.jpg"))
        rows = [f"{photo.relative_to(folder)},{photo.parent.name}" for photo in photos]
        (folder / "photos.csv").write_text("\n".join(["path,label", *rows]))
        (folder / "photo.jpg").write_bytes(photos[0].read_bytes())
        training = [*shlex.split(TRAINING[0]), *outputs(folder, TRAINING[0]), "--export=tflite"]
        assert_succeeded(run_cli("retrain", *training, cwd=folder))
        return folder

    return made_once(tmp_path_factory, "example_flowers", make)


def test_there_are_five_examples_of_each_command() -> None:
    assert (len(TRAINING), len(LABELLING)) == (5, 5)
    assert "--output_graph flowers.pb --output_labels flowers.txt" in TRAINING[0]


@pytest.mark.slow
@pytest.mark.parametrize("command", TRAINING)
def test_an_example_of_training(command: str, flowers: Path, run_cli: RunCli, tmp_path: Path) -> None:
    for name in ("flowers", "photos.csv"):
        (tmp_path / name).symlink_to(flowers / name)
    done = run_cli("retrain", *shlex.split(command), *outputs(tmp_path, command), cwd=tmp_path)
    assert_succeeded(done)
    assert "Final test accuracy = " in done.stderr
    graph = tmp_path / ("flowers.pb" if "flowers.pb" in command else "output_graph")
    assert graph.is_file()
    assert graph.with_suffix(".tflite").is_file() == ("--export tflite" in command)


@pytest.mark.slow
# tests/integration/test_serve.py runs the server.
@pytest.mark.parametrize("command", [command for command in LABELLING if "--serve" not in command])
def test_an_example_of_labelling(command: str, flowers: Path, run_cli: RunCli, tmp_path: Path) -> None:
    done = run_cli("label_image", *shlex.split(command), f"--model_dir={tmp_path}", cwd=flowers)
    assert (done.returncode, done.stderr) == (0, "")
    if "--output_format csv" in command:
        assert len(done.stdout.splitlines()) == 1 + IMAGES_PER_CLASS
    else:
        assert all(label in done.stdout for label in CLASSES)
