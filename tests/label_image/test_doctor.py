"""The doctor: what it finds for graphs without metadata, what it writes, and who reads that."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrain
from label_image.config import ClassifierOptions
from label_image.opening import open_classifier
from label_image.settings import settings_path, write_settings
from retrain.backbones.published import BUNDLED_FILE
from retrain.errors import GraphError
from retrain.input_spec import InputSpec
from scripts.evaluate import main as evaluate
from tests.conftest import Label
from tests.support.commands import Outputs, copy_files
from tests.support.labelling import NO_OPTIONS, without_description

pytestmark = pytest.mark.slow


def old_graph(photos: Path, folder: Path, **settings: Any) -> Path:
    """Train a graph with unusual settings, and drop its metadata."""
    outputs = Outputs(folder)
    config = retrain.RetrainConfig(
        image_dir=str(photos),
        architecture=str(BUNDLED_FILE),
        how_many_training_steps=200,
        random_seed=1,
        **outputs.settings(),
        **settings,
    )
    retrain.run(config)
    return without_description(outputs.graph, "old.pb")


@pytest.fixture(scope="module")
def plain(small_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a graph without metadata whose settings are those that are inferred."""
    return old_graph(small_photos, tmp_path_factory.mktemp("plain"))


def some_of(photos: Path, folder: Path, count: int) -> Path:
    """Return a folder of a few photos of each class: the doctor runs the network on each again and again."""
    for kind in (each for each in sorted(photos.iterdir()) if each.is_dir()):
        (folder / kind.name).mkdir(parents=True)
        for photo in sorted(kind.iterdir())[:count]:
            (folder / kind.name / photo.name).symlink_to(photo)
    return folder


def spec_of(path: Path, options: ClassifierOptions = NO_OPTIONS) -> InputSpec:
    return open_classifier(str(path), options).description.input_spec


