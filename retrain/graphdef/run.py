"""Reading frozen graphs, and running them over batches in TensorFlow 2."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from retrain.arrays import BatchFunction, FloatArray
from retrain.errors import GraphError, ModelError
from retrain.graphdef.nodes import node_name
from retrain.graphdef.rewrite import runnable_copy
from retrain.graphdef.subgraph import subgraph
from retrain.process.precision import BFLOAT16, FLOAT32


def read_graph(path: str) -> GraphDef:
    """The GraphDef in a file. Raises GraphError where it cannot be read or holds none."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise GraphError(f"The graph {path} cannot be read ({error.strerror}).") from error
    try:
        return parse_graph(data, path)
    except ModelError as error:
        raise GraphError(str(error)) from error


def parse_graph(data: bytes, source: str) -> GraphDef:
    """The GraphDef in `data`. Raises ModelError, naming `source`, where there is none."""
    graph_def = GraphDef()
    try:
        graph_def.ParseFromString(data)
    except DecodeError as error:
        raise ModelError(f"{source} is not a frozen TensorFlow graph (a GraphDef in binary form), or is damaged.") from error
    if not graph_def.node:
        raise ModelError(f"{source} holds no graph: no node was found in it.")
    return graph_def


def batch_function(graph_def: GraphDef, feed: str, fetch: str, precision: str = FLOAT32) -> BatchFunction:
    """The graph as a function from a batch of what `feed` takes to what `fetch` gives; both are names of tensors.

    A graph whose batch is frozen at one image takes batches too.
    """
    shape = static_shape(graph_def, feed)
    return _callable(graph_def, feed, fetch, tf.float32, [None, *shape[1:]] if shape else None, precision)


def bytes_function(graph_def: GraphDef, feed: str, fetch: str) -> Callable[[bytes], FloatArray]:
    """The graph as a function of one image file's bytes, for graphs that decode by themselves (`DecodeJpeg/contents`)."""
    return _callable(graph_def, feed, fetch, tf.string, [], FLOAT32)


def _callable(
    graph_def: GraphDef, feed: str, fetch: str, kind: tf.DType, shape: list[int | None] | None, precision: str
) -> Callable[[Any], FloatArray]:
    """A session rather than a tf.function: a frozen graph has nothing to trace, and a function copies its weights five times."""
    try:
        runnable = runnable_copy(subgraph(graph_def, [node_name(fetch)]), keep=node_name(feed))
        with tf.Graph().as_default() as graph:
            placeholder = tf.compat.v1.placeholder(kind, shape)
            [output] = tf.graph_util.import_graph_def(runnable, {feed: placeholder}, [fetch], name="")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise GraphError(f"The graph does not run with the input {feed}: {error}") from error
    config = tf.compat.v1.ConfigProto()
    if precision == BFLOAT16:
        config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = RewriterConfig.ON
    function: Callable[[Any], FloatArray] = tf.compat.v1.Session(graph=graph, config=config).make_callable(output, [placeholder])
    return function


def static_shape(graph_def: GraphDef, tensor: str) -> list[int | None]:
    """The shape a placeholder declares, -1 as None; empty where the tensor is no placeholder or declares none."""
    for node in graph_def.node:
        if node.name == node_name(tensor) and node.op == "Placeholder" and "shape" in node.attr:  # Asking for it would add it.
            return [size.size if size.size > 0 else None for size in node.attr["shape"].shape.dim]
    return []
