"""The split that travels with a classifier: one test set and one accuracy, whatever the folder is called."""

import csv
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import RunCli
from tests.support.commands import Outputs, assert_succeeded

pytestmark = pytest.mark.slow

NETWORK = ["--architecture=tiny_resnet_128", "--how_many_training_steps=60"]  # None of the original.
ACCURACY = r"ccuracy = (\S+) \(N=(\d+)\)"


@pytest.fixture(scope="module")
def home(small_photos: Path, tmp_path_factory: pytest.TempPathFactory, run_cli: RunCli) -> Path:
    """Return a folder with `photos`, and `run`, trained on them."""
    folder = tmp_path_factory.mktemp("home")
    shutil.copytree(small_photos, folder / "photos")
    (folder / "elsewhere").mkdir()
    outputs = Outputs(folder / "run")
    process = run_cli("retrain", "--image_dir=photos", *NETWORK, *outputs.flags(), cwd=folder)
    assert_succeeded(process)
    (folder / "run.log").write_text(process.stderr)
    return folder


def evaluated(run_cli: RunCli, graph: Path, *flags: str, cwd: Path) -> tuple[tuple[str, str], str]:
    process = run_cli("scripts.evaluate", graph, *flags, cwd=cwd)
    assert_succeeded(process)
    return re.findall(ACCURACY, process.stdout)[0], process.stderr


def test_four_spellings_give_one_test_set(home: Path, run_cli: RunCli) -> None:
    graph = Outputs(home / "run").graph
    final = re.findall(f"Final test a{ACCURACY}", (home / "run.log").read_text())[0]
    for spelling, cwd in (("photos", home), ("./photos", home), (str(home / "photos"), home), ("../photos", home / "elsewhere")):
        found, _ = evaluated(run_cli, graph, f"--image_dir={spelling}", cwd=cwd)
        assert found == final, spelling


