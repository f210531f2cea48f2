"""Whole classifiers that Keras saved, as frozen graphs: Keras files, and SavedModels with variables of TensorFlow 2."""

from dataclasses import dataclass

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.backbones.hub.freeze import freeze
from retrain.backbones.hub.module import LOADING_ERRORS
from retrain.backbones.keras.files import checked_copy
from retrain.backbones.keras.freeze import INPUT, PROBABILITIES, frozen_graph
from retrain.backbones.keras.model_file import inferred_input, load_model, short_reason
from retrain.backbones.keras.saved_model import plain_graph, with_metadata
from retrain.errors import GraphError, reason_of
from retrain.graphdef.input_settings import resolve_input
from retrain.graphdef.nodes import node_name
from retrain.graphdef.subgraph import file_ops
from retrain.input_spec import InputSpec
from retrain.options.network_input import NetworkInputOptions


@dataclass(frozen=True)
class FrozenClassifier:
    """A classifier with its variables as constants.

    Attributes:
        graph_def: its graph.
        input_spec: the input settings.
        input_tensor, output_tensor: takes float32 [N, H, W, 3]; gives the scores.
    """

    graph_def: GraphDef
    input_spec: InputSpec
    input_tensor: str
    output_tensor: str


def freeze_keras_file(path: str, options: NetworkInputOptions) -> FrozenClassifier:
    """Freeze the classifier in a Keras file, `.keras` or HDF5. No code in the file is run.

    Raises:
        GraphError: the file cannot be read, is damaged, could run code or read other files, or how it scales pixels
            is not known.
        FlagError: a size was given that is not the model's.
    """
    try:
        with checked_copy(path) as checked:
            model = load_model(checked)
            spec = resolve_input(options, None, inferred_input(model, options))

            def scores(images: tf.Tensor) -> list[tf.Tensor]:
                outputs = tf.nest.flatten(model(images, training=False))
                if len(outputs) != 1:
                    raise GraphError(f"It must have one output. It has {len(outputs)}.")
                return [tf.cast(outputs[0], tf.float32)]

            try:
                graph_def = frozen_graph(scores, spec, [PROBABILITIES])
            except (*LOADING_ERRORS, MemoryError) as error:
                raise GraphError(f"Its layers cannot be computed ({short_reason(error)}).") from error
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from error
    return FrozenClassifier(graph_def, spec, f"{INPUT}:0", f"{PROBABILITIES}:0")


def freeze_saved_model(path: str, options: NetworkInputOptions) -> FrozenClassifier:
    """Freeze the classifier in a SavedModel's folder, with its variables.

    Raises:
        GraphError: the folder cannot be read, is damaged, or accesses files; mean and standard deviation are not known.
        FlagError: a size was given that is not the model's.
    """
    try:
        module = freeze(path, with_metadata(path, options))
        graph_def = plain_graph(module)
        if accessing := file_ops(graph_def, module.fetch):
            raise GraphError(f"It has operations that can read or write files: {', '.join(accessing)}.")
    except GraphError as error:
        raise GraphError(f"{path}: {error}") from error
    except (*LOADING_ERRORS, DecodeError, MemoryError) as error:
        reason = reason_of(error).split("\n", 1)[0]
        raise GraphError(f"{path}: the SavedModel cannot be loaded ({reason}). Get a new copy.") from error
    return FrozenClassifier(graph_def, module.input_spec, f"{node_name(module.feed)}:0", module.fetch)
