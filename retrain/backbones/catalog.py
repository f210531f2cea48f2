"""The architectures by name: which file holds each network, which tensors to use, and what its input looks like."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from retrain.errors import FlagError
from retrain.input_spec import InputSpec

INCEPTION = "inception_v3"
BUNDLED = "tiny_resnet_128"
BUNDLED_FILE = Path(__file__).parent / BUNDLED / f"{BUNDLED}.pb"
MOBILENET_SIZES = ("1.0", "0.75", "0.50", "0.25")
MOBILENET_RESOLUTIONS = ("224", "192", "160", "128")
PIXELS = re.compile(r"pixels_([1-9][0-9]{0,2})")
MAX_PIXELS = 512  # A side; the bottleneck is then 262,144 values, a file of 2 MB for each image.
_MODELS = "http://download.tensorflow.org/models/"
# SHA-256 of archives that were checked by hand; an archive not listed is used as it is.
KNOWN_DIGESTS: Mapping[str, str] = {
    "mobilenet_v1_0.25_128_frozen.tgz": "30af63cf9039861bc03f86c7b8092fab754d51b27f042830c456ddbfa2b72fce"
}


@dataclass(frozen=True)
class Architecture:
    """A network that gives bottlenecks.

    Attributes:
        name: as in `--architecture` or `--tfhub_module`, and, made safe by `cache_name`, in the names of cached bottlenecks.
        input_tensor: takes float32 [N, H, W, 3], pixels as `(value - input_mean) / input_std`.
        bottleneck_tensor: the exported head's input, [N, D].
        batch_tensor: the tensor to fetch for a batch; differs from `bottleneck_tensor` where that one is frozen at one image.
        bottleneck_size: D.
        input_height, input_width: in pixels.
        input_mean, input_std: in grey levels 0 to 255.
        graph_file: the GraphDef's path inside the archive, or of the bundled or local file; else what stands for it in messages.
        archive: the archive's file name; empty where there is none.
        url: where the original downloads the archive from.
        class_tensor: the network's own output, probabilities of ImageNet's classes; empty where it has none.
        label_files: the files in the archive that name these classes.
    """

    name: str
    input_tensor: str
    bottleneck_tensor: str
    batch_tensor: str
    bottleneck_size: int
    input_height: int
    input_width: int
    input_mean: float
    input_std: float
    graph_file: str
    archive: str = ""
    url: str = ""
    class_tensor: str = ""
    label_files: tuple[str, ...] = ()

    @property
    def input_spec(self) -> InputSpec:
        """The input as the decoder wants to know it."""
        return InputSpec(self.input_height, self.input_width, self.input_mean, self.input_std)


def find_architecture(name: str) -> Architecture:
    """The architecture of that name, in any case.

    Raises:
        FlagError: a part of the name is unknown; the message says which, and what is allowed there.
    """
    lowered = name.lower()
    if lowered == INCEPTION:
        return _inception_v3()
    if lowered == BUNDLED:
        return _tiny_resnet_128()
    if lowered.startswith("mobilenet_"):
        return _mobilenet(lowered)
    if (pixels := PIXELS.fullmatch(lowered)) and int(pixels[1]) <= MAX_PIXELS:
        return _pixels(lowered, int(pixels[1]))
    raise FlagError(
        f"--architecture must be {INCEPTION}, {BUNDLED}, mobilenet_<size>_<resolution>[_quantized], pixels_<1 to {MAX_PIXELS}> "
        f"or the path of a frozen graph. Got {name}."
    )


def is_local_graph(name: str) -> bool:
    """Whether `--architecture` names a file: what ends in `.pb`, or exists and is no architecture's name."""
    if name.lower().endswith(".pb"):
        return True
    try:
        find_architecture(name)
    except FlagError:
        return os.path.isfile(name)
    return False


def all_names() -> list[str]:
    """Every name of a network that `find_architecture` knows; `pixels_<n>` aside."""
    mobilenets = [f"mobilenet_{size}_{resolution}" for size in MOBILENET_SIZES for resolution in MOBILENET_RESOLUTIONS]
    return [INCEPTION, BUNDLED, *mobilenets, *(f"{name}_quantized" for name in mobilenets)]


def _inception_v3() -> Architecture:
    archive = "inception-2015-12-05.tgz"
    return Architecture(
        INCEPTION,
        "Mul:0",
        "pool_3/_reshape:0",
        "pool_3:0",
        2048,
        299,
        299,
        128.0,
        128.0,
        "classify_image_graph_def.pb",
        archive,
        f"{_MODELS}image/imagenet/{archive}",
        "softmax:0",
        ("imagenet_2012_challenge_label_map_proto.pbtxt", "imagenet_synset_to_human_label_map.txt"),
    )


def _tiny_resnet_128() -> Architecture:
    bottleneck = "TinyResnet/bottleneck:0"
    return Architecture(BUNDLED, "input:0", bottleneck, bottleneck, 512, 128, 128, 127.5, 127.5, str(BUNDLED_FILE))


def _pixels(name: str, side: int) -> Architecture:
    """No network at all: the bottleneck is the image, in grey levels from 0 to 1, row by row."""
    bottleneck = "flattened_pixels:0"
    return Architecture(name, "input:0", bottleneck, bottleneck, side * side, side, side, 0.0, 255.0, name)


def _mobilenet(name: str) -> Architecture:
    parts = name.split("_")
    _check_mobilenet(name, parts)
    size, resolution = parts[1:3]
    folder = f"mobilenet_v1_{size}_{resolution}"
    archive = f"{folder}_frozen.tgz"
    graph_file = "quantized_graph.pb" if len(parts) == 4 else "frozen_graph.pb"
    bottleneck, pixels = "MobilenetV1/Predictions/Reshape:0", int(resolution)
    return Architecture(
        name,
        "input:0",
        bottleneck,
        bottleneck,
        1001,
        pixels,
        pixels,
        127.5,
        127.5,
        f"{folder}/{graph_file}",
        archive,
        f"{_MODELS}{archive}",
        "MobilenetV1/Predictions/Reshape_1:0",
        (f"{folder}/labels.txt",),
    )


def _check_mobilenet(name: str, parts: list[str]) -> None:
    if len(parts) not in (3, 4):
        raise FlagError(f"--architecture must be mobilenet_<size>_<resolution>[_quantized]. Got {name}.")
    allowed: dict[str, tuple[str, tuple[str, ...]]] = {
        "size": (parts[1], MOBILENET_SIZES),
        "resolution": (parts[2], MOBILENET_RESOLUTIONS),
    }
    if len(parts) == 4:
        allowed["ending"] = (parts[3], ("quantized",))
    for what, (part, choices) in allowed.items():
        if part not in choices:
            raise FlagError(f"--architecture {name}: the {what} must be one of {', '.join(choices)}. Got {part or 'nothing'}.")
