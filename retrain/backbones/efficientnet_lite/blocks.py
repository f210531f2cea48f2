"""The blocks of EfficientNet-Lite: those of EfficientNet-B0, widened and repeated.

Sources: Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", 2019, table 1, and the published
program of EfficientNet-Lite (tensorflow/tpu, models/official/efficientnet/lite), which scales neither the stem, nor the head, nor
the number of blocks in the first and in the last stage.
"""

import math
from typing import NamedTuple

from retrain.backbones.efficientnet_lite.variants import Variant

STEM_FILTERS = 32
FILTER_STEP = 8  # Numbers of filters are multiples of it.


class Stage(NamedTuple):
    """Equal blocks in a row; the stride is that of the first one."""

    kernel: int
    repeats: int
    filters: int
    expansion: int
    stride: int


class Block(NamedTuple):
    """An inverted residual: 1×1 convolution to `inputs * expansion` filters (none for 1), depthwise, 1×1 to `outputs`."""

    kernel: int
    stride: int
    expansion: int
    inputs: int
    outputs: int

    @property
    def is_residual(self) -> bool:
        """True if the input is added to the output."""
        return self.stride == 1 and self.inputs == self.outputs


STAGES = (
    Stage(3, 1, 16, 1, 1),
    Stage(3, 2, 24, 6, 2),
    Stage(5, 2, 40, 6, 2),
    Stage(3, 3, 80, 6, 2),
    Stage(5, 3, 112, 6, 1),
    Stage(5, 4, 192, 6, 2),
    Stage(3, 1, 320, 6, 1),
)


def blocks(variant: Variant) -> list[Block]:
    """Return the blocks between stem and head, in order."""
    found = []
    inputs = STEM_FILTERS
    for stage in STAGES:
        scaled = stage not in (STAGES[0], STAGES[-1])
        outputs = scaled_filters(stage.filters, variant.width)
        for number in range(math.ceil(stage.repeats * variant.depth) if scaled else stage.repeats):
            found.append(Block(stage.kernel, 1 if number else stage.stride, stage.expansion, inputs, outputs))
            inputs = outputs
    return found


def scaled_filters(filters: int, width: float) -> int:
    """Return the number of filters times `width`, as a multiple of FILTER_STEP that is not below 90% of the product."""
    product = filters * width
    rounded = max(FILTER_STEP, int(product + FILTER_STEP / 2) // FILTER_STEP * FILTER_STEP)
    return rounded if rounded >= 0.9 * product else rounded + FILTER_STEP
