"""Programs that run in TensorFlow 1.15, in an environment of its own."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from retrain.arrays import FloatArray
from tests.conftest import ROOT
from tests.support.commands import own_environment

PROGRAM = ROOT / "tests" / "integration" / "tensorflow_1_program.py"
INTERPRETER_VARIABLE = "RETRAIN_TF115_PYTHON"


def interpreter() -> str:
    """Return the interpreter that has TensorFlow 1.15; skip the test if there is none."""
    found = os.environ.get(INTERPRETER_VARIABLE)
    if not found:
        pytest.skip(f"set {INTERPRETER_VARIABLE} to the Python of an environment with tensorflow==1.15.5 to run this")
    return found


def run_graph(python: str, graph: Path, feed: str, value: Path, folder: Path) -> FloatArray:
    """Return the graph's `final_result`, float32 [N, C], in TensorFlow 1.15.

    Args:
        python: the interpreter.
        graph: its file.
        feed: name of the input.
        value: an array in a file (.npy), or an image file whose bytes are fed.
        folder: for the output.
    """
    output = folder / "scores.npy"
    run_program(python, PROGRAM, graph, feed, value, "final_result", output)
    scores: FloatArray = np.load(output)
    return scores


def run_program(python: str, *arguments: Path | str) -> None:
    """Run a program in TensorFlow 1.15; fail if it does."""
    environment = {**own_environment(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    command = [python, *map(str, arguments)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert process.returncode == 0, process.stderr
