"""One folder for each run, and the comparison of runs, with the real commands."""

import datetime
import json
import os
from pathlib import Path

import pytest

from tests.conftest import RunCli
from tests.support.commands import assert_succeeded

pytestmark = pytest.mark.slow

TRAIN = ["retrain", "--architecture=tiny_resnet_128", "--bottleneck_dir=cache", "--random_seed=1", "--run_dir=auto"]
FILES = {
    "checkpoint",
    "config.json",
    "metrics.json",
    "report",
    "report.html",
    "retrained_graph.pb",
    "retrained_labels.txt",
    "retrained_split.csv",
    "timing.json",
    "training_summaries",
}


@pytest.fixture(scope="module")
def home(small_photos: Path, tmp_path_factory: pytest.TempPathFactory, run_cli: RunCli) -> Path:
    """Return a folder with two runs."""
    folder = tmp_path_factory.mktemp("runs")
    for steps in (1, 60):
        process = run_cli(*TRAIN, f"--image_dir={small_photos}", f"--how_many_training_steps={steps}", cwd=folder)
        assert_succeeded(process)
    return folder


def runs(home: Path) -> list[Path]:
    return sorted((home / "runs").iterdir(), key=lambda path: int(path.name.rpartition("-")[2]))


def test_a_run_writes_into_its_own_folder_alone(home: Path) -> None:
    first, second = runs(home)
    assert [path.name.rpartition("-")[2] for path in (first, second)] == ["1", "2"]
    datetime.date.fromisoformat(first.name.rpartition("-")[0])
    for folder in (first, second):
        assert {path.name for path in folder.iterdir()} == FILES
    assert sorted(path.name for path in home.iterdir()) == ["cache", "runs"]


def test_metrics_and_settings(home: Path) -> None:
    metrics, config = (json.loads((runs(home)[1] / name).read_text()) for name in ("metrics.json", "config.json"))
    assert metrics["test"]["accuracy"] == sum(each["correct"] for each in metrics["test"]["images"]) / metrics["test"]["count"]
    assert metrics["labels"] == ["blue stripes", "green rings", "red dots"]
    assert config["how_many_training_steps"] == 60 and config["output_graph"] == metrics["output_graph"]


def test_label_image_takes_the_newest_run(home: Path, small_photos: Path, run_cli: RunCli) -> None:
    photo = next((small_photos / "red dots").iterdir())
    newest = runs(home)[1] / "retrained_graph.pb"
    implied = run_cli("label_image", f"--image={photo}", "--output_format=csv", cwd=home)
    assert_succeeded(implied)
    assert implied.stderr == f"Graph: {newest.relative_to(home)}, the newest.\n"
    named = run_cli("label_image", f"--graph={newest}", f"--image={photo}", "--output_format=csv", cwd=home)
    assert [row.split(",")[:3] for row in implied.stdout.splitlines()] == [
        row.split(",")[:3] for row in named.stdout.splitlines()
    ]


def test_the_places_are_named_where_there_is_no_graph(tmp_path: Path, run_cli: RunCli) -> None:
    process = run_cli("label_image", "--image=photo.jpg", cwd=tmp_path)
    assert process.returncode == 2
    assert process.stderr.startswith(
        f"error: There is no tf_files/retrained_graph.pb and no {os.path.join('runs', '*', 'retrained_graph.pb')} in {tmp_path}. "
        "Training without --output_graph and --run_dir writes /tmp/output_graph.pb"
    )


def test_the_runs_are_listed(home: Path, run_cli: RunCli) -> None:
    process = run_cli("retrain.runs", cwd=home)
    assert_succeeded(process)
    heads, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in process.stdout.splitlines()]
    assert heads == [
        *("run", "ended", "test accuracy", "95% interval", "test images", "validation accuracy", "seconds"),
        *("architecture", "how_many_training_steps"),
    ]
    assert [(row[0], row[-2], row[-1]) for row in rows] == [
        (folder.name, "tiny_resnet_128", steps) for folder, steps in zip(runs(home), ("1", "60"), strict=True)
    ]
    metrics = json.loads((runs(home)[1] / "metrics.json").read_text())
    assert rows[1][2] == f"{metrics['test']['accuracy']:.1%}"


