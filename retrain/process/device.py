"""Which processor TensorFlow uses. Decided before TensorFlow looks for GPUs, since all of its parts then agree on it."""

import os
import re

from retrain.errors import FlagError

DEVICE_PATTERN = re.compile(r"cpu|gpu(:[0-9]{1,3})?")
VISIBLE = "CUDA_VISIBLE_DEVICES"  # Read by the CUDA driver: the GPUs to show to a program, by number; -1 ends the list.


_settled: list[str] = []


def prepare_device(device: str | None) -> None:
    """Hides the GPUs that are not to be used; None leaves all as it is. To be called before TensorFlow runs its first operation.

    Raises:
        FlagError: an earlier call in this process has settled on another one.
    """
    if device is None or _settled == [device]:
        return
    if _settled:
        raise FlagError(f"--device must be the same for all runs of one process, here {_settled[0]}. Got {device}.")
    _settled.append(device)
    number = -1 if device == "cpu" else int(device.partition(":")[2] or 0)
    shown = [each for each in os.environ.get(VISIBLE, "").split(",") if each]
    if number >= 0 and shown:  # The user's own choice is what is counted in.
        os.environ[VISIBLE] = shown[number] if number < len(shown) else "-1"
    else:
        os.environ[VISIBLE] = str(number)


def check_device(device: str | None) -> None:
    """Raises FlagError where TensorFlow does not find the GPU that was asked for."""
    if device is None or device == "cpu":
        return
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        raise FlagError(
            f"--device must be cpu: TensorFlow finds no GPU that it could use as {device}. Got {device}. "
            "https://www.tensorflow.org/install/gpu says what it needs."
        )
