"""Loading of the network that the options name, or of the one that replaces it."""

import dataclasses
import logging
import os

from retrain.backbones.backbone import Backbone, load_backbone
from retrain.backbones.catalog import BUNDLED, INCEPTION, PIXELS, Architecture, find_architecture, is_local_graph
from retrain.backbones.download import read_graph_file
from retrain.backbones.hub.module import load_hub_module
from retrain.backbones.keras.files import is_keras_file
from retrain.backbones.keras.model_file import load_keras_file
from retrain.backbones.keras.named import load_keras_network
from retrain.backbones.keras.records import find_keras_record
from retrain.backbones.keras.saved_model import load_saved_model_folder
from retrain.backbones.local_graph import load_local_graph
from retrain.backbones.pixels import pixels_graph
from retrain.errors import ModelUnavailableError
from retrain.options.network import NetworkOptions

logger = logging.getLogger("retrain")


def load_network(options: NetworkOptions) -> Backbone:
    """Load the network asked for; if none was named, Inception v3, or the bundled network if that is not available.

    Raises:
        FlagError: there is no such architecture or module.
        GraphError: a local graph or a module cannot be used, or its layers or its input cannot be inferred.
        ModelError: the network's file is not available or is damaged.
    """
    architecture = options.architecture
    if options.tfhub_module is not None:
        return load_hub_module(options.tfhub_module, options)
    if architecture is not None and is_local_graph(architecture):
        return _load_local(architecture, options)
    if architecture is not None and (record := find_keras_record(architecture)):
        return load_keras_network(record, options)
    chosen, note = find_architecture(architecture or INCEPTION), ""
    try:
        graph_bytes = _graph_bytes(chosen, options)
    except ModelUnavailableError as error:
        if architecture is not None:
            raise
        note = f"{INCEPTION} is not available; the bundled network {BUNDLED} was used instead."
        advice = "Name a network with --architecture to avoid this warning."
        logger.warning("%s\nThe bundled network %s is used instead. %s", error, BUNDLED, advice)
        chosen = find_architecture(BUNDLED)
        graph_bytes = _graph_bytes(chosen, options)
    return dataclasses.replace(load_backbone(chosen, graph_bytes, options.precision), note=note)


def _load_local(path: str, options: NetworkOptions) -> Backbone:
    if os.path.isdir(path):
        return load_saved_model_folder(path, options)
    if is_keras_file(path):
        return load_keras_file(path, options)
    return load_local_graph(path, options)


def _graph_bytes(chosen: Architecture, options: NetworkOptions) -> bytes:
    if PIXELS.fullmatch(chosen.name):
        return pixels_graph(chosen)
    return read_graph_file(chosen, options.model_dir, options.model_url_base)
