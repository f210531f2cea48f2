"""`--architecture path/to/folder`: a SavedModel as the network, cut at a layer of its graph."""

import dataclasses
import hashlib
import os
from typing import Any, TypeVar

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.backbones.backbone import Backbone
from retrain.backbones.hub.files import files_digest
from retrain.backbones.hub.freeze import FrozenModule, freeze
from retrain.backbones.hub.module import LOADING_ERRORS
from retrain.backbones.keras.model_file import no_scaling
from retrain.backbones.local_graph import cut_network
from retrain.errors import GraphError, reason_of
from retrain.graphdef.description import DESCRIPTION_FILE, Description
from retrain.graphdef.input_settings import DECLARED, DEFAULT, GIVEN, METADATA
from retrain.graphdef.nodes import node_name
from retrain.graphdef.tensorflow_form import from_tensorflow
from retrain.options.network import NetworkOptions
from retrain.options.network_input import NetworkInputOptions

InputOptions = TypeVar("InputOptions", bound=NetworkInputOptions)

FURTHER = ("resize", "decode_scale", "exif_orientation", "channel_order")
MEAN_AND_STD = ("input_mean", "input_std")
SIGNATURE = "from its signature"


def load_saved_model_folder(path: str, options: NetworkOptions) -> Backbone:
    """Load the network in a SavedModel's folder, of either format.

    Args:
        path: the folder that holds `saved_model.pb`.
        options: the layers, and the input settings, which precede the metadata that this project's exports carry.

    Raises:
        GraphError: the folder cannot be read, is damaged, or accesses files; a layer cannot be inferred, or mean and standard
            deviation are not known.
        FlagError: a size was given that is not the model's.
    """
    try:
        digest = files_digest(path)
        settings = with_metadata(path, options)
        module = freeze(path, settings)
        graph_def = plain_graph(module)
        spec = module.input_spec
        sizes: dict[str, Any] = {"input_height": spec.height, "input_width": spec.width, "input_layer": node_name(module.feed)}
        network, architecture, origins = cut_network(path, graph_def, dataclasses.replace(settings, **sizes))
    except GraphError as error:
        raise GraphError(f"--architecture {path}: {error}") from error
    except (*LOADING_ERRORS, DecodeError, MemoryError) as error:
        reason = reason_of(error).split("\n", 1)[0]
        raise GraphError(f"--architecture {path}: the SavedModel cannot be loaded ({reason}). Get a new copy.") from error
    # Of the files, not of the graph: freezing can choose other names in each process. Part of the cache format.
    layer, size, spec_text = architecture.batch_tensor, architecture.bottleneck_size, architecture.input_spec.fingerprint_text
    text = f"('saved_model', {digest!r}, {layer!r}, {size!r}, {spec_text}, {options.precision!r})"
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    origins |= _origins(options, settings)
    return Backbone(architecture, network, fingerprint, network.ByteSize(), options.precision, origins=origins)


def with_metadata(path: str, options: InputOptions) -> InputOptions:
    """Return the options with mean, standard deviation and resizing, from the metadata where the user gives none.

    Raises:
        GraphError: neither tells mean and standard deviation.
    """
    given = {name: getattr(options, name) for name in (*MEAN_AND_STD, *FURTHER)}
    file = os.path.join(path, DESCRIPTION_FILE)
    if os.path.isfile(file):
        try:
            with open(file, "rb") as text:
                description = Description.from_json(text.read())
        except OSError as error:
            raise GraphError(f"Its metadata cannot be read ({error.strerror}).") from error
        known = {name: getattr(description, name) for name in MEAN_AND_STD}
        known |= {name: getattr(description, f"input_{name}") for name in FURTHER}
        given = {name: known[name] if value is None else value for name, value in given.items()}
    if any(given[name] is None for name in MEAN_AND_STD):
        raise no_scaling("a SavedModel's input")
    return dataclasses.replace(options, **given)


def _origins(options: NetworkOptions, settings: NetworkOptions) -> dict[str, str]:
    """Return where the settings are known from, for `Backbone.origins`: the user's `options`, or the metadata in `settings`."""
    origins = {"input layer": SIGNATURE}
    for setting in ("height", "width", "mean", "std", "resize"):
        name = setting if setting == "resize" else f"input_{setting}"
        found = METADATA if getattr(settings, name) is not None else {"resize": DEFAULT}.get(setting, DECLARED)
        origins[setting] = GIVEN if getattr(options, name) is not None else found
    return origins


def plain_graph(module: FrozenModule) -> GraphDef:
    """Return the module's graph without attributes of default value, which older readers need not know."""
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(module.graph_def, name="")
        exported = tf.compat.v1.train.export_meta_graph(graph=graph, graph_def=graph.as_graph_def(), strip_default_attrs=True)
    return from_tensorflow(exported.graph_def)
