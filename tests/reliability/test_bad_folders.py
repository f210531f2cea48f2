"""Bad folders. What is wrong with an image folder is told before the first bottleneck is made."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrain.data.splitting import which_split
from retrain.options.images import SPLITS
from tests.conftest import RunCli
from tests.reliability.conftest import Note
from tests.support.commands import (
    FINAL_BIASES,
    FINAL_WEIGHTS,
    Outputs,
    assert_succeeded,
    bottleneck_counts,
    constant,
    final_test_accuracy,
    read_bottleneck,
    read_graph,
    step_lines,
)

pytestmark = pytest.mark.slow

# The split depends on the paths below `photos`, and so comes out the same in each run.
PHOTOS, OUTPUTS = Path("photos"), Outputs(Path("out"))
FLAGS = [f"--image_dir={PHOTOS}", "--architecture=tiny_resnet_128", "--random_seed=1", *OUTPUTS.flags()]
ENOUGH = 20  # With fewer photos of a class there is a warning.
TRAINING = SPLITS[:1]
NONE_BELOW = "Training needs at least two classes. In photos, there is no folder of images"
ONE_BELOW = "Training needs at least two classes. In photos, there is one folder of images, cats"
TO_FOLDERS = ". Put the images (.jpg, .jpeg, .png) of each class into a folder of its own there."
ADD_SOME = "add images of each class to have some in every set."
TOO_HIGH = " There are folders of images in photos/train: perhaps that is the --image_dir you mean."


@pytest.fixture(autouse=True)
def current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write_photos(folder: Path, sets: tuple[str, ...] = SPLITS, count: int = ENOUGH) -> None:
    """Small photos of one colour, another one for each folder's name; they go to these sets, and some to each of them."""
    folder.mkdir(parents=True, exist_ok=True)
    colour = np.random.default_rng(list(str(folder).encode())).integers(0, 256, 3)
    left = {split: count // len(sets) for split in sets}
    left[sets[0]] += count - sum(left.values())
    for number in range(100 * count):
        path = folder / f"{number:04d}.jpg"
        split = which_split(path.relative_to(PHOTOS.parent if folder == PHOTOS else PHOTOS).as_posix(), 10, 10)
        if left.get(split):
            left[split] -= 1
            noise = np.random.default_rng(number).normal(0, 10, (16, 16, 3))
            Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8)).save(path)
    assert not any(left.values())


def write_classes(*folders: str) -> None:
    for folder in folders:
        write_photos(PHOTOS / folder)


def one_untrained() -> None:
    write_classes("cats", "dogs")
    write_photos(PHOTOS / "owls", SPLITS[1:])


def only_files() -> None:
    PHOTOS.mkdir()
    (PHOTOS / "cats.txt").touch()


# The fault → what makes such a folder, and the message.
ERRORS: dict[str, tuple[Callable[[], None], str]] = {
    "no classes": (only_files, NONE_BELOW + TO_FOLDERS),
    "one class": (lambda: write_classes("cats"), ONE_BELOW + TO_FOLDERS),
    "images in the top folder alone": (lambda: write_photos(PHOTOS), f"{NONE_BELOW}, but 20 images in no folder{TO_FOLDERS}"),
    "the folder above the right one": (
        lambda: write_classes("train/cats", "train/dogs", "validation/cats"),
        NONE_BELOW + TO_FOLDERS + TOO_HIGH,
    ),
    "the folder above the right one, and one class": (
        lambda: write_classes("cats", "train/cats", "train/dogs"),
        ONE_BELOW + TO_FOLDERS + TOO_HIGH,
    ),
    "a class whose training set is empty": (
        one_untrained,
        "No training image is left in owls of photos: the split sent all of them to validation and testing. Add images, or "
        "lower --testing_percentage and --validation_percentage.",
    ),
    "two folders that give one label": (
        lambda: write_classes("Grey cats", "dogs", "grey_cats"),
        "The folders 'Grey cats' and 'grey_cats' in photos both give the label \"grey cats\". Rename one, or merge them, or add "
        "--label_names folder.",
    ),
}


def train(run_cli: RunCli, *flags: str) -> subprocess.CompletedProcess[str]:
    return run_cli("retrain", *FLAGS, *flags, cwd=Path.cwd())


def warnings_of(log: str) -> list[str]:
    return re.findall(r"(?m)^WARNING: (.*)$", log)


@pytest.mark.parametrize("fault", ERRORS)
def test_is_an_error_before_the_first_bottleneck(run_cli: RunCli, note: Note, fault: str) -> None:
    make_folder, message = ERRORS[fault]
    make_folder()
    OUTPUTS.folder.mkdir()
    OUTPUTS.graph.write_bytes(b"an earlier graph")
    process = train(run_cli, "--label_names=original")
    assert process.returncode == 2
    *before, last = process.stderr.splitlines()
    assert last == f"error: {message}"
    assert before == [f"WARNING: {warning}" for warning in warnings_of(process.stderr)]
    assert not list(OUTPUTS.bottlenecks.glob("**/*.txt"))
    assert OUTPUTS.graph.read_bytes() == b"an earlier graph"
    note(fault, tried=1, happened=f"exit code {process.returncode}: {last}")


