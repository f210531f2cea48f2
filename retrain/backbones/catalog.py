"""The architectures by name: the file, the tensors and the input settings of each network."""

import difflib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from retrain.backbones.keras.files import ENDINGS
from retrain.backbones.keras.records import PREFIX as KERAS_PREFIX
from retrain.backbones.keras.records import KerasRecord, find_keras_record, keras_names
from retrain.errors import FlagError
from retrain.graphdef.description import Description, input_fields
from retrain.input_spec import InputSpec

INCEPTION = "inception_v3"
BUNDLED = "tiny_resnet_128"
BUNDLED_FILE = Path(__file__).parent / BUNDLED / f"{BUNDLED}.pb"
MOBILENET_SIZES = ("1.0", "0.75", "0.50", "0.25")
MOBILENET_RESOLUTIONS = ("224", "192", "160", "128")
SAVED_MODEL = "saved_model.pb"  # Of a SavedModel's folder.
PIXELS = re.compile(r"pixels_([1-9][0-9]{0,2})")
LARGEST_SIDE = 512  # A side; the bottleneck is then 262,144 values, a file of 2 MB for each image.
_MODELS = "http://download.tensorflow.org/models/"
# SHA-256 of archives that were checked by hand; other archives are not checked.
KNOWN_DIGESTS: Mapping[str, str] = {
    "mobilenet_v1_0.25_128_frozen.tgz": "30af63cf9039861bc03f86c7b8092fab754d51b27f042830c456ddbfa2b72fce"
}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network that computes bottlenecks.

    Attributes:
        name: as in `--architecture` or `--tfhub_module`; `cache_name` makes it fit for the names of cached bottlenecks.
        input_tensor: takes float32 [N, H, W, 3].
        bottleneck_tensor: the exported head's input, [N, D].
        batch_tensor: the tensor to fetch for a batch; differs from `bottleneck_tensor` if that one is frozen at one image.
        bottleneck_size: D.
        input_spec: the input settings.
        graph_file: the GraphDef's path inside the archive, or of the bundled or local file; else its name in messages.
        archive: the archive's file name; empty if there is none.
        url: the address from which the original downloads the archive.
        class_tensor: the network's own output, probabilities of ImageNet's classes; empty if it has none.
        label_files: the files in the archive that name these classes.
    """

    name: str
    input_tensor: str
    bottleneck_tensor: str
    batch_tensor: str
    bottleneck_size: int
    input_spec: InputSpec
    graph_file: str
    archive: str = ""
    url: str = ""
    class_tensor: str = ""
    label_files: tuple[str, ...] = ()

    def describe(self, labels: tuple[str, ...], output_tensor: str, note: str = "") -> Description:
        """Return the metadata of a classifier whose network is this one."""
        return Description(
            labels=labels,
            input_tensor=self.input_tensor,
            **input_fields(self.input_spec),
            output_tensor=output_tensor,
            architecture=self.name,
            note=note,
        )


def find_architecture(name: str) -> Architecture:
    """Return the architecture of that name, in upper or lower case.

    Raises:
        FlagError: a part of the name is unknown; the message names the part and the allowed values.
    """
    lowered = name.lower()
    if lowered == INCEPTION:
        return _inception_v3()
    if lowered == BUNDLED:
        return _tiny_resnet_128()
    if lowered.startswith("mobilenet_"):
        return _mobilenet(lowered)
    if (pixels := PIXELS.fullmatch(lowered)) and int(pixels[1]) <= LARGEST_SIDE:
        return _pixels(lowered, int(pixels[1]))
    if record := find_keras_record(lowered):
        return keras_architecture(record)
    raise FlagError(
        f"--architecture must be {INCEPTION}, {BUNDLED}, mobilenet_<size>_<resolution>[_quantized], "
        f"pixels_<1 to {LARGEST_SIDE}>, keras_<network> or the path of a frozen graph, of a Keras file or of a SavedModel's "
        f"folder. Got {name}.{_keras_advice(lowered)}"
    )


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


def keras_architecture(record: KerasRecord) -> Architecture:
    """Return the architecture of a network of `keras.applications`, whose graph has its preprocessing."""
    return Architecture(
        name=record.name,
        input_tensor="input:0",
        bottleneck_tensor="bottleneck:0",
        batch_tensor="bottleneck:0",
        bottleneck_size=record.bottleneck_size,
        input_spec=InputSpec(height=record.height, width=record.width, mean=0.0, std=1.0),
        graph_file=record.graph_file,
        archive=record.file_name,
        url=record.address,
        class_tensor="probabilities:0",
    )


def _keras_advice(name: str) -> str:
    """Return the networks of Keras that such a name could mean, as a sentence; empty if it is none of theirs."""
    if not name.startswith(KERAS_PREFIX):
        return ""
    close = difflib.get_close_matches(name, keras_names()) or keras_names()
    return f" It could be: {', '.join(close)}."


def _inception_v3() -> Architecture:
    archive = "inception-2015-12-05.tgz"
    return Architecture(
        name=INCEPTION,
        input_tensor="Mul:0",
        bottleneck_tensor="pool_3/_reshape:0",
        batch_tensor="pool_3:0",
        bottleneck_size=2048,
        input_spec=InputSpec(height=299, width=299, mean=128.0, std=128.0),
        graph_file="classify_image_graph_def.pb",
        archive=archive,
        url=f"{_MODELS}image/imagenet/{archive}",
        class_tensor="softmax:0",
        label_files=("imagenet_2012_challenge_label_map_proto.pbtxt", "imagenet_synset_to_human_label_map.txt"),
    )


def _tiny_resnet_128() -> Architecture:
    return Architecture(
        name=BUNDLED,
        input_tensor="input:0",
        bottleneck_tensor="TinyResnet/bottleneck:0",
        batch_tensor="TinyResnet/bottleneck:0",
        bottleneck_size=512,
        input_spec=InputSpec(height=128, width=128, mean=127.5, std=127.5),
        graph_file=str(BUNDLED_FILE),
    )


def _pixels(name: str, side: int) -> Architecture:
    """Return the architecture without a network: the bottleneck is the image, in grey levels from 0 to 1, row by row."""
    return Architecture(
        name=name,
        input_tensor="input:0",
        bottleneck_tensor="flattened_pixels:0",
        batch_tensor="flattened_pixels:0",
        bottleneck_size=side * side,
        input_spec=InputSpec(height=side, width=side, mean=0.0, std=255.0),
        graph_file=name,
    )


def _mobilenet(name: str) -> Architecture:
    parts = name.split("_")
    _check_mobilenet(name, parts)
    size, resolution = parts[1], int(parts[2])
    folder = f"mobilenet_v1_{size}_{resolution}"
    archive = f"{folder}_frozen.tgz"
    graph_file = "quantized_graph.pb" if len(parts) == 4 else "frozen_graph.pb"
    return Architecture(
        name=name,
        input_tensor="input:0",
        bottleneck_tensor="MobilenetV1/Predictions/Reshape:0",
        batch_tensor="MobilenetV1/Predictions/Reshape:0",
        bottleneck_size=1001,
        input_spec=InputSpec(height=resolution, width=resolution, mean=127.5, std=127.5),
        graph_file=f"{folder}/{graph_file}",
        archive=archive,
        url=f"{_MODELS}{archive}",
        class_tensor="MobilenetV1/Predictions/Reshape_1:0",
        label_files=(f"{folder}/labels.txt",),
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
