"""Other heads and trainings, by the command."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import RunCli
from tests.support.commands import (
    TINY_RESNET_LINE,
    Outputs,
    TrainingRun,
    assert_succeeded,
    constant,
    final_test_accuracy,
    read_bottleneck,
    read_graph,
    step_lines,
)

pytestmark = pytest.mark.slow

LABELS = ["blue stripes", "green rings", "red dots"]
TINY = ["--architecture=tiny_resnet_128"]


class TestHiddenLayers:
    def test_label_image_gives_what_the_layers_give(self, hidden_run: TrainingRun, small_photos: Path, run_cli: RunCli) -> None:
        """Computed here from the cached bottleneck and the constants of the graph; dropout has left no trace."""
        photo = sorted((small_photos / "red dots").iterdir())[3]
        bottleneck = f"{photo.name}_tiny_resnet_128.txt"
        values = read_bottleneck(hidden_run.outputs.bottlenecks / "red dots" / bottleneck).astype(np.float64)
        graph = read_graph(hidden_run.outputs.graph)
        for layer, (n_inputs, n_outputs) in enumerate([(512, 24), (24, 16)], start=1):
            weights, biases = (constant(graph, f"final_training_ops/hidden_{layer}/{kind}") for kind in ("weights", "biases"))
            assert weights.shape == (n_inputs, n_outputs)
            values = np.maximum(values @ weights + biases, 0)
        final = "final_training_ops/{0}/final_{0}"
        powers = np.exp(values @ constant(graph, final.format("weights")) + constant(graph, final.format("biases")))
        process = run_cli("label_image", "--graph", hidden_run.outputs.graph, "--image", photo, "--output_format=json")
        assert_succeeded(process)
        [answer] = json.loads(process.stdout)
        scores = {each["label"]: each["score"] for each in answer["predictions"]}
        assert [scores[label] for label in LABELS] == pytest.approx((powers / powers.sum()).tolist(), abs=1e-4)

    def test_it_learns(self, hidden_run: TrainingRun) -> None:
        accuracy, count = final_test_accuracy(hidden_run.log)
        assert (accuracy, count) == (100.0, 9)
        losses = [line.value for line in step_lines(hidden_run.log) if line.measure == "entropy"]
        assert losses[-1] < 0.2 * losses[0]

    def test_its_times_are_logged_and_written(self, hidden_run: TrainingRun) -> None:
        report = json.loads((hidden_run.outputs.folder / "times.json").read_text(encoding="utf-8"))
        phases = report["phases"]
        assert {name: (phase["count"], phase["unit"]) for name, phase in phases.items()} == {
            "bottlenecks": (75, "images"),
            "training": (60, "steps"),
            # At steps 0, 10, …, 50 and 59, a batch of training and the validation set; the test.
            "evaluation": (7 * (100 + 9) + 9, "images"),
            "export": (0, ""),
        }
        logged = dict(re.findall(r"(\w+) (\d+\.\d{3}) s", hidden_run.log.splitlines()[-1]))
        assert logged == {name: f"{phase['seconds']:.3f}" for name, phase in phases.items()}
        assert report["run"]["bottlenecks_made"] == 75


@pytest.mark.parametrize(
    "flags",
    [
        ["--optimizer=adam", "--hidden_units=8", "--dropout=0.3"],
        ["--optimizer=momentum", "--early_stopping=3", "--validation_batch_size=5", "--learning_rate=0.3"],
    ],
    ids=["adam", "momentum"],
)
def test_half_a_training_and_the_rest_are_a_whole_one(
    flags: list[str], small_photos: Path, hidden_run: TrainingRun, run_cli: RunCli, tmp_path: Path
) -> None:
    whole, parts = Outputs(tmp_path / "whole"), Outputs(tmp_path / "parts")
    cache = f"--bottleneck_dir={hidden_run.outputs.bottlenecks}"
    for outputs, n_steps in ((whole, 60), (parts, 31), (parts, 60)):
        training = [f"--how_many_training_steps={n_steps}", "--random_seed=9", "--resume", *flags]
        process = run_cli("retrain", f"--image_dir={small_photos}", *TINY, *training, *outputs.flags(), cache)
        assert_succeeded(process)
    assert whole.graph.read_bytes() == parts.graph.read_bytes()


def test_another_optimizer_cannot_go_on(small_photos: Path, hidden_run: TrainingRun, run_cli: RunCli) -> None:
    outputs = hidden_run.outputs
    before = outputs.graph.read_bytes()
    flags = ["--optimizer=momentum", "--hidden_units=24", "--resume"]
    process = run_cli("retrain", f"--image_dir={small_photos}", *TINY, *flags, *outputs.flags())
    assert process.returncode == 2
    assert process.stderr == TINY_RESNET_LINE + (
        f"error: The checkpoint {outputs.checkpoint} (--checkpoint_path) belongs to another training: hidden_units, optimizer "
        "differ. Name the checkpoint of this one, or leave --resume out to train from the start.\n"
    )
    assert outputs.graph.read_bytes() == before


def test_a_weight_of_no_class_is_an_error_before_any_bottleneck_is_made(
    small_photos: Path, run_cli: RunCli, tmp_path: Path
) -> None:
    outputs = Outputs(tmp_path)
    process = run_cli("retrain", f"--image_dir={small_photos}", *TINY, "--class_weights=cats=2", *outputs.flags())
    assert process.returncode == 2
    message = "error: --class_weights must name labels: blue stripes, green rings, red dots. Got cats.\n"
    assert process.stderr == TINY_RESNET_LINE + message
    assert not list(outputs.bottlenecks.glob("*/*.txt"))


def test_early_stopping_keeps_the_best_head(small_photos: Path, hidden_run: TrainingRun, run_cli: RunCli, tmp_path: Path) -> None:
    """With such a rate the cross entropy soon rises and falls at random: training has to end long before its steps do."""
    outputs, cache = Outputs(tmp_path), f"--bottleneck_dir={hidden_run.outputs.bottlenecks}"
    flags = ["--early_stopping=4", "--learning_rate=30", "--how_many_training_steps=5000", "--validation_batch_size=-1"]
    process = run_cli("retrain", f"--image_dir={small_photos}", *TINY, *flags, "--random_seed=1", *outputs.flags(), cache)
    assert_succeeded(process)
    [(done, wanted)] = re.findall(
        r"Training ended after (\d+) of (\d+) steps: the validation cross entropy or the loss no longer fell\.", process.stderr
    )
    assert int(done) % 10 == 1 and 41 <= int(done) < 5000 and wanted == "5000"
    steps = sorted({line.step for line in step_lines(process.stderr)})
    assert steps[-1] == int(done) - 1
    best = outputs.graph.read_bytes()
    shorter = Outputs(tmp_path / "shorter")
    process = run_cli(
        "retrain",
        f"--image_dir={small_photos}",
        *TINY,
        *flags[1:2],
        f"--how_many_training_steps={steps[-5] + 1}",
        "--validation_batch_size=-1",
        "--random_seed=1",
        *shorter.flags(),
        cache,
    )
    assert_succeeded(process)
    assert shorter.graph.read_bytes() == best


def test_lbfgs_needs_scipy_or_says_so(small_photos: Path, hidden_run: TrainingRun, run_cli: RunCli, tmp_path: Path) -> None:
    """A folder that stands before the installed packages hides SciPy, as where the extra was never installed."""
    (tmp_path / "hiding").mkdir()
    (tmp_path / "hiding" / "scipy.py").write_text("raise ImportError\n", encoding="utf-8")
    outputs, cache = Outputs(tmp_path / "run"), f"--bottleneck_dir={hidden_run.outputs.bottlenecks}"
    command = ["retrain", f"--image_dir={small_photos}", *TINY, "--optimizer=lbfgs", "--how_many_training_steps=50"]
    process = run_cli(*command, *outputs.flags(), cache, cwd=tmp_path / "hiding")
    assert process.returncode == 2
    assert process.stderr == "error: --optimizer lbfgs needs SciPy. Install it with this project: pip install '.[lbfgs]'\n"
    assert not outputs.folder.exists(), "before anything is made"
    pytest.importorskip("scipy", reason="SciPy is not installed")
    process = run_cli(*command, "--l2=0.001", *outputs.flags(), cache)
    assert_succeeded(process)
    assert final_test_accuracy(process.stderr) == (100.0, 9)