def test_what_can_be_trained_nevertheless(run_cli: RunCli, note: Note) -> None:
    """All in one folder, and each told in one line, before the first bottleneck is made."""
    write_classes("ants", "bees")
    write_photos(PHOTOS / "cats", ("training", "testing"))
    write_photos(PHOTOS / "dogs", ("training", "validation"))
    write_photos(PHOTOS / "emus", count=6)
    write_photos(PHOTOS / "nested" / "sub", count=3)
    write_photos(PHOTOS / "nested" / "sub 2", count=3)
    write_photos(PHOTOS, count=3)
    (PHOTOS / "void").mkdir()
    expected = {
        "validation set empty for one class": f"The validation set has no image of cats: {ADD_SOME}",
        "testing set empty for one class": f"The testing set has no image of dogs: {ADD_SOME}",
        "a class of six images": "photos/emus has only 6 images; with fewer than 20 the result may be poor.",
        "images in the top folder, beside class folders": (
            "3 images lie directly in photos, in no class folder: they are not used."
        ),
        "an empty folder among the classes": "No images in photos/void: the folder is skipped.",
        "nested folders among the classes": (
            "No images in photos/nested: the folder is skipped. There are images further down, in photos/nested/sub."
        ),
    }
    process = train(run_cli, "--how_many_training_steps=50")
    assert_succeeded(process)
    before = process.stderr.split(" bottlenecks made, ", maxsplit=1)[0]
    assert sorted(warnings_of(before)) == sorted(expected.values())
    [few] = warnings_of(process.stderr)[len(warnings_of(before)) :]
    assert re.fullmatch(r"With \d+ test images, .* Some classes have fewer than 5 test images: .*", few)
    assert bottleneck_counts(process.stderr) == (4 * ENOUGH + 6, 0)
    assert OUTPUTS.labels.read_text(encoding="utf-8").split() == ["ants", "bees", "cats", "dogs", "emus"]
    accuracy, count = final_test_accuracy(process.stderr)
    assert count == sum(which_split(path.relative_to(PHOTOS).as_posix(), 10, 10) == "testing" for path in PHOTOS.glob("*/*.jpg"))
    assert accuracy >= 90
    for fault, warning in expected.items():
        note(fault, tried=1, happened=f"trained, with a warning: {warning}")


def test_validation_and_testing_sets_empty_for_all_classes(run_cli: RunCli, note: Note) -> None:
    for label in ("cats", "dogs"):
        write_photos(PHOTOS / label, TRAINING)
    process = train(run_cli, "--how_many_training_steps=20")
    assert_succeeded(process)
    expected = [
        f"The validation set has no image of cats, dogs: {ADD_SOME}",
        f"The testing set has no image of cats, dogs: {ADD_SOME}",
        "There are no test images: the accuracy is not measured.",
    ]
    assert warnings_of(process.stderr) == expected
    before = process.stderr.split(" bottlenecks made, ", maxsplit=1)[0]
    assert warnings_of(before) == expected[:2]
    lines = step_lines(process.stderr)
    assert {line.measure for line in lines} == {"train", "entropy"}
    assert [line.value for line in lines if line.measure == "train"][-1] == 100
    happened = f"trained, with warnings: {' '.join(expected)}"
    note("validation and testing sets empty for all classes", tried=1, happened=happened)


def test_ten_thousand_classes(run_cli: RunCli, long: bool, note: Note) -> None:
    """The whole job, to labelling, which has to give each class the score that the head's weights give it."""
    n_classes = 10_000 if long else 300
    labels = [f"class {number:05d}" for number in range(n_classes)]
    rng = np.random.default_rng(0)
    for number, label in enumerate(labels):
        (PHOTOS / label).mkdir(parents=True)
        for name in range(1 + number % 2):
            Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(PHOTOS / label / f"{name}.png")
    flags = ["--testing_percentage=0", "--validation_percentage=0", "--learning_rate=0.1", "--train_batch_size=1000"]
    process = train(run_cli, *flags, "--how_many_training_steps=100")
    assert_succeeded(process)
    n_images = n_classes * 3 // 2
    assert bottleneck_counts(process.stderr) == (n_images, 0)
    assert OUTPUTS.labels.read_text(encoding="utf-8").splitlines() == labels
    entropies = [line.value for line in step_lines(process.stderr) if line.measure == "entropy"]
    assert entropies[-1] < entropies[0]

    some = [str(PHOTOS / label / "0.png") for label in labels[:: n_classes // 10]]
    flags = ["--output_format=json", f"--top_k={n_classes}", f"--graph={OUTPUTS.graph}", "--image"]
    labelled = run_cli("label_image", *flags, *some, cwd=Path.cwd())
    assert_succeeded(labelled)
    answers = json.loads(labelled.stdout)
    assert [answer["image"] for answer in answers] == some
    for answer in answers:
        scores = {each["label"]: each["score"] for each in answer["predictions"]}
        assert [scores[label] for label in labels] == pytest.approx(scores_of_the_head(Path(answer["image"])), rel=1e-3)
    fell = f"the cross entropy fell from {entropies[0]:.3f} to {entropies[-1]:.3f}"
    happened = f"trained on {n_images:,} images, {fell}; label_image gives the head's scores"
    note(f"{n_classes:,} classes", tried=1, happened=happened)


def scores_of_the_head(image: Path) -> list[float]:
    """By class, computed from the image's cached bottleneck and the weights in the graph."""
    graph = read_graph(OUTPUTS.graph)
    bottleneck = read_bottleneck(OUTPUTS.bottlenecks / image.parent.name / f"{image.name}_tiny_resnet_128.txt")
    logits = bottleneck.astype(float) @ constant(graph, FINAL_WEIGHTS) + constant(graph, FINAL_BIASES)
    powers = np.exp(logits - logits.max())
    scores: list[float] = (powers / powers.sum()).tolist()
    return scores