def test_two_runs_are_compared(home: Path, run_cli: RunCli) -> None:
    first, second = (folder.name for folder in runs(home))
    process = run_cli("retrain.runs", first, home / "runs" / second, cwd=home)
    assert_succeeded(process)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in process.stdout.splitlines()]
    assert rows[0] == ["", first, second]
    assert rows[-1] == ["--how_many_training_steps", "1", "60"]
    assert "recall of red dots" in [row[0] for row in rows]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (
            ["--runs_dir=nowhere"],
            "--runs_dir nowhere cannot be read (No such file or directory). Train with --run_dir auto first.",
        ),
        (["--runs_dir=cache"], "--runs_dir cache has no finished run. Train with --run_dir auto first."),
        (["one"], "Two runs can be compared. Got 1: one."),
        (["one", "two"], "There is no finished run one in runs. Without names, all runs are listed."),
    ],
)
def test_wrong_runs(home: Path, run_cli: RunCli, args: list[str], message: str) -> None:
    process = run_cli("retrain.runs", *args, cwd=home)
    assert (process.returncode, process.stderr) == (2, f"error: {message}\n")


def test_a_folder_in_use_is_refused_unless_the_run_resumes(home: Path, small_photos: Path, run_cli: RunCli) -> None:
    folder = runs(home)[1]
    command = [*TRAIN[:-1], f"--run_dir={folder}", f"--image_dir={small_photos}"]
    process = run_cli(*command, "--how_many_training_steps=80", cwd=home)
    assert process.returncode == 2
    assert process.stderr.endswith(
        f"error: --run_dir must be a folder that does not exist yet. Got {folder}: give another, or move it away.\n"
    )
    resumed = run_cli(*command, "--how_many_training_steps=60", "--resume", cwd=home)
    assert_succeeded(resumed)
    assert len(runs(home)) == 2


def test_a_run_that_failed_may_be_tried_again_in_its_folder(small_photos: Path, tmp_path: Path, run_cli: RunCli) -> None:
    """The network cannot be downloaded at first; the folder is what the run had made until then."""
    flags = [f"--image_dir={small_photos}", "--run_dir=mine", "--bottleneck_dir=cache", f"--model_dir={tmp_path / 'models'}"]
    mirror = "--model_url_base=file:///nowhere"
    failed = run_cli("retrain", *flags, "--architecture=mobilenet_0.25_128", mirror, cwd=tmp_path)
    assert failed.returncode == 1 and (tmp_path / "mine").is_dir()
    assert_succeeded(run_cli("retrain", *flags, "--architecture=pixels_8", "--how_many_training_steps=2", cwd=tmp_path))
    finished = run_cli("retrain", *flags, "--architecture=pixels_8", cwd=tmp_path)
    assert (finished.returncode, finished.stderr.splitlines()[-1]) == (
        2,
        "error: --run_dir must be a folder that does not exist yet. Got mine: give another, or move it away.",
    )
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "report").mkdir()
    (tmp_path / "photos" / "notes.txt").touch()
    others = run_cli("retrain", *flags, "--architecture=pixels_8", "--run_dir=photos", cwd=tmp_path)
    assert others.returncode == 2


def test_the_old_flags_win(small_photos: Path, tmp_path: Path, run_cli: RunCli) -> None:
    flags = [f"--image_dir={small_photos}", "--how_many_training_steps=1", "--output_graph=here/mine.pb"]
    process = run_cli(*TRAIN[:-1], "--run_dir=experiment", *flags, cwd=tmp_path)
    assert_succeeded(process)
    assert sorted(path.name for path in (tmp_path / "here").iterdir()) == ["mine.pb", "mine_split.csv"]
    assert {path.name for path in (tmp_path / "experiment").iterdir()} == FILES - {"retrained_graph.pb", "retrained_split.csv"}


def test_wrong_input_makes_no_folder(tmp_path: Path, run_cli: RunCli) -> None:
    (tmp_path / "empty").mkdir()
    process = run_cli(*TRAIN, "--image_dir=empty", cwd=tmp_path)
    assert process.returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
