"""The networks by name."""

import os
import re

from retrain.backbones import published
from retrain.backbones.architecture import Architecture
from retrain.backbones.efficientnet_lite.record import record
from retrain.backbones.efficientnet_lite.variants import VARIANTS
from retrain.backbones.published import BUNDLED, INCEPTION
from retrain.errors import FlagError

PIXELS = re.compile(r"pixels_([1-9][0-9]{0,2})")
LARGEST_SIDE = 512  # A side; the bottleneck is then 262,144 values, a file of 2 MB for each image.


def find_architecture(name: str) -> Architecture:
    """Return the architecture of that name, in upper or lower case.

    Raises:
        FlagError: a part of the name is unknown; the message names the part and the allowed values.
    """
    lowered = name.lower()
    if lowered == INCEPTION:
        return published.inception_v3()
    if variant := VARIANTS.get(lowered):
        return record(variant)
    if lowered == BUNDLED:
        return published.tiny_resnet_128()
    if lowered.startswith("mobilenet_"):
        return published.mobilenet(lowered)
    if (pixels := PIXELS.fullmatch(lowered)) and int(pixels[1]) <= LARGEST_SIDE:
        return published.pixels(lowered, int(pixels[1]))
    raise FlagError(
        f"--architecture must be {INCEPTION}, {', '.join(VARIANTS)}, {BUNDLED}, mobilenet_<size>_<resolution>[_quantized], "
        f"pixels_<1 to {LARGEST_SIDE}> or the path of a frozen graph. Got {name}. --list_architectures lists them all."
    )


def is_local_graph(name: str) -> bool:
    """Return True if `--architecture` names a file: it ends in `.pb`, or exists and is no architecture's name."""
    if name.lower().endswith(".pb"):
        return True
    try:
        find_architecture(name)
    except FlagError:
        return os.path.isfile(name)
    return False


def architecture_names() -> list[str]:
    """Return the names of all networks, one for each family of pixels."""
    return [*VARIANTS, INCEPTION, *published.mobilenet_names(), BUNDLED, "pixels_28"]
