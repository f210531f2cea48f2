"""`python -m scripts.sweep` as a user runs it, on the 600 photos where they are available."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, RunCli
from tests.support.commands import FLOWERS, MOBILENET, TrainingRun, assert_succeeded, final_test_accuracy, own_environment
from tests.support.running import HANGS
from tests.support.tensorboard import serving_tensorboard, wait_for

pytestmark = pytest.mark.slow

RATES = ["0.005", "0.01", "0.1", "1.0"]


@pytest.fixture(scope="module")
def sweep(
    run_cli: RunCli,
    mobilenet_run: TrainingRun,
    mobilenet_model_dir: Path,
    flowers_cwd: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[subprocess.CompletedProcess[str], Path]:
    """Four learning rates with three seeds, on bottlenecks that are there."""
    folder = tmp_path_factory.mktemp("sweep")
    process = run_cli(
        "scripts.sweep",
        f"--image_dir={FLOWERS}",
        f"--architecture={MOBILENET}",
        f"--model_dir={mobilenet_model_dir}",
        f"--bottleneck_dir={mobilenet_run.outputs.bottlenecks}",
        f"--sweep_dir={folder}",
        f"--learning_rate={','.join(RATES)}",
        "--random_seed=1,2,3",
        cwd=flowers_cwd,
    )
    assert_succeeded(process)
    return process, folder


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "sweep.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_line_for_each_rate(sweep: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    process, folder = sweep
    assert "0 bottlenecks made, 600 read." in process.stderr
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in process.stdout.splitlines()]
    assert lines[0] == ["learning_rate", "test accuracy", "validation accuracy", "seeds", "training", "head", "network"]
    assert [line[0] for line in lines[2:]] == RATES
    for line, rate in zip(lines[2:], RATES, strict=True):
        accuracies = [100 * float(row["test_accuracy"]) for row in rows(folder) if row["learning_rate"] == rate]
        low, high = min(accuracies), max(accuracies)
        assert line[1] == f"{sum(accuracies) / 3:.1f}% ({low:.1f} to {high:.1f})"
        assert line[3:] == ["3", line[4], "5,010 numbers", "2.0 MB"]


def test_the_accuracy_is_that_of_the_command_with_the_same_seed(
    sweep: tuple[subprocess.CompletedProcess[str], Path], mobilenet_run: TrainingRun
) -> None:
    found = rows(sweep[1])
    assert len(found) == 12
    [row] = [row for row in found if (row["learning_rate"], row["random_seed"]) == ("0.01", "1")]
    accuracy, count = final_test_accuracy(mobilenet_run.log)
    assert (row["network_ms"], row["bottleneck_ms"], row["pareto_front"]) == ("", "", ""), "one network is not measured"
    assert (round(100 * float(row["test_accuracy"]), 1), int(row["n_test"])) == (accuracy, count)
    assert (row["n_steps"], row["network"]) == ("4000", MOBILENET)


def test_tensorboard_compares_the_trainings(sweep: tuple[subprocess.CompletedProcess[str], Path], tmp_path: Path) -> None:
    """Its HParams page asks for the session groups: one for each head, with its flags and its accuracy."""
    folder = sweep[1] / "summaries"
    with serving_tensorboard(folder, tmp_path / "log.txt") as url:
        groups = wait_for(lambda: found if len(found := session_groups(url)) == 12 else None, tmp_path / "log.txt")
    served = {(g["hparams"]["learning_rate"], g["hparams"]["random_seed"]): accuracy_of(g) for g in groups}
    expected = {(float(row["learning_rate"]), float(row["random_seed"])): float(row["test_accuracy"]) for row in rows(sweep[1])}
    assert served == pytest.approx(expected)


def session_groups(url: str) -> list[dict[str, Any]]:
    question = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_SUCCESS"],
        "colParams": [{"metric": {"group": "", "tag": "test_accuracy"}}],
        "startIndex": 0,
        "sliceSize": 100,
    }
    address = f"{url}data/plugin/hparams/session_groups"
    request = urllib.request.Request(address, json.dumps(question).encode(), {"Content-Type": "application/json"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as response:
        return json.load(response).get("sessionGroups", [])


def accuracy_of(group: dict[str, Any]) -> float:
    [value] = [each["value"] for each in group["metricValues"] if each["name"]["tag"] == "test_accuracy"]
    return float(value)


def test_which_network(run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
    """Two networks, one of which decodes its images at each step; the second call finds all bottlenecks."""
    flags = [f"--image_dir={small_photos}", f"--bottleneck_dir={tmp_path / 'cache'}", "--how_many_training_steps=40"]
    networks = ["--architecture=pixels_16,tiny_resnet_128", "--random_seed=1,2"]
    first = run_cli(
        "scripts.sweep", *flags, *networks, f"--sweep_dir={tmp_path / 'first'}", "--budget_ms=100000", "--budget_mb=1"
    )
    assert_succeeded(first)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in first.stdout.splitlines()]
    assert lines[0][-4:] == ["network", "one photo", "bottlenecks", "Pareto front"]
    assert [line[0] for line in lines[2:4]] == ["pixels_16", "tiny_resnet_128"]
    for line in lines[2:4]:
        assert re.fullmatch(r"[\d.]+ ms", line[-3])
        assert re.fullmatch(r"[\d.]+ ms an image", line[-2])
        assert line[-1] in ("yes", "")
    found = rows(tmp_path / "first")
    assert len(found) == 4
    for pair in (found[:2], found[2:]):
        assert len({(row["network_ms"], row["bottleneck_ms"], row["pareto_front"]) for row in pair}) == 1
        assert float(pair[0]["network_ms"]) > 0 and float(pair[0]["bottleneck_ms"]) > 0
        assert pair[0]["pareto_front"] in ("0", "1")
    accuracies = [float(row["validation_accuracy"]) for row in found[:2]]
    assert lines[4] == [""]
    assert re.fullmatch(
        rf"Best within 100000 ms a photo and 1 MB, by validation accuracy: pixels_16\. It has validation accuracy "
        rf"{100 * sum(accuracies) / 2:.1f}% \(.*\), test accuracy .*%.*, and takes [\d.]+ ms a photo and [\d.]+ MB\.",
        first.stdout.splitlines()[5],
    )

    distorted = ["--architecture=pixels_16,tiny_resnet_128", "--flip_left_right", "--train_batch_size=3"]
    second = run_cli("scripts.sweep", *flags, *distorted, f"--sweep_dir={tmp_path / 'second'}", "--budget_mb=0.000001")
    assert_succeeded(second)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in second.stdout.splitlines()]
    assert [line[-2] for line in lines[2:4]] == ["cached", "cached"]
    assert re.fullmatch(
        r"No network fits within 1e-06 MB\. The nearest is pixels_16, which takes [\d.]+ ms a photo and [\d.]+ MB\.",
        second.stdout.splitlines()[5],
    )
    sizes = [[row["network_bytes"] for row in each] for each in (found[::2], rows(tmp_path / "second"))]
    assert sizes[0] == sizes[1], "the size is the network's, with and without distortions"


def test_trainings_through_the_images_are_swept_too(run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
    flags = ["--architecture=tiny_resnet_128", "--how_many_training_steps=12", f"--bottleneck_dir={tmp_path / 'bottlenecks'}"]
    swept = ["--flip_left_right=False,True", "--optimizer=adam", "--train_batch_size=3"]
    process = run_cli("scripts.sweep", f"--image_dir={small_photos}", f"--sweep_dir={tmp_path / 'sweep'}", *flags, *swept)
    assert_succeeded(process)
    found = rows(tmp_path / "sweep")
    assert [(row["flip_left_right"], row["n_steps"], row["n_test"]) for row in found] == [
        ("False", "12", "9"),
        ("True", "12", "9"),
    ]
    assert (tmp_path / "sweep" / "trial_1" / "graph.pb").is_file()


def test_a_wrong_value_ends_it_at_once(run_cli: RunCli, tmp_path: Path) -> None:
    wrong = ["--learning_rate=0.1,fast", "--dropout=0.1,2", "--search_seed=-1"]
    process = run_cli("scripts.sweep", "--image_dir=nowhere", *wrong, f"--sweep_dir={tmp_path / 'sweep'}")
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == (
        "error: --search_seed must be an integer in [0, inf). Got -1.\n"
        "--learning_rate must be a number in (0, inf). Got fast.\n"
        "--dropout must be a number in [0, 1). Got 2.0.\n"
    )
    assert not (tmp_path / "sweep").exists()


def test_a_label_that_there_is_not_is_an_error(run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
    flags = ["--architecture=tiny_resnet_128", f"--bottleneck_dir={tmp_path / 'bottlenecks'}", "--class_weights=cats=2"]
    process = run_cli("scripts.sweep", f"--image_dir={small_photos}", f"--sweep_dir={tmp_path / 'sweep'}", *flags)
    assert process.returncode == 2
    message = "error: --class_weights must name labels: blue stripes, green rings, red dots. Got cats.\n"
    assert process.stderr.endswith(message)
    assert not list((tmp_path / "bottlenecks").glob("*/*.txt")), "it is known before any bottleneck is made"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl_c", "terminate", "kill"])
def test_it_stops_with_all_of_its_processes(how: signal.Signals, small_photos: Path, tmp_path: Path) -> None:
    flags = ["--architecture=tiny_resnet_128", "--how_many_training_steps=100000000", "--random_seed=1,2"]
    command = [sys.executable, "-m", "scripts.sweep", f"--image_dir={small_photos}", *flags]
    places = [f"--bottleneck_dir={tmp_path / 'bottlenecks'}", f"--sweep_dir={tmp_path / 'sweep'}"]
    (tmp_path / "temporary").mkdir()
    environment = {**own_environment(), "TMPDIR": str(tmp_path / "temporary")}
    process = subprocess.Popen([*command, *places], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if re.search(r"75 bottlenecks made", line):
            break
    time.sleep(1)
    children = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert children
    process.send_signal(how)
    rest = process.stderr.read()
    assert process.wait(HANGS) == (130 if how == signal.SIGINT else -how)
    if how != signal.SIGKILL:
        assert not list((tmp_path / "temporary").glob("retrain-*"))
    if how == signal.SIGINT:
        assert rest.splitlines()[-1] == "Stopped. Finished bottlenecks are kept: run the same command again."
    deadline = time.monotonic() + HANGS  # The training itself would take hours.
    while time.monotonic() < deadline and any(os.path.exists(f"/proc/{pid}") for pid in children):
        time.sleep(0.1)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in children)


def test_networks_of_both_rules_are_told_to_be_tested_on_different_images(
    run_cli: RunCli, small_photos: Path, mobilenet_model_dir: Path, tmp_path: Path
) -> None:
    flags = [f"--bottleneck_dir={tmp_path / 'bottlenecks'}", f"--model_dir={mobilenet_model_dir}", "--how_many_training_steps=1"]
    networks = f"--architecture=tiny_resnet_128,{MOBILENET}"
    for split_by, is_told in (("path", True), ("content", False)):
        folder = f"--sweep_dir={tmp_path / split_by}"
        process = run_cli("retrain.sweep", f"--image_dir={small_photos}", *flags, networks, f"--split_by={split_by}", folder)
        assert_succeeded(process)
        assert ("WARNING: The networks are tested on different images: " in process.stderr) == is_told
    assert len({row["n_test"] for row in rows(tmp_path / "content")}) == 1