def test_unusual_settings_are_found(
    flower_photos: Path, tmp_path: Path, label: Label, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: dict[str, Any] = {"input_mean": 0.0, "input_std": 255.0, "channel_order": "bgr"}
    photos, few = some_of(flower_photos, tmp_path / "photos", 20), some_of(flower_photos, tmp_path / "few", 5)
    path = old_graph(photos, tmp_path, **settings)
    flags = [str(path), f"--image_dir={photos}", "--split=all"]
    capsys.readouterr()
    evaluate(flags)
    before = accuracy_of(capsys.readouterr().out)
    answer = label("--doctor", f"--graph={path}", f"--image_dir={few}")
    assert answer.code == 0, answer.err
    written = json.loads(Path(settings_path(str(path))).read_text())
    order = settings.get("channel_order", "rgb")
    assert (written["input_height"], written["input_layer"], written["output_layer"]) == (128, "input", "final_result")
    # Half a grey level makes no difference that photos could show.
    assert (written["input_mean"], written["input_std"]) == pytest.approx((0, 255), abs=0.5)
    assert written["channel_order"] == order
    assert order in answer.out.splitlines()[4]
    assert (
        f" were written to {settings_path(str(path))}: label_image and scripts.evaluate use them with this graph." in answer.out
    )
    spec = spec_of(path)
    assert (spec.mean, spec.std, spec.channel_order) == (written["input_mean"], written["input_std"], order)
    evaluate(flags)
    assert accuracy_of(capsys.readouterr().out) > before


def accuracy_of(text: str) -> float:
    return float(text.split("Accuracy = ")[1].split("%", maxsplit=1)[0])


def test_a_graph_that_needs_no_doctor_keeps_what_is_inferred(
    small_photos: Path, tmp_path: Path, plain: Path, label: Label
) -> None:
    path, before = plain, spec_of(plain)
    answer = label("--doctor", f"--graph={path}", f"--image_dir={some_of(small_photos, tmp_path / 'few', 5)}")
    assert answer.code == 0, answer.err
    assert spec_of(path) == before
    Path(settings_path(str(path))).unlink()


def test_turned_photos_tell_the_orientation(small_photos: Path, tmp_path: Path, label: Label) -> None:
    """Stripes and rings look the same turned, so the photos of the two classes here differ in where they are dark."""
    from PIL import Image

    rng = np.random.default_rng(1)
    for name, dark_half in (("top", slice(0, 48)), ("bottom", slice(48, 96))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(20):
            levels = rng.integers(120, 256, (96, 96, 3)).astype(np.uint8)
            levels[dark_half] //= 6
            image = Image.fromarray(levels)
            exif = Image.Exif()
            if number % 2:
                exif[0x0112] = 3
                image = image.transpose(Image.Transpose.ROTATE_180)
            image.save(tmp_path / "photos" / name / f"{number}.png", exif=exif)
    path = old_graph(tmp_path / "photos", tmp_path, exif_orientation="apply")
    assert spec_of(path).exif_orientation == "ignore"
    few = some_of(tmp_path / "photos", tmp_path / "few", 7)  # By name, half of them turned.
    assert label("--doctor", f"--graph={path}", f"--image_dir={few}").code == 0
    assert spec_of(path).exif_orientation == "apply"


def test_flags_precede_what_the_doctor_wrote(bundled: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.pb"
    path.write_bytes(bundled.read_bytes())
    write_settings(str(path), {"input_mean": 0.0, "input_std": 255.0})
    assert spec_of(path, ClassifierOptions(input_mean=5.0)).mean == 5.0
    assert spec_of(path).mean == 0.0


def test_settings_of_another_graph_are_ignored(bundled: Path, tmp_path: Path, logged: list[str]) -> None:
    path = tmp_path / "old.pb"
    path.write_bytes(bundled.read_bytes())
    write_settings(str(path), {"input_mean": 0.0, "input_std": 255.0})
    assert spec_of(path).mean == 0.0
    path.write_bytes(bundled.read_bytes() + b"\x12\x00")  # One more field, which is empty: the same graph in another file.
    assert spec_of(path).mean == 127.5
    assert logged == [f"WARNING: The settings {settings_path(str(path))} are of another graph than {path} and are ignored."]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "no JSON",
        '{"graph_sha256": "DIGEST", "input_mean": "a"}',
        '{"graph_sha256": "DIGEST", "input_height": -1}',
    ],
)
def test_damaged_settings_name_the_file(bundled: Path, text: str) -> None:
    import hashlib

    path = Path(settings_path(str(bundled)))
    path.write_text(text.replace("DIGEST", hashlib.sha256(bundled.read_bytes()).hexdigest()))
    try:
        with pytest.raises(GraphError) as caught:
            open_classifier(str(bundled), NO_OPTIONS)
        assert str(caught.value).startswith(f"The settings {path} cannot be used (")
        assert str(caught.value).endswith("). Delete the file, or run --doctor again.")
    finally:
        path.unlink()


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--doctor"], "--doctor needs labelled photos: set --image_dir."),
        (["--image_dir=photos"], "--image_dir is only for --doctor: name images with --image."),
        ([], "--image is required: Images to label; a folder stands for all images below it."),
    ],
)
def test_wrong_flags(flags: list[str], problem: str, label: Label) -> None:
    assert label(*flags)[0::2] == (2, f"error: {problem}\n")


def test_folders_that_the_graph_does_not_know(small_photos: Path, tmp_path: Path, bundled: Path, label: Label) -> None:
    answer = label("--doctor", f"--graph={bundled}", f"--image_dir={small_photos}")
    assert answer.code == 2
    assert "has no photos in folders named as the graph's labels: daisy, dandelion, roses, sunflowers, tulips." in answer.err


def test_labels_that_do_not_fit_are_told_and_nothing_is_written(
    small_photos: Path, tmp_path: Path, plain: Path, label: Label
) -> None:
    path, shuffled = plain, tmp_path / "shuffled"
    copy_files(some_of(small_photos, tmp_path / "few", 8), shuffled)
    names = sorted(each.name for each in shuffled.iterdir())
    for number, photo in enumerate(sorted(shuffled.glob("*/*.jpg"))):
        photo.rename(shuffled / names[number % 3] / f"x{number}.jpg")
    answer = label("--doctor", f"--graph={path}", f"--image_dir={shuffled}")
    assert answer.code == 2
    assert "No settings label these photos clearly better than chance, so none were written." in answer.err
    assert not Path(settings_path(str(path))).exists()
