"""Choice of the processor that TensorFlow uses."""

import os
import re
from typing import Any

from retrain.errors import FlagError
from retrain.process.tensorflow_loading import load_tensorflow, when_loaded

DEVICE_PATTERN = re.compile(r"cpu|gpu(:[0-9]{1,3})?")
# Where a driver shows that there is a GPU: NVIDIA's and AMD's.
DRIVERS = ("/dev/nvidiactl", "/dev/kfd")
HIDING_VARIABLES = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
_chosen: list[str] = []


def prepare_device(device: str | None) -> None:
    """Hide the GPUs that are not to be used from TensorFlow; None changes nothing.

    It must be called before TensorFlow runs its first operation. GPUs are counted as TensorFlow lists them, so a user's own
    CUDA_VISIBLE_DEVICES counts first. For `cpu`, TensorFlow need not be loaded.

    Raises:
        FlagError: TensorFlow finds no such GPU, or already uses another device.
    """
    if device is None:
        return
    if device == "cpu":
        when_loaded(lambda tf: _use(tf, "cpu"))
    else:
        _use(load_tensorflow(), device)
    _chosen[:] = [device]


def may_use_gpu() -> bool:
    """Return True if TensorFlow may run on a GPU: one was chosen, or nothing was, and there is a driver for one."""
    if _chosen:
        return _chosen != ["cpu"]
    hidden = any(os.environ.get(name, "0") in ("", "-1") for name in HIDING_VARIABLES)
    return not hidden and any(map(os.path.exists, DRIVERS))


def _use(tf: Any, device: str) -> None:
    gpus = tf.config.list_physical_devices("GPU")
    number = int(device.partition(":")[2] or 0)
    if device != "cpu" and not gpus:
        raise FlagError(
            f"--device must be cpu: TensorFlow finds no GPU that it could use as {device}. Got {device}. "
            "https://www.tensorflow.org/install/gpu says what it needs."
        )
    if device != "cpu" and number >= len(gpus):
        raise FlagError(
            f"--device must be cpu or one of gpu:0 to gpu:{len(gpus) - 1}, the GPUs that TensorFlow finds. Got {device}."
        )
    try:
        tf.config.set_visible_devices([] if device == "cpu" else gpus[number], "GPU")
    except RuntimeError as error:
        used = ", ".join(f"gpu:{gpus.index(gpu)}" for gpu in tf.config.get_visible_devices("GPU")) or "cpu"
        raise FlagError(
            f"--device must be the same for all runs of one process: TensorFlow already uses {used}. Got {device}."
        ) from error
