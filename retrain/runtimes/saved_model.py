"""SavedModels, reduced to their graph: nothing that they would do while being loaded is done."""

import os
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import DecodeError
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef

from retrain.errors import GraphError, reason_of
from retrain.graphdef.description import DESCRIPTION_FILE, Description
from retrain.graphdef.nodes import constant, identity
from retrain.graphdef.tensorflow_form import from_tensorflow
from retrain.process.tensorflow_loading import load_tensorflow

FILE = "saved_model.pb"
SIGNATURE, SERVING = "serving_default", "serve"  # As TensorFlow names them.
CHECKPOINT = os.path.join("variables", "variables")
VARIABLES = ("VariableV2", "Variable", "VarHandleOp")


class VariablesError(GraphError):
    """The variables are not as TensorFlow 1 saves them."""


@dataclass(frozen=True)
class OpenedSavedModel:
    """A SavedModel's graph, with its variables as constants.

    Attributes:
        graph_def: the graph.
        metadata: that in the folder; None if another tool wrote it.
        input_tensor, output_tensor: of the signature `serving_default`.
    """

    graph_def: GraphDef
    metadata: Description | None
    input_tensor: str
    output_tensor: str


def is_saved_model(path: str) -> bool:
    """Return True if a folder is a SavedModel."""
    return os.path.isfile(os.path.join(path, FILE))


def open_saved_model(folder: str) -> OpenedSavedModel:
    """Read a SavedModel.

    Raises:
        GraphError: it is damaged, or has no signature of one input and one output.
        VariablesError: its variables are not as TensorFlow 1 saves them.
    """
    meta = _serving(_read(os.path.join(folder, FILE)), folder)
    signature = meta.signature_def.get(SIGNATURE)
    if not signature or len(signature.inputs) != 1 or not signature.outputs:
        raise GraphError(f"The SavedModel {folder} is no image classifier: it has no signature {SIGNATURE} with one input.")
    if len(signature.outputs) != 1:
        raise GraphError(
            f"The SavedModel {folder} is no image classifier: it must have one output. It has {len(signature.outputs)}."
        )
    [source], [output] = signature.inputs.values(), signature.outputs.values()
    metadata = read_metadata(folder)
    return OpenedSavedModel(_with_constants(from_tensorflow(meta.graph_def), folder), metadata, source.name, output.name)


def _read(path: str) -> Any:
    load_tensorflow()
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    message = SavedModel()
    try:
        with open(path, "rb") as file:
            message.ParseFromString(file.read())
    except OSError as error:
        raise GraphError(f"The SavedModel's {path} cannot be read ({error.strerror}).") from error
    except DecodeError as error:
        raise GraphError(f"{path} is no SavedModel, or is damaged.") from error
    return message


def _serving(model: Any, folder: str) -> Any:
    for meta in model.meta_graphs:
        if SERVING in meta.meta_info_def.tags:
            return meta
    raise GraphError(f"The SavedModel {folder} has no graph for serving (tag {SERVING}), or is damaged.")


def read_metadata(folder: str) -> Description | None:
    """Return the metadata in a SavedModel's folder; None if another tool wrote it. Raises GraphError if it cannot be read."""
    path = os.path.join(folder, DESCRIPTION_FILE)
    if not os.path.isfile(path):
        return None
    try:
        with open(path, "rb") as file:
            return Description.from_json(file.read())
    except OSError as error:
        raise GraphError(f"{path} cannot be read ({error.strerror}).") from error


def _with_constants(graph_def: GraphDef, folder: str) -> GraphDef:
    """Return the graph with its variables, which the original's SavedModels keep in a checkpoint, as constants."""
    names = {node.name for node in graph_def.node if node.op in VARIABLES}
    if not names:
        return graph_def
    frozen = GraphDef(versions=graph_def.versions, library=graph_def.library)
    tf = load_tensorflow()
    try:
        reader = tf.train.load_checkpoint(os.path.join(folder, CHECKPOINT))
        for node in graph_def.node:
            frozen.node.append(
                constant(node.name, reader.get_tensor(node.name)) if node.name in names else _reading_a_constant(node, names)
            )
    except (tf.errors.OpError, LookupError, ValueError, RuntimeError, TypeError) as error:
        reason = reason_of(error)
        raise VariablesError(f"The SavedModel {folder} has variables whose values cannot be read ({reason}).") from error
    return frozen


def _reading_a_constant(node: NodeDef, constants: set[str]) -> NodeDef:
    """Return the node, or an Identity if the node reads a resource variable."""
    if node.op != "ReadVariableOp" or node.input[0] not in constants:
        return node
    return identity(node, "dtype")
