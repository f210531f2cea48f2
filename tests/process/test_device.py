"""`--device`, in processes of their own: the choice is made once, before TensorFlow looks for GPUs."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT, RunCli


def visible(*devices: str | None, before: str | None = None) -> str:
    """What a program may see after these choices, and the error of the last one if there is one."""
    program = f"""
import os
from retrain.process.device import prepare_device
from retrain.errors import FlagError
try:
    for device in {devices!r}:
        prepare_device(device)
except FlagError as error:
    print(error)
print(os.environ.get("CUDA_VISIBLE_DEVICES"))
"""
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    if before is not None:
        environment["CUDA_VISIBLE_DEVICES"] = before
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize(
    ("device", "before", "after"),
    [
        (None, None, "None"),
        (None, "3", "3"),
        ("cpu", None, "-1"),
        ("cpu", "3", "-1"),
        ("gpu", None, "0"),
        ("gpu:1", None, "1"),
        ("gpu:1", "5,7", "7"),
        ("gpu:2", "5,7", "-1"),
        ("gpu", "GPU-8932f937", "GPU-8932f937"),
    ],
)
def test_what_is_shown_to_tensorflow(device: str | None, before: str | None, after: str) -> None:
    assert visible(device, before=before) == after


def test_the_same_choice_twice_is_one_and_another_is_an_error() -> None:
    assert visible("gpu:1", "gpu:1", before="5,7") == "7"
    sentence = "--device must be the same for all runs of one process, here cpu. Got gpu."
    assert visible("cpu", "gpu") == f"{sentence}\n-1"


def test_a_gpu_that_there_is_not(run_cli: RunCli) -> None:
    process = run_cli("retrain", "--image_dir=photos", "--device=gpu:99")
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == (
        "error: --device must be cpu: TensorFlow finds no GPU that it could use as gpu:99. Got gpu:99. "
        "https://www.tensorflow.org/install/gpu says what it needs.\n"
    )
