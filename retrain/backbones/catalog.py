"""The networks by name."""

import os
import re

from retrain.backbones import published
from retrain.backbones.architecture import Architecture
from retrain.backbones.efficientnet_lite.record import record
from retrain.backbones.efficientnet_lite.variants import VARIANTS
from retrain.backbones.keras.files import ENDINGS
from retrain.backbones.keras.records import PREFIX as KERAS_PREFIX
from retrain.backbones.keras.records import find_keras_record, keras_architecture, keras_names
from retrain.backbones.published import BUNDLED, INCEPTION
from retrain.errors import FlagError
from retrain.graphdef.file_kind import SAVED_MODEL
from retrain.options.nearest import did_you_mean

MOBILENET = "mobilenet_"
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
    if lowered.startswith(MOBILENET):
        if lowered.count("_") not in (2, 3):
            meant = did_you_mean(lowered, _names())
            raise FlagError(f"--architecture must be {MOBILENET}<size>_<resolution>[_quantized]. Got {name}.{meant}")
        return published.mobilenet(lowered)
    if (pixels := PIXELS.fullmatch(lowered)) and int(pixels[1]) <= LARGEST_SIDE:
        return published.pixels(lowered, int(pixels[1]))
    if keras_record := find_keras_record(lowered):
        return keras_architecture(keras_record)
    raise FlagError(
        f"--architecture must be {INCEPTION}, {', '.join(VARIANTS)}, {BUNDLED}, mobilenet_<size>_<resolution>[_quantized], "
        f"pixels_<1 to {LARGEST_SIDE}>, {KERAS_PREFIX}<network> or the path of a frozen graph, of a Keras file or of a "
        f"SavedModel's folder. Got {name}.{did_you_mean(name, _names())} --list_architectures lists them all."
    )


def is_of_the_original(name: str) -> bool:
    """Return True for the names of the networks that the original knows: Inception v3 and the MobileNets."""
    lowered = name.lower()
    return lowered == INCEPTION or (lowered.startswith(MOBILENET) and lowered in published.mobilenet_names())


def is_local_graph(name: str) -> bool:
    """Return True if `--architecture` names a file or a SavedModel's folder.

    It ends in `.pb` or as a Keras file, or exists and is no architecture's name.
    """
    if name.lower().endswith((".pb", *ENDINGS)):
        return True
    try:
        find_architecture(name)
    except FlagError:
        return os.path.isfile(name) or os.path.isfile(os.path.join(name, SAVED_MODEL))
    return False


def architecture_names() -> list[str]:
    """Return the names of all networks, one for each family of pixels."""
    return [*VARIANTS, INCEPTION, *published.mobilenet_names(), BUNDLED, *keras_names(), "pixels_28"]


def _names() -> list[str]:
    return [each for each in architecture_names() if not PIXELS.fullmatch(each)]
