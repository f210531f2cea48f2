"""The trained head as a TensorFlow checkpoint, under the original's variable names."""

import os

import numpy as np
import tensorflow as tf

from retrain.errors import OutputError
from retrain.head import SoftmaxHead

WEIGHTS = "final_training_ops/weights/final_weights"
BIASES = "final_training_ops/biases/final_biases"
STEP = "global_step"


def write_checkpoint(prefix: str, head: SoftmaxHead, step: int) -> None:
    """Writes `<prefix>.index` and `<prefix>.data-00000-of-00001`: float32 [D, C], float32 [C], and the steps done, int64.

    Raises:
        OutputError: the files cannot be written.
    """
    os.makedirs(os.path.dirname(prefix) or ".", exist_ok=True)
    try:
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=[WEIGHTS, BIASES, STEP],
            shape_and_slices=["", "", ""],
            tensors=[head.weights, head.biases, np.int64(step)],
        )
    except tf.errors.OpError as error:
        raise OutputError(f"--checkpoint_path {prefix} cannot be written ({error.message}). Give another place.") from error
