"""The networks as they were published, with the classes of ImageNet that they were trained on."""

import re

from label_image.graph import LabelledGraph, Overrides, labelled_graph
from retrain.backbones.backbone import load_backbone
from retrain.backbones.catalog import INCEPTION, Architecture, find_architecture
from retrain.backbones.download import read_archived_file, read_graph_file
from retrain.errors import FlagError, ModelError
from retrain.graphdef.description import Description

NUMBERED = re.compile(r"\s*(\d+):(.*)")
ENTRY = re.compile(r'target_class:\s*(\d+)\s+target_class_string:\s*"([^"]*)"')
INCEPTION_OUTPUTS = 1008  # The length of `softmax` in the archive of 2015, whose classes have the numbers 1 to 1000.


def open_architecture(name: str, model_dir: str, model_url_base: str | None, overrides: Overrides) -> LabelledGraph:
    """A network with its own head and its own classes.

    Args:
        name: as in `--architecture`.
        model_dir: holds its archive, or gets it.
        model_url_base: address of a mirror; None is the network's own.
        overrides: what the user says of it.

    Raises:
        FlagError: there is no such network, or it has no classes.
        ModelError: its archive cannot be had, or is damaged.
        GraphError: what the user said does not fit it.
    """
    chosen = find_architecture(name)
    if not chosen.class_tensor:
        raise FlagError(
            f"--architecture {chosen.name} has no classes of its own. Train it on photos with python -m retrain, or take "
            "inception_v3 or a mobilenet."
        )
    backbone = load_backbone(chosen, read_graph_file(chosen, model_dir, model_url_base))
    texts = [_text(read_archived_file(chosen, file, model_dir, model_url_base), file) for file in chosen.label_files]
    labels = _inception_labels(*texts) if chosen.name == INCEPTION else _numbered_labels(texts[0], chosen)
    description = Description.of(chosen, labels, chosen.class_tensor)
    return labelled_graph(chosen.graph_file, backbone.graph_def, description, overrides)


def _text(data: bytes, file: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{file} in the network's archive is not UTF-8 text. Delete it and the archive, and run again."
        ) from error


def _numbered_labels(text: str, architecture: Architecture) -> tuple[str, ...]:
    """MobileNet's file: lines such as `1:tench, Tinca tinca`, numbered from 0 in order."""
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
    """Inception's two files: class number → WordNet's number of the synset, as text protocol buffer, and that → words.

    Places of the output that stand for no class are called by their number.
    """
    words = dict(line.split("\t", 1) for line in human.splitlines() if "\t" in line)
    labels = [f"(no class {number})" for number in range(INCEPTION_OUTPUTS)]
    for number, synset in ENTRY.findall(label_map):
        if int(number) >= len(labels):
            raise ModelError(f"The label map of the network's archive has a class {number}, but the network has {len(labels)}.")
        labels[int(number)] = words.get(synset, synset)
    return tuple(labels)
