"""Loading of the network that the options name, or of the one that replaces it."""

import dataclasses
import logging
import os

from retrain.backbones.architecture import Architecture
from retrain.backbones.backbone import Backbone, load_backbone
from retrain.backbones.catalog import PIXELS, find_architecture, is_local_graph
from retrain.backbones.download import read_graph_file
from retrain.backbones.efficientnet_lite.graph_file import graph_bytes as variant_bytes
from retrain.backbones.efficientnet_lite.variants import VARIANTS
from retrain.backbones.keras.files import is_keras_file
from retrain.backbones.keras.named import keras_fingerprint, keras_graph_bytes
from retrain.backbones.keras.records import find_keras_record
from retrain.backbones.local_graph import load_local_graph
from retrain.backbones.pixels import pixels_graph
from retrain.backbones.published import BUNDLED, INCEPTION
from retrain.errors import ModelUnavailableError
from retrain.graphdef.input_settings import GIVEN, RECORDED
from retrain.options.network import ArchiveOptions, NetworkOptions
from retrain.process.tensorflow_loading import load_tensorflow

logger = logging.getLogger("retrain")

# What is used if no network was named: the original's default, or else the first of the others that is available.
DEFAULTS = (INCEPTION, "efficientnet_lite0", BUNDLED)


def load_network(options: NetworkOptions) -> Backbone:
    """Load the network asked for; if none was named, the first of `DEFAULTS` that is available.

    Raises:
        FlagError: there is no such architecture or module.
        GraphError: a local model or a module cannot be used, or its layers or its input cannot be inferred.
        ModelError: the network's file is not available or is damaged.
    """
    return dataclasses.replace(_load(options), engine=options.engine)


def _load(options: NetworkOptions) -> Backbone:
    architecture = options.architecture
    if options.tfhub_module is not None:
        load_tensorflow()
        from retrain.backbones.hub.module import load_hub_module

        return load_hub_module(options.tfhub_module, options)
    if architecture is None:
        return _load_default(options)
    if is_local_graph(architecture):
        return _load_local(architecture, options)
    return _load_named(architecture, options)


def _load_default(options: NetworkOptions) -> Backbone:
    *first, last = DEFAULTS
    for name, other in zip(first, DEFAULTS[1:], strict=True):
        try:
            backbone = _load_named(name, options)
            break
        except ModelUnavailableError as error:
            advice = "Name a network with --architecture to avoid this warning."
            logger.warning("%s\nThe network %s is used instead. %s", error, other, advice)
    else:
        backbone = _load_named(last, options)
    used = backbone.architecture.name
    note = "" if used == INCEPTION else f"{INCEPTION} is not available; the network {used} was used instead."
    return dataclasses.replace(backbone, note=note)


def _load_named(name: str, options: NetworkOptions) -> Backbone:
    chosen, origins = find_architecture(name), {}
    if options.resize is not None:
        chosen = dataclasses.replace(chosen, input_spec=dataclasses.replace(chosen.input_spec, resize=options.resize))
        origins = {"all but the resizing": RECORDED, "the resizing": GIVEN}
    if options.decode_scale is not None:
        chosen = dataclasses.replace(chosen, input_spec=dataclasses.replace(chosen.input_spec, decode_scale=options.decode_scale))
    orientation = options.exif_orientation or chosen.input_spec.exif_orientation
    chosen = dataclasses.replace(chosen, input_spec=dataclasses.replace(chosen.input_spec, exif_orientation=orientation))
    backbone = load_backbone(chosen, graph_bytes(chosen, options), options.precision)
    fingerprint = keras_fingerprint(backbone) if find_keras_record(chosen.name) else backbone.fingerprint
    return dataclasses.replace(backbone, origins=origins, fingerprint=fingerprint)


def _load_local(path: str, options: NetworkOptions) -> Backbone:
    if os.path.isdir(path):
        load_tensorflow()
        from retrain.backbones.keras.saved_model import load_saved_model_folder

        return load_saved_model_folder(path, options)
    if is_keras_file(path):
        load_tensorflow()
        from retrain.backbones.keras.model_file import load_keras_file

        return load_keras_file(path, options)
    return load_local_graph(path, options)


def graph_bytes(chosen: Architecture, options: ArchiveOptions) -> bytes:
    """Return the serialised GraphDef of a network by name. Raises ModelError if it is not available or is damaged."""
    if PIXELS.fullmatch(chosen.name):
        return pixels_graph(chosen)
    if variant := VARIANTS.get(chosen.name):
        return variant_bytes(variant, options.model_dir)
    if record := find_keras_record(chosen.name):
        return keras_graph_bytes(record, options)
    return read_graph_file(chosen, options.model_dir, options.model_url_base)
