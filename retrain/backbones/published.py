"""The published networks, the bundled one, and plain pixels: their records."""

from collections.abc import Mapping
from pathlib import Path

from retrain.backbones.architecture import Architecture, Provenance
from retrain.errors import FlagError
from retrain.input_spec import APPLY, InputSpec

INCEPTION = "inception_v3"
BUNDLED = "tiny_resnet_128"
BUNDLED_FILE = Path(__file__).parent / BUNDLED / f"{BUNDLED}.pb"
# The second is the original's; the first serves the same files by https.
MODELS = ("https://storage.googleapis.com/download.tensorflow.org/models/", "http://download.tensorflow.org/models/")
# SHA-256 of archives that were checked by hand; other archives are not checked.
KNOWN_DIGESTS: Mapping[str, str] = {
    "mobilenet_v1_0.25_128_frozen.tgz": "30af63cf9039861bc03f86c7b8092fab754d51b27f042830c456ddbfa2b72fce"
}
# Parameters in millions, by the size of a MobileNet, and accuracy by size and resolution: top-1 and top-5 in percent. From the
# page below, as it was when these archives were published (June 2017).
MOBILENET_PAGE = "github.com/tensorflow/models, slim/nets/mobilenet_v1.md, 2017"
MOBILENET_PARAMETERS = {"1.0": 4.24, "0.75": 2.59, "0.50": 1.34, "0.25": 0.47}
MOBILENET_RESOLUTIONS = ("224", "192", "160", "128")
MOBILENET_ACCURACIES = {
    "1.0": ((70.7, 89.5), (69.3, 88.9), (67.2, 87.5), (64.1, 85.3)),
    "0.75": ((68.4, 88.2), (67.4, 87.3), (65.2, 86.1), (61.8, 83.6)),
    "0.50": ((64.0, 85.4), (62.1, 84.0), (59.9, 82.5), (56.2, 79.6)),
    "0.25": ((50.6, 75.0), (49.0, 73.6), (46.0, 70.7), (41.3, 66.2)),
}
APACHE = "Apache 2.0"


def inception_v3() -> Architecture:
    """Return the record of Inception v3, the original's default."""
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
        urls=tuple(f"{base}image/imagenet/{archive}" for base in MODELS),
        class_tensor="softmax:0",
        label_files=("imagenet_2012_challenge_label_map_proto.pbtxt", "imagenet_synset_to_human_label_map.txt"),
        provenance=Provenance(
            source="Google, TensorFlow's model archives, December 2015",
            licence=APACHE,
            top_1=78.8,
            top_5=94.4,
            accuracy_source="Szegedy et al. 2015, arXiv:1512.00567 (one crop)",
        ),
    )


def tiny_resnet_128() -> Architecture:
    """Return the record of the network that is part of this project."""
    return Architecture(
        name=BUNDLED,
        input_tensor="input:0",
        bottleneck_tensor="TinyResnet/bottleneck:0",
        batch_tensor="TinyResnet/bottleneck:0",
        bottleneck_size=512,
        input_spec=InputSpec(height=128, width=128, mean=127.5, std=127.5, exif_orientation=APPLY),
        graph_file=str(BUNDLED_FILE),
        provenance=Provenance(source="made for this project", licence=APACHE, parameters=1.19),
    )


def pixels(name: str, side: int) -> Architecture:
    """Return the record without a network: the bottleneck is the image, in grey levels from 0 to 1, row by row."""
    return Architecture(
        name=name,
        input_tensor="input:0",
        bottleneck_tensor="flattened_pixels:0",
        batch_tensor="flattened_pixels:0",
        bottleneck_size=side * side,
        input_spec=InputSpec(height=side, width=side, mean=0.0, std=255.0, exif_orientation=APPLY),
        graph_file=name,
        provenance=Provenance(source="no network: the grey levels themselves", parameters=0),
    )


def mobilenet(name: str) -> Architecture:
    """Return the record of a MobileNet v1, by its name in lower case, of three or four parts.

    Raises:
        FlagError: a part of the name is unknown.
    """
    parts = name.split("_")
    _check_mobilenet(name, parts)
    size, resolution = parts[1], int(parts[2])
    folder = f"mobilenet_v1_{size}_{resolution}"
    archive = f"{folder}_frozen.tgz"
    quantized = len(parts) == 4
    top_1, top_5 = MOBILENET_ACCURACIES[size][MOBILENET_RESOLUTIONS.index(parts[2])]
    return Architecture(
        name=name,
        input_tensor="input:0",
        bottleneck_tensor="MobilenetV1/Predictions/Reshape:0",
        batch_tensor="MobilenetV1/Predictions/Reshape:0",
        bottleneck_size=1001,
        input_spec=InputSpec(height=resolution, width=resolution, mean=127.5, std=127.5),
        graph_file=f"{folder}/{'quantized_graph.pb' if quantized else 'frozen_graph.pb'}",
        archive=archive,
        urls=tuple(base + archive for base in MODELS),
        digest=KNOWN_DIGESTS.get(archive, ""),
        class_tensor="MobilenetV1/Predictions/Reshape_1:0",
        label_files=(f"{folder}/labels.txt",),
        provenance=Provenance(
            source="Google, TensorFlow's model archives, June 2017",
            licence=APACHE,
            parameters=MOBILENET_PARAMETERS[size],
            top_1=None if quantized else top_1,  # Published for the weights before they were rounded to 8 bits.
            top_5=None if quantized else top_5,
            accuracy_source="" if quantized else MOBILENET_PAGE,
        ),
    )


def mobilenet_names() -> list[str]:
    """Return the names of all MobileNets."""
    plain = [f"mobilenet_{size}_{resolution}" for size in MOBILENET_PARAMETERS for resolution in MOBILENET_RESOLUTIONS]
    return [*plain, *(f"{name}_quantized" for name in plain)]


def _check_mobilenet(name: str, parts: list[str]) -> None:
    allowed: dict[str, tuple[str, tuple[str, ...]]] = {
        "size": (parts[1], tuple(MOBILENET_PARAMETERS)),
        "resolution": (parts[2], MOBILENET_RESOLUTIONS),
    }
    if len(parts) == 4:
        allowed["ending"] = (parts[3], ("quantized",))
    for what, (part, choices) in allowed.items():
        if part not in choices:
            raise FlagError(f"--architecture {name}: the {what} must be one of {', '.join(choices)}. Got {part or 'nothing'}.")
