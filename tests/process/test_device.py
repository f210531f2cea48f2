"""`--device`, in processes of their own: TensorFlow fixes its devices with its first operation."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf

from retrain.errors import FlagError
from retrain.process.device import may_use_gpu, prepare_device
from tests.conftest import ROOT, RunCli

N_GPUS = len(tf.config.list_physical_devices("GPU"))
NO_GPU = (
    "--device must be cpu: TensorFlow finds no GPU that it could use as {0}. Got {0}. "
    "https://www.tensorflow.org/install/gpu says what it needs."
)


def run_with(*devices: str | None) -> list[str]:
    """Prepare the devices one after another, each before an operation of TensorFlow; return the lines that the program printed.

    The last line counts the visible CPUs and GPUs; an error comes before it.
    """
    program = f"""
import tensorflow as tf
from retrain.process.device import prepare_device
from retrain.errors import FlagError
try:
    for device in {devices!r}:
        prepare_device(device)
        tf.constant(1) + 1
except FlagError as error:
    print(error)
print(*(len(tf.config.get_visible_devices(kind)) for kind in ("CPU", "GPU")))
"""
    command = [sys.executable, "-c", program]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    return process.stdout.splitlines()


@pytest.mark.slow
def test_the_cpu_alone_also_in_a_second_run() -> None:
    assert run_with("cpu", "cpu") == ["1 0"]


@pytest.mark.slow
def test_a_cpu_after_tensorflow_has_started_on_its_own_choice() -> None:
    """That changes something only if TensorFlow uses a GPU."""
    lines = run_with(None, "cpu")
    if N_GPUS:
        used = ", ".join(f"gpu:{number}" for number in range(N_GPUS))
        sentence = f"--device must be the same for all runs of one process: TensorFlow already uses {used}. Got cpu."
        assert lines == [sentence, f"1 {N_GPUS}"]
    else:
        assert lines == ["1 0"]


@pytest.mark.slow
@pytest.mark.skipif(not N_GPUS, reason="there is no GPU")
def test_one_gpu() -> None:
    assert run_with("gpu") == run_with("gpu:0") == ["1 1"]
    sentence = "--device must be the same for all runs of one process: TensorFlow already uses cpu. Got gpu."
    assert run_with("cpu", "gpu") == [sentence, "1 0"]


@pytest.mark.skipif(bool(N_GPUS), reason="there is a GPU")
@pytest.mark.parametrize("device", ["gpu", "gpu:0", "gpu:99"])
def test_a_gpu_where_there_is_none(device: str) -> None:
    with pytest.raises(FlagError) as caught:
        prepare_device(device)
    assert str(caught.value) == NO_GPU.format(device)
    assert not may_use_gpu(), "a GPU that was refused is not the one in use"


@pytest.mark.slow
def test_a_gpu_that_does_not_exist(run_cli: RunCli) -> None:
    process = run_cli("retrain", "--image_dir=photos", "--device=gpu:99")
    assert (process.returncode, process.stdout) == (2, "")
    if N_GPUS:
        sentence = f"--device must be cpu or one of gpu:0 to gpu:{N_GPUS - 1}, the GPUs that TensorFlow finds. Got gpu:99."
    else:
        sentence = NO_GPU.format("gpu:99")
    assert process.stderr == f"error: {sentence}\n"


@pytest.mark.parametrize(
    ("devices", "variables", "possible"),
    [
        (["/dev/null"], {}, True),
        (["/dev/null"], {"CUDA_VISIBLE_DEVICES": "-1"}, False),
        (["/dev/null"], {"CUDA_VISIBLE_DEVICES": ""}, False),
        (["/dev/null"], {"CUDA_VISIBLE_DEVICES": "0"}, True),
        (["/dev/no such device"], {}, False),
    ],
)
def test_a_gpu_is_possible_where_a_driver_shows_one(
    devices: list[str], variables: dict[str, str], possible: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrain.process.device._chosen", [])
    monkeypatch.setattr("retrain.process.device.DRIVERS", devices)
    for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert may_use_gpu() is possible


def test_a_chosen_device_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrain.process.device.DRIVERS", ["/dev/null"])
    monkeypatch.setattr("retrain.process.device._chosen", [])
    prepare_device("cpu")
    assert not may_use_gpu()
