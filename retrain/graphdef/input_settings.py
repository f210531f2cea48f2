"""Input settings of a network: height, width, pixel mean and pixel standard deviation.

The options come first, then the model's own metadata, then what its input reveals. Training and labelling, and every runtime,
resolve them here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from retrain.errors import FlagError, GraphError
from retrain.graphdef.description import Description
from retrain.graphdef.nodes import node_name
from retrain.input_spec import FULL, IGNORE, RGB, SQUASH, InputSpec
from retrain.options.network_input import NetworkInputOptions

# Pixel mean and pixel standard deviation by the name of the input: Inception v3, MobileNet, modules of TensorFlow Hub.
KNOWN_INPUTS = {"Mul": (128.0, 128.0), "input": (127.5, 127.5), "Placeholder": (0.0, 255.0)}
INCEPTION_SIZE = 299  # Its input `Mul` is no placeholder and declares no size.
SETTINGS = {"height": "height", "width": "width", "mean": "pixel mean", "std": "pixel standard deviation"}
# Where a setting can come from.
GIVEN, METADATA, INFERRED = "given", "from the metadata", "inferred"
RECORDED = "from the record of this network"
DECLARED, KNOWN_NAME, DEFAULT = "from the input's shape", "inferred from the input's name", "by default"


@dataclass(frozen=True)
class InferredInput:
    """Input settings that a model's input reveals; None where it does not.

    Attributes:
        name: the input's name, without the number of an output.
        height, width: in pixels.
        mean, std: in grey levels.
        takes_other_sizes: True if height and width are only defaults.
    """

    name: str
    height: int | None = None
    width: int | None = None
    mean: float | None = None
    std: float | None = None
    takes_other_sizes: bool = False


def infer_input(name: str, shape: Sequence[int | None], pooled: tuple[int, int] | None = None) -> InferredInput:
    """Return the input settings that a name and a shape reveal.

    Args:
        name: of the input.
        shape: [N, height, width, 3], None for a free size; any other length reveals nothing.
        pooled: height and width that the network's layers imply; for an input without a shape.
    """
    height, width = shape[1:3] if len(shape) == 4 else pooled or (None, None)
    if name == "Mul":
        height, width = height or INCEPTION_SIZE, width or INCEPTION_SIZE
    mean, std = KNOWN_INPUTS.get(name, (None, None))
    return InferredInput(name, height, width, mean, std)


def resolve_input(
    options: NetworkInputOptions, metadata: Description | None, inferred: InferredInput, exif_orientation: str = IGNORE
) -> InputSpec:
    """Return the input settings: from the options, else from the metadata, else as inferred.

    Args:
        options: what the user states.
        metadata: of the model; it is ignored if it describes another input.
        inferred: what the input reveals.
        exif_orientation: of a model without metadata.

    Raises:
        FlagError: a given size is not the one that the input takes.
        GraphError: the metadata has another size than the input takes, or a setting is not known.
    """
    described = metadata.input_spec if metadata and node_name(metadata.input_tensor) == inferred.name else None
    settings: dict[str, Any] = {}
    for setting, words in SETTINGS.items():
        given, known = getattr(options, f"input_{setting}"), getattr(inferred, setting)
        settings[setting] = given if given is not None else getattr(described, setting) if described else known
        if setting in ("height", "width") and not inferred.takes_other_sizes and known not in (None, settings[setting]):
            if given is not None:
                raise FlagError(
                    f"--input_{setting} must be {known}, the {words} of the input layer {inferred.name}. Got {given}."
                )
            raise GraphError(
                f"The {words} in the model's metadata must be {known}, that of its input layer {inferred.name}. "
                f"It is {settings[setting]}: set --input_{setting}={known}."
            )
    settings["resize"] = options.resize or (described.resize if described else SQUASH)
    settings["decode_scale"] = options.decode_scale or (described.decode_scale if described else FULL)
    known_orientation = described.exif_orientation if described else exif_orientation
    settings["exif_orientation"] = options.exif_orientation or known_orientation
    settings["channel_order"] = options.channel_order or (described.channel_order if described else RGB)
    if missing := [setting for setting, value in settings.items() if value is None]:
        words = " and ".join(SETTINGS[setting] for setting in missing)
        flags = " and ".join(f"--input_{setting}" for setting in missing)
        raise GraphError(f"The {words} of the input layer {inferred.name} cannot be inferred. Set {flags}.")
    return InputSpec(**settings)


def origins_text(origins: Mapping[str, str]) -> str:
    """Return in words where each setting comes from, such as `height, width from the metadata; mean given`."""
    settings: dict[str, list[str]] = {}
    for name, origin in origins.items():
        settings.setdefault(origin, []).append("standard deviation" if name == "std" else name)
    return "; ".join(f"{', '.join(names)} {origin}" for origin, names in settings.items())


def input_origins(options: NetworkInputOptions, metadata: Description | None, inferred: InferredInput) -> dict[str, str]:
    """Return where `resolve_input` takes each setting from: the name of a field of InputSpec → the origin in words."""
    described = metadata is not None and node_name(metadata.input_tensor) == inferred.name
    origins = {}
    for setting in ("height", "width", "mean", "std", "resize"):
        flag = "resize" if setting == "resize" else f"input_{setting}"
        inferred_from = {"resize": DEFAULT, "mean": KNOWN_NAME, "std": KNOWN_NAME}.get(setting, DECLARED)
        given = getattr(options, flag) is not None
        origins[setting] = GIVEN if given else METADATA if described else inferred_from
    return origins