def test_the_record_names_every_photo(home: Path) -> None:
    with open(Outputs(home / "run").split, newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["path"] for row in rows) == sorted(f"{path.parent.name}/{path.name}" for path in home.glob("photos/*/*"))
    for row in rows:
        content = (home / "photos" / row["path"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest() and row["label"] == row["path"].split("/")[0]
    assert {row["set"] for row in rows} == {"training", "validation", "testing"}


def test_training_on_another_spelling_gives_the_same_split(home: Path, tmp_path: Path, run_cli: RunCli) -> None:
    outputs = Outputs(tmp_path)
    assert_succeeded(run_cli("retrain", f"--image_dir={home / 'photos'}", *NETWORK, *outputs.flags()))
    assert outputs.split.read_bytes() == Outputs(home / "run").split.read_bytes()


def test_renamed_photos_and_folders_stay_in_their_sets(home: Path, tmp_path: Path, run_cli: RunCli) -> None:
    graph = Outputs(home / "run").graph
    before, _ = evaluated(run_cli, graph, "--image_dir=photos", cwd=home)
    for photo in sorted(home.glob("photos/*/*")):
        (tmp_path / "moved" / photo.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo, tmp_path / "moved" / photo.parent.name / f"renamed {photo.name}")
    assert evaluated(run_cli, graph, "--image_dir=moved", cwd=tmp_path)[0] == before


def split_of(home: Path, split: str) -> list[Path]:
    with open(Outputs(home / "run").split, newline="") as file:
        return [home / "photos" / row["path"] for row in csv.DictReader(file) if row["set"] == split]


def copies(photos: list[Path], folder: Path) -> Path:
    for photo in photos:
        (folder / photo.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photo, folder / photo.parent.name / photo.name)
    return folder


@pytest.mark.parametrize("has_record", [True, False])
def test_a_test_set_of_training_photos_is_refused(home: Path, tmp_path: Path, run_cli: RunCli, has_record: bool) -> None:
    graph = Outputs(home / "run").graph
    if not has_record:
        graph = Path(shutil.copy(graph, tmp_path / "alone.pb"))
    folder = copies(split_of(home, "training")[:7], tmp_path / "test")
    process = run_cli("scripts.evaluate", graph, f"--image_dir={folder}", "--split=all")
    assert process.returncode == 2
    assert process.stderr == (
        "error: --split all has 7 images, and the model was trained on all of them: accuracy on such images says nothing about "
        "new ones. Give other images by --image_dir or --image_list, or add --trained_images.\n"
    )
    found, log = evaluated(run_cli, graph, f"--image_dir={folder}", "--split=all", "--trained_images", cwd=tmp_path)
    assert found[1] == "7"
    assert log.startswith(
        "WARNING: Of 7 images, the model was trained on 7: accuracy on such images says nothing about new ones.\n"
    )


def test_training_photos_are_named_and_left_out(home: Path, tmp_path: Path, run_cli: RunCli) -> None:
    trained = split_of(home, "training")[:2]
    folder = copies([*trained, *split_of(home, "testing")], tmp_path / "test")
    found, log = evaluated(run_cli, Outputs(home / "run").graph, f"--image_dir={folder}", "--split=all", cwd=tmp_path)
    assert int(found[1]) == len(split_of(home, "testing"))
    names = ", ".join(str(folder / each.parent.name / each.name) for each in trained)
    assert log.startswith(
        f"WARNING: 2 images are left out, since the model was trained on them: {names}. Add --trained_images to evaluate them "
        "too.\n"
    )


def test_without_the_record_all_other_photos_are_evaluated(home: Path, tmp_path: Path, run_cli: RunCli) -> None:
    graph = Path(shutil.copy(Outputs(home / "run").graph, tmp_path / "alone.pb"))
    found, log = evaluated(run_cli, graph, f"--image_dir={home / 'photos'}", cwd=tmp_path)
    assert int(found[1]) == len(split_of(home, "testing")) + len(split_of(home, "validation"))
    assert log.startswith(
        "WARNING: No record of the split that fits the model is beside it: all images that it was not trained on are evaluated, "
        "those of the validation set too.\n"
    )
    n_trained = evaluated(run_cli, graph, f"--image_dir={home / 'photos'}", "--split=training", cwd=tmp_path)[0][1]
    assert int(n_trained) == len(split_of(home, "training"))


def test_a_folder_of_new_photos_is_evaluated_as_a_whole(home: Path, tmp_path: Path, run_cli: RunCli) -> None:
    for photo in split_of(home, "training")[:9]:  # A byte behind the end of a JPEG makes it another file.
        (tmp_path / "new" / photo.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "new" / photo.parent.name / photo.name).write_bytes(photo.read_bytes() + b"\0")
    found, log = evaluated(run_cli, Outputs(home / "run").graph, "--image_dir=new", cwd=tmp_path)
    assert found[1] == "9"
    assert log.startswith(
        "None of the 9 images is identical to one of the training: all of them are evaluated. Copies that were resized or saved "
        "again are not recognised.\n"
    )


def test_the_same_photo_in_two_sets_is_a_leak(home: Path, tmp_path: Path, run_cli: RunCli) -> None:
    """A testing photo whose copy was trained on is left out."""
    shutil.copytree(home / "photos", tmp_path / "photos")
    trained, tested = split_of(home, "training")[0], split_of(home, "testing")[0]
    (tmp_path / "photos" / tested.parent.name / tested.name).write_bytes(trained.read_bytes())
    outputs = Outputs(tmp_path / "run")
    training = run_cli("retrain", "--image_dir=photos", *NETWORK, *outputs.flags(), cwd=tmp_path)
    assert_succeeded(training)
    assert (
        "WARNING: 1 image of the testing set is identical to images that are trained on, which makes the accuracy look higher "
        f"than it is: {tested.parent.name}/{tested.name}. Add --split_by content to keep identical images in one set.\n"
    ) in training.stderr
    found, log = evaluated(run_cli, outputs.graph, "--image_dir=photos", cwd=tmp_path)
    assert int(found[1]) == len(split_of(home, "testing")) - 1
    # Both copies are in the testing set by their content, and in the training set too.
    both = ", ".join(sorted(f"photos/{each.parent.name}/{each.name}" for each in (trained, tested)))
    assert f"WARNING: 2 images are left out, since the model was trained on them: {both}." in log


def test_training_photos_that_are_asked_for_are_called_so(home: Path, run_cli: RunCli) -> None:
    n = len(split_of(home, "training"))
    found, log = evaluated(run_cli, Outputs(home / "run").graph, "--image_dir=photos", "--split=training", cwd=home)
    assert int(found[1]) == n
    assert log.startswith(
        f"WARNING: Of {n} images, the model was trained on {n}: accuracy on such images says nothing about new ones."
    )


def test_photos_that_were_added_since_are_told_of_and_counted(home: Path, tmp_path: Path, run_cli: RunCli) -> None:
    shutil.copytree(home / "photos", tmp_path / "photos")
    photo = split_of(home, "training")[0]
    (tmp_path / "photos" / photo.parent.name / "added.jpg").write_bytes(photo.read_bytes() + b"\0")
    n_tested, n_all = len(split_of(home, "testing")), len(list(tmp_path.glob("photos/*/*")))
    flags = ["--output_format=json", "--testing_percentage=30"]
    process = run_cli("scripts.evaluate", "--graph", Outputs(home / "run").graph, "--image_dir=photos", *flags, cwd=tmp_path)
    assert_succeeded(process)
    values = json.loads(process.stdout)
    about = {name: values[name] for name in ("split", "n_trained", "n_left_out", "n_unknown")}
    assert about == {"split": "testing", "n_trained": 0, "n_left_out": 0, "n_unknown": 1} and values["count"] == n_tested
    assert process.stderr.startswith(
        "WARNING: --testing_percentage: not used, since the model's own record tells the sets.\n"
        f"WARNING: Of {n_all} images, 1 is in no set of the training, and left out. Add --split all to evaluate all of them.\n"
    )


def test_a_file_that_is_no_record_is_not_overwritten(home: Path, tmp_path: Path, run_cli: RunCli) -> None:
    outputs = Outputs(tmp_path)
    outputs.split.write_text("my notes\n")
    process = run_cli("retrain", "--image_dir=photos", *NETWORK, *outputs.flags(), cwd=home)
    assert (process.returncode, outputs.split.read_text(), outputs.graph.exists()) == (2, "my notes\n", False)
    assert process.stderr.endswith(
        f"error: {outputs.split} would be lost: the record of the split is written there, beside --output_graph. Move it away, "
        "or give --output_graph another name.\n"
    )


def test_a_photo_is_not_overwritten(home: Path, tmp_path: Path, run_cli: RunCli) -> None:
    photo = split_of(home, "testing")[0]
    content = photo.read_bytes()
    process = run_cli("retrain", "--image_dir=photos", *NETWORK, *Outputs(tmp_path).flags(), f"--output_labels={photo}", cwd=home)
    assert (process.returncode, photo.read_bytes()) == (2, content)
    assert process.stderr.endswith(f"error: --output_labels must not be one of the images, which would be lost. Got {photo}.\n")


def test_the_originals_networks_keep_its_rule_and_tell_of_other_spellings(
    home: Path, mobilenet_model_dir: Path, tmp_path: Path, run_cli: RunCli
) -> None:
    outputs = Outputs(tmp_path)
    network = ["--architecture=mobilenet_0.25_128", f"--model_dir={mobilenet_model_dir}"]
    flags = [*network, *outputs.flags(), "--how_many_training_steps=2"]
    first = run_cli("retrain", "--image_dir=photos", *flags, cwd=home)
    assert_succeeded(first)
    record = outputs.split.read_bytes()
    text = "WARNING: The split of this network depends on how --image_dir is typed"
    assert text not in first.stderr
    for spelling in ("photos/", "photos"):
        again = run_cli("retrain", f"--image_dir={spelling}", *flags, cwd=home)
        assert text not in again.stderr and outputs.split.read_bytes() == record
    other = run_cli("retrain", f"--image_dir={home}{os.sep}photos", *flags)
    assert_succeeded(other)
    assert (
        f"{text}, as the original's does. This folder was typed photos before; typed {home}/photos, other photos are in the "
        "testing set. Type it as before, or add --split_by content.\n"
    ) in other.stderr
    assert outputs.split.read_bytes() != record
    assert text not in run_cli("retrain", f"--image_dir={home}{os.sep}photos", *flags).stderr
    assert text not in run_cli("retrain", f"--image_dir={home}/./photos", "--split_by=content", *flags).stderr
    _, log = evaluated(run_cli, outputs.graph, "--image_dir=photos", cwd=home)
    assert "no record" not in log


def test_few_test_images_are_told(home: Path) -> None:
    n = len(split_of(home, "testing"))
    assert n < 30
    assert re.search(
        rf"WARNING: With {n} test images, the accuracy on other images lies between \d+\.\d% and \d+\.\d% \(95% interval\)\..* "
        r"More images, or a higher --testing_percentage, say more\.\n",
        (home / "run.log").read_text(),
    )
