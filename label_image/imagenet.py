"""The published networks with their own classes, those of ImageNet."""

import re

from label_image.config import LabelConfig
from label_image.opening import Classifier, open_graph_def
from retrain.backbones.backbone import load_backbone
from retrain.backbones.catalog import INCEPTION, Architecture, find_architecture
from retrain.backbones.download import read_archived_file, read_graph_file
from retrain.backbones.imagenet import imagenet_labels
from retrain.backbones.keras.named import load_keras_network
from retrain.backbones.keras.records import find_keras_record
from retrain.errors import FlagError, ModelError
from retrain.options.network import NetworkOptions

NUMBERED = re.compile(r"\s*(\d+):(.*)")
ENTRY = re.compile(r'target_class:\s*(\d+)\s+target_class_string:\s*"([^"]*)"')
INCEPTION_OUTPUTS = 1008  # The length of `softmax` in the archive of 2015, whose classes have the numbers 1 to 1000.


def open_architecture(config: LabelConfig) -> Classifier:
    """Open the network `--architecture` with its own head and its own classes.

    Raises:
        FlagError: there is no such network, or it has no classes.
        ModelError: its archive is not available, or is damaged.
        GraphError: the user's options do not fit it.
    """
    chosen = find_architecture(config.architecture or INCEPTION)
    if record := find_keras_record(chosen.name):
        options = NetworkOptions(model_dir=config.model_dir, model_url_base=config.model_url_base)
        network = load_keras_network(record, options).graph_def
        return open_graph_def(chosen.graph_file, network, chosen.describe(imagenet_labels(), chosen.class_tensor), config)
    if not chosen.class_tensor:
        raise FlagError(
            f"--architecture {chosen.name} has no classes of its own. Train it on photos with python -m retrain, or use "
            "inception_v3 or a mobilenet."
        )
    archive = config.model_dir, config.model_url_base
    backbone = load_backbone(chosen, read_graph_file(chosen, *archive))
    texts = [_text(read_archived_file(chosen, file, *archive), file) for file in chosen.label_files]
    labels = _inception_labels(*texts) if chosen.name == INCEPTION else _numbered_labels(texts[0], chosen)
    return open_graph_def(chosen.graph_file, backbone.graph_def, chosen.describe(labels, chosen.class_tensor), config)


def _text(data: bytes, file: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{file} in the network's archive is not UTF-8 text. Delete it and the archive, and run again."
        ) from error


def _numbered_labels(text: str, architecture: Architecture) -> tuple[str, ...]:
    """Read MobileNet's file: lines such as `1:tench, Tinca tinca`, numbered from 0 in order."""
    found = [NUMBERED.fullmatch(line) for line in text.splitlines()]
    numbers = [int(line[1]) if line else -1 for line in found]
    last = architecture.bottleneck_size - 1  # Its bottlenecks are its classes' logits.
    if numbers != list(range(last + 1)):
        raise ModelError(
            f"{architecture.label_files[0]} in the network's archive does not name the classes 0 to {last}. "
            "Delete it and the archive, and run again."
        )
    return tuple(line[2].strip() for line in found if line)


def _inception_labels(label_map: str, human: str) -> tuple[str, ...]:
    """Return the labels in Inception's two files: class number → synset as text protocol buffer, and synset → words.

    The label of an output without a class is its number.
    """
    words = dict(line.split("\t", 1) for line in human.splitlines() if "\t" in line)
    labels = [f"(no class {number})" for number in range(INCEPTION_OUTPUTS)]
    for number, synset in ENTRY.findall(label_map):
        if int(number) >= len(labels):
            raise ModelError(f"The label map of the network's archive has a class {number}, but the network has {len(labels)}.")
        labels[int(number)] = words.get(synset, synset)
    return tuple(labels)
