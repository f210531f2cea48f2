"""`scripts.evaluate` on folders and tables that could not be trained on: evaluation trains nothing."""

import re
import shutil
from pathlib import Path

import pytest

import retrain
from tests.conftest import RunCli
from tests.support.commands import Outputs, assert_succeeded

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def graph(small_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = Outputs(tmp_path_factory.mktemp("evaluated"))
    config = retrain.RetrainConfig(
        image_dir=str(small_photos),
        architecture="tiny_resnet_128",
        how_many_training_steps=200,
        random_seed=1,
        **outputs.settings(),
    )
    retrain.run(config)
    return outputs.graph


def copy_photos(source: Path, target: Path, count: int) -> None:
    target.mkdir(parents=True)
    for photo in sorted(source.iterdir())[:count]:
        shutil.copyfile(photo, target / photo.name)


def table_of(text: str) -> dict[str, list[str]]:
    """Return images, recall and precision by label."""
    rows = (re.fullmatch(r"(\S.*\S)\s+(\d+)\s+(\S+)\s+(\S+)", line) for line in text.split("\n\n")[1].splitlines()[1:])
    return {row[1].strip(): [row[2], row[3], row[4]] for row in rows if row}


def test_one_photo_of_one_class(graph: Path, small_photos: Path, tmp_path: Path, run_cli: RunCli) -> None:
    copy_photos(small_photos / "red dots", tmp_path / "test" / "red dots", 1)
    process = run_cli("scripts.evaluate", graph, f"--image_dir={tmp_path / 'test'}", "--split=all", "--trained_images")
    assert_succeeded(process)
    assert process.stdout.startswith("Accuracy = 100.0% (N=1)\n")
    assert table_of(process.stdout) == {
        "blue stripes": ["0", "-", "-"],
        "green rings": ["0", "-", "-"],
        "red dots": ["1", "100.0%", "100.0%"],
    }
    assert process.stderr == (
        "WARNING: Of 1 image, the model was trained on 1: accuracy on such images says nothing about new ones.\n"
        "WARNING: With 1 test image, the accuracy on other images lies between 20.7% and 100.0% (95% interval). Some classes "
        "have fewer than 5 test images: red dots (1).\n"
    )


def test_a_class_is_missing(graph: Path, small_photos: Path, tmp_path: Path, run_cli: RunCli) -> None:
    for name in ("red dots", "green rings"):
        copy_photos(small_photos / name, tmp_path / "test" / name, 4)
    shutil.copyfile(next((small_photos / "red dots").iterdir()), tmp_path / "test" / "beside.jpg")
    process = run_cli("scripts.evaluate", graph, f"--image_dir={tmp_path / 'test'}", "--split=all", "--trained_images")
    assert_succeeded(process)
    told = f"WARNING: 1 image lies directly in {tmp_path / 'test'}, in no class folder: it is not used.\n"
    assert process.stderr.startswith(told)
    assert table_of(process.stdout)["blue stripes"][:2] == ["0", "-"]
    assert "nan" not in process.stdout


def test_a_set_without_images_says_what_to_add(graph: Path, small_photos: Path, tmp_path: Path, run_cli: RunCli) -> None:
    copy_photos(small_photos / "red dots", tmp_path / "test" / "red dots", 1)
    flags = [f"--image_dir={tmp_path / 'test'}", "--testing_percentage=0", "--validation_percentage=0"]
    process = run_cli("scripts.evaluate", graph, *flags)
    assert process.returncode == 2
    assert process.stderr == (
        "WARNING: --testing_percentage, --validation_percentage: not used, since the model's own record tells the sets.\n"
        f"error: --split testing has no image in {tmp_path / 'test'}. To use all photos, add --split all.\n"
    )


def test_a_class_that_the_graph_does_not_know(graph: Path, small_photos: Path, tmp_path: Path, run_cli: RunCli) -> None:
    copy_photos(small_photos / "red dots", tmp_path / "test" / "pink dots", 1)
    process = run_cli("scripts.evaluate", graph, f"--image_dir={tmp_path / 'test'}", "--split=all", "--trained_images")
    assert process.returncode == 2
    assert process.stderr == (
        f"error: --image_dir {tmp_path / 'test'} has classes that the graph does not have: pink dots. The "
        "graph has blue stripes, green rings, red dots.\n"
    )
    (tmp_path / "none").mkdir()
    process = run_cli("scripts.evaluate", graph, f"--image_dir={tmp_path / 'none'}")
    assert (process.returncode, process.stderr) == (
        2,
        f"error: --image_dir {tmp_path / 'none'} has no folders of images: it must have one for each class.\n",
    )


def test_a_table_with_sets(graph: Path, small_photos: Path, tmp_path: Path, run_cli: RunCli) -> None:
    rows = [
        f"{photo},{photo.parent.name},{'testing' if number % 5 == 0 else 'training'}\n"
        for number, photo in enumerate(sorted(small_photos.glob("*/*.jpg")))
    ]
    (tmp_path / "photos.csv").write_text("path,label,set\n" + "".join(rows))
    process = run_cli("scripts.evaluate", graph, f"--image_list={tmp_path / 'photos.csv'}", "--trained_images")
    assert_succeeded(process)
    assert "(N=15)" in process.stdout
    process = run_cli("scripts.evaluate", graph, f"--image_list={tmp_path / 'photos.csv'}", "--split=all", "--trained_images")
    assert "(N=75)" in process.stdout


def test_a_saved_split_gives_the_trainings_own_test(small_photos: Path, tmp_path: Path, run_cli: RunCli) -> None:
    outputs = Outputs(tmp_path)
    common = ["--architecture=tiny_resnet_128", "--how_many_training_steps=50", "--random_seed=1", *outputs.flags()]
    first = run_cli("retrain", f"--image_dir={small_photos}", f"--save_split={tmp_path / 'split.csv'}", *common)
    assert_succeeded(first)
    graph = outputs.graph.read_bytes()
    again = run_cli("retrain", f"--image_list={tmp_path / 'split.csv'}", *common)
    assert_succeeded(again)
    assert "0 bottlenecks made, 75 read from" in again.stderr
    assert outputs.graph.read_bytes() == graph
    evaluated = run_cli("scripts.evaluate", outputs.graph, f"--image_list={tmp_path / 'split.csv'}")
    assert_succeeded(evaluated)
    final = re.findall(r"Final test accuracy = (\S+) \(N=(\d+)\)", again.stderr)
    assert re.findall(r"Accuracy = (\S+) \(N=(\d+)\)", evaluated.stdout) == final


def test_both_a_folder_and_a_table_are_refused(run_cli: RunCli) -> None:
    process = run_cli("retrain", "--image_dir=photos", "--image_list=photos.csv")
    assert process.returncode == 2
    assert process.stderr == (
        "error: --image_dir and --image_list must not be given together, since each names the images. Got photos and "
        "photos.csv.\n"
    )
