"""Commands that load no TensorFlow: with a network that was converted before, and only files of other runtimes."""

import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from retrain.engines.store import VARIABLE
from tests.conftest import MOBILENET_ARCHIVE, ROOT
from tests.support.commands import read_bottleneck

if TYPE_CHECKING:
    from tests.support.exported import Exported

PROGRAM = """
import runpy, sys
sys.argv = [{module!r}, *{arguments!r}]
try:
    runpy.run_module({module!r}, run_name="__main__", alter_sys=True)
except SystemExit as end:  # A command ends no process that runs it.
    code = end.code
loaded = sorted(name for name in sys.modules if name.partition(".")[0] in ("tensorflow", "keras", "tensorflow_hub"))
print("loaded:", *loaded[:3], file=sys.stderr, flush=True)
sys.exit(code)
"""
Run = Callable[..., str]


@pytest.fixture
def loaded(tmp_path: Path) -> Run:
    """Return a function that runs a command, checks that it succeeds, and returns what of TensorFlow it has loaded."""

    def run(module: str, *arguments: str | Path, environment: dict[str, str] | None = None) -> str:
        program = PROGRAM.format(module=module, arguments=list(map(str, arguments)))
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        *log, last = done.stderr.splitlines()
        assert done.returncode == 0, done.stderr
        assert last.startswith("loaded:"), log
        return last.removeprefix("loaded:").strip()

    return run


def outputs_in(folder: Path) -> list[str]:
    names = ("bottleneck_dir", "summaries_dir", "output_graph", "output_labels", "checkpoint_path")
    return [f"--{name}={folder / name}" for name in names]


@pytest.mark.slow
class TestTheBundledNetwork:
    """Its conversion is a part of the project."""

    def test_training_labelling_evaluating_and_sweeping(self, small_photos: Path, tmp_path: Path, loaded: Run) -> None:
        training = [f"--image_dir={small_photos}", "--architecture=tiny_resnet_128", "--how_many_training_steps=30"]
        assert loaded("retrain", *training, *outputs_in(tmp_path)) == ""
        graph, photo = tmp_path / "output_graph", next(small_photos.rglob("*.jpg"))
        assert loaded("label_image", f"--graph={graph}", f"--image={photo}") == ""
        assert loaded("label_image", f"--graph={graph}", f"--image={small_photos}") == ""
        assert loaded("scripts.evaluate", graph, f"--image_dir={small_photos}") == ""
        sweep = ["--learning_rate=0.01,0.1", f"--bottleneck_dir={tmp_path}/bottleneck_dir", f"--sweep_dir={tmp_path}/sweep"]
        assert loaded("retrain.sweep", *training, *sweep) == ""
        assert loaded("retrain", *training, *outputs_in(tmp_path), "--resume") == ""
        distorted = ["--flip_left_right", "--random_crop=10", "--train_batch_size=5"]
        assert loaded("retrain", *training, *distorted, *outputs_in(tmp_path)) == ""

    def test_other_heads_and_reports(self, small_photos: Path, tmp_path: Path, loaded: Run) -> None:
        flags = ["--hidden_units=8", "--optimizer=adam", f"--timing_report={tmp_path}/times.json", "--device=cpu"]
        training = [f"--image_dir={small_photos}", "--architecture=tiny_resnet_128", "--how_many_training_steps=30"]
        assert loaded("retrain", *training, *flags, *outputs_in(tmp_path)) == ""
        assert '"gpus": []' in (tmp_path / "times.json").read_text(encoding="utf-8")

    def test_the_engine_can_be_named(self, small_photos: Path, tmp_path: Path, loaded: Run) -> None:
        training = [f"--image_dir={small_photos}", "--architecture=tiny_resnet_128", "--how_many_training_steps=30"]
        assert loaded("retrain", *training, *outputs_in(tmp_path / "a"), "--engine=litert", "--random_seed=1") == ""
        assert loaded("retrain", *training, *outputs_in(tmp_path / "b"), "--engine=tensorflow", "--random_seed=1") != ""
        for path in (tmp_path / "a" / "bottleneck_dir").rglob("*.txt"):
            other = tmp_path / "b" / path.relative_to(tmp_path / "a")
            one, two = read_bottleneck(path), read_bottleneck(other)
            np.testing.assert_allclose(one, two, rtol=0, atol=1e-4 * np.abs(two).max())


@pytest.mark.slow
def test_other_runtimes_files(exported: "Exported", small_photos: Path, loaded: Run) -> None:
    photo = next(small_photos.rglob("*.jpg"))
    for kind in ("tflite", "onnx"):
        assert loaded("label_image", f"--graph={exported.path(kind)}", f"--image={photo}") == ""


@pytest.mark.slow
def test_a_published_network_from_its_second_run_on(
    small_photos: Path, mobilenet_model_dir: Path, tmp_path: Path, loaded: Run
) -> None:
    training = [
        f"--image_dir={small_photos}",
        "--architecture=mobilenet_0.25_128",
        f"--model_dir={mobilenet_model_dir}",
        "--how_many_training_steps=30",
        "--random_seed=3",
    ]
    own = {VARIABLE: str(tmp_path / "conversions")}
    assert loaded("retrain", *training, *outputs_in(tmp_path / "first"), environment=own) != ""
    assert loaded("retrain", *training, *outputs_in(tmp_path / "second"), environment=own) == ""
    for name in ("output_graph", "output_labels"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    photo = next(small_photos.rglob("*.jpg"))
    assert loaded("label_image", f"--graph={tmp_path}/second/output_graph", f"--image={photo}", environment=own) == ""


@pytest.mark.slow
def test_a_local_graph_from_its_second_run_on(small_photos: Path, mobilenet_model_dir: Path, tmp_path: Path, loaded: Run) -> None:
    """The shape of its bottlenecks, which has to be known before the first image, is the conversion's."""
    with tarfile.open(mobilenet_model_dir / MOBILENET_ARCHIVE) as archive:
        file = archive.extractfile("mobilenet_v1_0.25_128/frozen_graph.pb")
        assert file
        (tmp_path / "network.pb").write_bytes(file.read())
    training = [f"--image_dir={small_photos}", f"--architecture={tmp_path}/network.pb", "--how_many_training_steps=30"]
    own = {VARIABLE: str(tmp_path / "conversions")}
    # The pool before the last layer, [N, 1, 1, 256], and the reshape after it, [N, 1001].
    for layer in ("MobilenetV1/Logits/AvgPool_1a/AvgPool", "MobilenetV1/Predictions/Reshape"):
        flags = [*training, "--random_seed=3", f"--bottleneck_layer={layer}"]
        assert loaded("retrain", *flags, *outputs_in(tmp_path / "first"), environment=own) != ""
        assert loaded("retrain", *flags, *outputs_in(tmp_path / "second"), environment=own) == ""
        first, second = (tmp_path / name / "output_graph" for name in ("first", "second"))
        assert first.read_bytes() == second.read_bytes()
