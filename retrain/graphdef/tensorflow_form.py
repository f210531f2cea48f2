"""Graphs in TensorFlow's own class, which its functions take and return, and in that of TensorBoard, which the project uses."""

from typing import Any

from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.process.tensorflow_loading import load_tensorflow


def to_tensorflow(graph_def: GraphDef) -> Any:
    """Return a copy of the graph as a GraphDef of TensorFlow, which is loaded."""
    return load_tensorflow().compat.v1.GraphDef.FromString(graph_def.SerializeToString())


def from_tensorflow(graph_def: Any) -> GraphDef:
    """Return a copy of a GraphDef of TensorFlow as one of TensorBoard."""
    return GraphDef.FromString(graph_def.SerializeToString())
