"""The common interface of the runtimes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from retrain.arrays import BatchFunction, FloatArray
from retrain.graphdef.description import Description


@dataclass(frozen=True)
class RuntimeModel:
    """Classifier of another runtime, opened.

    Attributes:
        metadata: that in the file; None if another tool wrote it.
        inputs: the shape of each input by name, None for a free size.
        outputs: names of the outputs.
        function: takes the names of an input and an output; returns the function float32 [B, H, W, 3] → float32 [B, C].
        input_levels: pixel mean and pixel standard deviation of each input for which the file tells them, by name.
        labels: one for each class, if another tool's metadata in the file has them.
    """

    metadata: Description | None
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    function: Callable[[str, str], BatchFunction]
    input_levels: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None


def one_by_one(function: BatchFunction) -> BatchFunction:
    """Return a function of batches, float32 [B, H, W, 3] → [B, C], of a function of one image, float32 [1, H, W, 3] → [1, C]."""

    def run(images: FloatArray) -> FloatArray:
        return np.concatenate([function(image[None]) for image in images])

    return run
