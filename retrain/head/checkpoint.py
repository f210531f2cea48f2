"""Checkpoints of the trained head in TensorFlow's format, under the original's variable names, and the state to resume from."""

import contextlib
import os
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.arrays import FloatArray
from retrain.errors import CheckpointError, OutputError, reason_of
from retrain.files import remove_orphans, write_atomically
from retrain.head.tensor_bundle import bundle_bytes, read_bundle

WEIGHTS = "final_training_ops/weights/final_weights"
BIASES = "final_training_ops/biases/final_biases"
HIDDEN = "final_training_ops/hidden_"
STEP = "global_step"
# Not in the original's checkpoints. With the seed a resumed run repeats the draws; the identity identifies the training.
SEED, IDENTITY = "retrain/random_seed", "retrain/identity"
STATE = "retrain/state/"  # Prefix of the names of the optimizer's state.
DATA, INDEX = ".data-00000-of-00001", ".index"
NEW = "-new"  # Suffix of the prefix of a checkpoint that is not complete yet.


@dataclass(frozen=True)
class Checkpoint:
    """State of a training.

    Attributes:
        variables: weights, float32 [inputs, outputs], and biases, float32 [outputs], of each of the head's layers in turn.
        step: number of steps done.
        random_seed: of the whole run.
        identity: distinguishes this training from one with other labels or another network, as JSON.
        state: other arrays that the next steps depend on, by name.
    """

    variables: list[FloatArray]
    step: int
    random_seed: int
    identity: str
    state: dict[str, npt.NDArray[Any]] = field(default_factory=dict)


def variable_names(count: int) -> list[str]:
    """Return the names of `count` variables, two per layer: the original's for the last layer, numbered ones for the others."""
    hidden = [f"{HIDDEN}{layer}/{kind}" for layer in range(1, count // 2) for kind in ("weights", "biases")]
    return [*hidden, WEIGHTS, BIASES]


def write_checkpoint(prefix: str, checkpoint: Checkpoint) -> None:
    """Write `<prefix>.index` and `<prefix>.data-00000-of-00001`, each atomically, over those of an earlier checkpoint.

    Raises:
        OutputError: the files cannot be written.
    """
    folder, name = os.path.split(prefix)
    try:
        os.makedirs(folder or ".", exist_ok=True)
        # Earlier versions wrote by TensorFlow, to files with random names first.
        remove_orphans(folder or ".", re.compile(re.escape(name + NEW) + r"\.(data|index).*\.tempstate\d+"))
        tensors: dict[str, Any] = {
            **dict(zip(variable_names(len(checkpoint.variables)), checkpoint.variables, strict=True)),
            STEP: np.int64(checkpoint.step),
            SEED: np.int64(checkpoint.random_seed),
            IDENTITY: checkpoint.identity,
            **{STATE + name: values for name, values in checkpoint.state.items()},
        }
        index, data = bundle_bytes(tensors)
        for ending, content in ((DATA, data), (INDEX, index)):
            write_atomically(prefix + NEW + ending, content)
        os.replace(prefix + NEW + DATA, prefix + DATA)
        os.replace(prefix + NEW + INDEX, prefix + INDEX)
    except OSError as error:
        raise OutputError(
            f"--checkpoint_path {prefix} cannot be written ({reason_of(error)}). Make room, or give another place."
        ) from error


def read_checkpoint(prefix: str) -> Checkpoint | None:
    """Return the checkpoint of an earlier run; None if there is none.

    Raises:
        CheckpointError: it is damaged, or has no state to resume from, like the original's checkpoints.
    """
    if not os.path.exists(prefix + NEW + DATA):
        with contextlib.suppress(OSError):  # Its run was killed between the two renames: do the second one.
            os.replace(prefix + NEW + INDEX, prefix + INDEX)
    if not os.path.exists(prefix + INDEX):
        return None
    try:
        with open(prefix + INDEX, "rb") as index, open(prefix + DATA, "rb") as data:
            tensors: dict[str, Any] = read_bundle(index.read(), data.read())
        n_variables = 2 + sum(name.startswith(HIDDEN) for name in tensors)
        variables = [np.array(tensors[name], np.float32) for name in variable_names(n_variables)]
        step, seed = (int(tensors[name]) for name in (STEP, SEED))
        state = {name.removeprefix(STATE): values for name, values in tensors.items() if name.startswith(STATE)}
        return Checkpoint(variables, step, seed, str(tensors[IDENTITY]), state)
    except (OSError, LookupError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"The checkpoint {prefix} (--checkpoint_path) is damaged, or was not written by this tool: it cannot be resumed. "
            "Leave --resume out to train from the start."
        ) from error
