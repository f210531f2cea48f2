"""What a classifier of any runtime is to those who run it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from retrain.arrays import BatchFunction, FloatArray
from retrain.graphdef.description import Description


@dataclass(frozen=True)
class RuntimeModel:
    """A file, opened.

    Attributes:
        stated: what the file says about itself; None where another tool wrote it.
        inputs: the shape of each input by name, None where a size is free.
        outputs: names of the outputs.
        function: of the names of an input and an output gives the function float32 [B, H, W, 3] → float32 [B, C].
    """

    stated: Description | None
    inputs: Mapping[str, tuple[int | None, ...]]
    outputs: tuple[str, ...]
    function: Callable[[str, str], BatchFunction]


def one_by_one(function: BatchFunction) -> BatchFunction:
    """For a network that takes one image: float32 [1, H, W, 3] → [1, C] becomes [B, H, W, 3] → [B, C]."""

    def run(images: FloatArray) -> FloatArray:
        return np.concatenate([function(image[None]) for image in images])

    return run
