"""Helpers for tests of the commands: where a run writes to, what its log says, what its graph holds."""

import dataclasses
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

ROOT = Path(__file__).resolve().parents[2]
# As the reference results were made: the split depends on this very string.
FLOWERS = "../shared/flower_photos"
MOBILENET = "mobilenet_0.25_128"
FINAL_WEIGHTS, FINAL_BIASES = "final_training_ops/weights/final_weights", "final_training_ops/biases/final_biases"
DEAD_URL = "http://127.0.0.1:9/"  # The port of the old discard service, on which nothing listens.
DIRECT = {"no_proxy": "127.0.0.1"}  # The servers of these tests stand on this machine.

_STEP_LINE = re.compile(
    r"(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{6})?: Step (?P<step>\d+): "
    r"(?:Train accuracy = (?P<train>\d+\.\d)%"
    r"|Cross entropy = (?P<entropy>\d+\.\d{6})"
    r"|Validation accuracy = (?P<validation>\d+\.\d)% \(N=(?P<count>\d+)\))$"
)


TINY_RESNET_LINE = (
    "Network tiny_resnet_128: input input:0, 128 × 128 pixels (squash), mean 127.5, standard deviation 127.5; bottleneck "
    "TinyResnet/bottleneck:0, 512 values (from the record of this network).\n"
)


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The paths that a run writes to, all below one folder."""

    folder: Path

    @property
    def graph(self) -> Path:
        return self.folder / "retrained_graph.pb"

    @property
    def labels(self) -> Path:
        return self.folder / "retrained_labels.txt"

    @property
    def split(self) -> Path:
        return self.folder / "retrained_split.csv"

    @property
    def summaries(self) -> Path:
        return self.folder / "summaries"

    @property
    def bottlenecks(self) -> Path:
        return self.folder / "bottlenecks"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint" / "head"

    def settings(self) -> dict[str, Any]:
        """Return the paths by flag; `bottleneck_dir` can be replaced to share a cache."""
        return {
            "output_graph": str(self.graph),
            "output_labels": str(self.labels),
            "summaries_dir": str(self.summaries),
            "bottleneck_dir": str(self.bottlenecks),
            "checkpoint_path": str(self.checkpoint),
        }

    def flags(self) -> list[str]:
        return [f"--{name}={value}" for name, value in self.settings().items()]


@dataclasses.dataclass(frozen=True)
class TrainingRun:
    """A run of the command that has ended, and where it wrote to."""

    process: subprocess.CompletedProcess[str]
    outputs: Outputs

    @property
    def log(self) -> str:
        return self.process.stderr


@dataclasses.dataclass(frozen=True)
class StepLine:
    """One line of the log about a step; `value` as printed, `count` only of a validation."""

    step: int
    measure: str
    value: float
    count: int | None


def step_lines(log: str) -> list[StepLine]:
    """Return the lines about steps, in order; fail if a line about a step has not the original's form."""
    found = []
    for match in _STEP_LINE.finditer(log):
        measure = next(name for name in ("train", "entropy", "validation") if match[name])
        count = int(match["count"]) if match["count"] else None
        found.append(StepLine(int(match["step"]), measure, float(match[measure]), count))
    assert len(found) == log.count(": Step "), "a line about a step has not the original's form"
    return found


def final_test_accuracy(log: str) -> tuple[float, int]:
    """Return the percentage and the number of images in `Final test accuracy = 70.0% (N=60)`."""
    [(percentage, count)] = re.findall(r"(?m)^Final test accuracy = (\d+\.\d)% \(N=(\d+)\)$", log)
    return float(percentage), int(count)


def bottleneck_counts(log: str) -> tuple[int, int]:
    """Return how many were made, and how many read, as the log says."""
    [(made, read)] = re.findall(r"(?m)^(\d+) bottlenecks made, (\d+) read from ", log)
    return int(made), int(read)


def misclassified(log: str) -> list[tuple[str, str]]:
    """Return path and predicted label of each image listed under the heading."""
    below = log.split("=== MISCLASSIFIED TEST IMAGES ===\n")[1]
    return re.findall(r"(?m)^ *(\S.*\.jpe?g)  (\S.*)$", below)


def read_graph(path: Path) -> tf.compat.v1.GraphDef:
    """Return a graph file, parsed by TensorFlow alone."""
    return tf.compat.v1.GraphDef.FromString(path.read_bytes())


def constant(graph: tf.compat.v1.GraphDef, name: str) -> npt.NDArray[np.float32]:
    """Return the value of a Const node."""
    [node] = [node for node in graph.node if node.name == name]
    return np.asarray(tf.make_ndarray(node.attr["value"].tensor))


def read_bottleneck(path: Path) -> npt.NDArray[np.float32]:
    """Return the numbers of a file, joined by commas, as the original parses them."""
    return np.array([float(text) for text in path.read_text(encoding="ascii").split(",")], np.float32)


def entries(cache: Path) -> list[Path]:
    """Return the files of the cached bottlenecks."""
    return sorted(cache.glob("*/*.txt"))


def run_file(*args: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run `python FILE ARGS…` with nothing in the environment that would help it find this project."""
    return subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=cwd,
        env=own_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def own_environment() -> dict[str, str]:
    """Return the environment of a shell in which these tests were not started."""
    hidden = ("TF_CPP_MIN_LOG_LEVEL", "PYTHONPATH")
    return {**{name: value for name, value in os.environ.items() if name not in hidden}, **DIRECT}


def copy_files(source: Path, target: Path) -> None:
    """Copy a folder's content but not its modes: the source may be read-only."""
    for path in source.rglob("*"):
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def assert_succeeded(process: subprocess.CompletedProcess[str]) -> None:
    """Assert that the command succeeded; else show what it printed."""
    assert process.returncode == 0, f"exit code {process.returncode}\n{process.stdout}\n{process.stderr}"
