"""Training from Python: names, options, results and progress of `retrain.run`."""

import inspect
import json
import subprocess
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import retrain
from retrain.evaluation.metrics import Evaluation
from tests.conftest import ROOT, SMALL_SPLIT
from tests.support.commands import Outputs
from tests.support.hiding import hiding

CLASSES = ["blue stripes", "green rings", "red dots"]


@pytest.fixture
def options(small_photos: Path, tmp_path: Path) -> dict[str, Any]:
    outputs = {name: Path(path) for name, path in Outputs(tmp_path).settings().items()}
    return {"image_dir": small_photos, "architecture": "pixels_8", "how_many_training_steps": 20, "random_seed": 1, **outputs}


def test_the_names_of_the_package() -> None:
    assert dir(retrain) == ["Progress", "RetrainConfig", "RetrainError", "RetrainResult", "run"]
    assert sorted(retrain.__all__) == dir(retrain)
    assert all(getattr(retrain, name).__name__ == name and inspect.getdoc(getattr(retrain, name)) for name in dir(retrain))
    with pytest.raises(AttributeError, match=r"^module 'retrain' has no attribute 'train'$"):
        retrain.train  # noqa: B018


def test_options_by_name_or_in_a_config(options: dict[str, Any], tmp_path: Path) -> None:
    by_name = retrain.run(**options)
    config = retrain.RetrainConfig(**{**options, "random_seed": 7})
    retrain.run(config, random_seed=1, output_graph=tmp_path / "again.pb")
    assert Path(by_name.output_graph).read_bytes() == (tmp_path / "again.pb").read_bytes()
    assert config.random_seed == 7


def test_wrong_options(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=r"^progress must be a function that takes a Progress\. Got 3\.$"):
        retrain.run(image_dir="flowers", progress=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^run\(\) has no option lerning_rate\. Did you mean learning_rate\?$"):
        retrain.run(**options, lerning_rate=0.1)
    with pytest.raises(TypeError) as caught:
        retrain.run("flowers")  # type: ignore[arg-type]
    assert str(caught.value) == "run() takes a RetrainConfig, or options by name, such as image_dir='flowers'. Got 'flowers'."
    with pytest.raises(retrain.RetrainError) as wrong:
        retrain.run(**{**options, "dropout": 2, "l2": "much"})
    assert str(wrong.value) == (
        "--dropout must be a number in [0, 1). Got 2.\n--l2 must be a number in [0, 1000000]. Got much."
    )  # fmt: skip
    with pytest.raises(retrain.RetrainError, match=r"^--image_dir is required: "):
        retrain.run()


def test_the_result(options: dict[str, Any], small_photos: Path) -> None:
    result = retrain.run(**options)
    assert result.n_images == {name: 3 * count for name, count in SMALL_SPLIT.items()}
    assert isinstance(result.test, Evaluation) and result.report is not None
    assert result.test.n_images.tolist() == [SMALL_SPLIT["testing"]] * 3
    assert result.test.recall.shape == result.test.precision.shape == (3,)
    assert result.test_accuracy == result.test.accuracy == result.test.n_correct / result.test.count
    answers = result.report.answers
    assert {Path(each.path).parent for each in answers} == {small_photos / label for label in CLASSES}
    assert result.report.scores.shape == (9, 3)
    assert [each.score for each in answers] == pytest.approx(result.report.scores.max(axis=1).tolist())
    values = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert values["test"]["accuracy"] == result.test_accuracy and len(values["test"]["images"]) == 9
    assert repr(result) == (
        "RetrainResult(architecture='pixels_8', n_images={'training': 57, 'validation': 9, 'testing': 9}, "
        f"test_accuracy={round(result.test_accuracy, 4)}, validation_accuracy={result.validation_accuracy!r}, "
        f"output_graph='{options['output_graph']}', …)"
    )


def test_progress_of_all_phases(options: dict[str, Any], small_photos: Path, tmp_path: Path) -> None:
    """Images that fail or are turned upright are counted once, as all others."""
    photos = tmp_path / "photos"
    for label in CLASSES:
        (photos / label).mkdir(parents=True)
        for path in sorted((small_photos / label).iterdir()):
            (photos / label / path.name).write_bytes(path.read_bytes())
    (photos / CLASSES[0] / "damaged.jpg").write_bytes(b"no image")
    exif = Image.Exif()
    exif[0x0112] = 6  # The orientation: turned by 90 degrees.
    Image.new("RGB", (8, 6), "red").save(photos / CLASSES[2] / "turned.jpg", exif=exif)
    seen: list[retrain.Progress] = []
    retrain.run(**{**options, "image_dir": photos}, export=["tflite"], progress=seen.append)
    phases = [(phase, list(found)) for phase, found in groupby(seen, key=lambda each: each.phase)]
    assert [(phase, found[0].done, found[-1].done, found[-1].total, found[-1].unit) for phase, found in phases] == [
        ("bottlenecks", 0, 77, 77, "images"),
        ("training", 0, 20, 20, "steps"),
        ("export", 0, 5, 5, "files"),
    ]
    for _, found in phases:
        assert [each.done for each in found] == sorted({each.done for each in found}), "each call brings something new"
    first, *_, last = phases[1][1]
    assert first.validation_accuracy is None and last.validation_accuracy is not None


def test_an_exception_of_the_listener_ends_the_run_and_keeps_the_bottlenecks(options: dict[str, Any]) -> None:
    def stop(progress: retrain.Progress) -> None:
        if progress.phase == "training" and progress.done == 5:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match=r"^enough$"):
        retrain.run(**options, progress=stop)
    assert not Path(str(options["output_graph"])).exists()
    assert retrain.run(**options).n_bottlenecks_made == 0


def test_without_pandas_the_error_names_the_extra(options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    program = f"""
import retrain
result = retrain.run(**{ {name: value if isinstance(value, int | str) else str(value) for name, value in options.items()} })
for table in (result.report.to_pandas, result.report.classes_to_pandas):
    try:
        table()
    except retrain.RetrainError as error:
        print(error)
"""
    environment = hiding(tmp_path / "hidden", "pandas")
    done = subprocess.run([sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "Data frames need pandas. Install it with this project: pip install '.[pandas]'\n" * 2
