"""Reading of frozen graphs, and running them over batches in TensorFlow 2, which is loaded only for that."""

from collections.abc import Callable
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.arrays import BatchFunction, FloatArray
from retrain.errors import GraphError
from retrain.graphdef.file_kind import wrong_kind
from retrain.graphdef.nodes import declared_shape, find_node, node_name
from retrain.graphdef.rewrite import runnable_copy
from retrain.graphdef.subgraph import subgraph
from retrain.graphdef.tensorflow_form import to_tensorflow
from retrain.process.precision import BFLOAT16, FLOAT32
from retrain.process.tensorflow_loading import load_tensorflow

# Of graphs that `transform_graph` quantized: levels depend on the least and the greatest value, of all images of a batch.
MEASURED_RANGE = "RequantizationRange"
FROZEN_GRAPH = "a frozen TensorFlow graph (a GraphDef in binary form)"


def read_graph(path: str) -> GraphDef:
    """Read the GraphDef in a file. Raises GraphError if it cannot be read or holds none."""
    return parse_graph(read_bytes(path), path)


def read_bytes(path: str) -> bytes:
    """Return the content of a graph's file. Raises GraphError if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise GraphError(f"The graph {path} cannot be read ({error.strerror}).") from error


def parse_graph(data: bytes, source: str) -> GraphDef:
    """Parse the GraphDef in `data`. Raises GraphError, which names `source`, if there is none."""
    graph_def = GraphDef()
    try:
        graph_def.ParseFromString(data)
    except DecodeError as error:
        other = wrong_kind(data, FROZEN_GRAPH) or f"is not {FROZEN_GRAPH}, or is damaged."
        raise GraphError(f"{source} {other}") from error
    if not graph_def.node:
        raise GraphError(f"{source} {wrong_kind(data, FROZEN_GRAPH) or 'holds no graph: no node was found in it.'}")
    return graph_def


def batch_function(graph_def: GraphDef, feed: str, fetch: str, precision: str = FLOAT32) -> BatchFunction:
    """Return the graph as a function from a batch at the tensor `feed` to the values of the tensor `fetch`.

    A graph whose batch is frozen at one image takes batches too. Raises GraphError if the graph cannot be imported.
    """
    tf, shape = load_tensorflow(), static_shape(graph_def, feed)
    function = _callable(graph_def, feed, fetch, tf.TensorSpec([None, *shape[1:]] if shape else None, tf.float32), precision)
    return _one_by_one(function) if any(node.op == MEASURED_RANGE for node in graph_def.node) else function


def _one_by_one(function: BatchFunction) -> BatchFunction:
    def run(images: FloatArray) -> FloatArray:
        return np.concatenate([function(image[None]) for image in images])

    run.one_by_one = True  # type: ignore[attr-defined]
    return run


def bytes_function(graph_def: GraphDef, feed: str, fetch: str) -> Callable[[bytes], FloatArray]:
    """Return a graph that decodes files itself (`DecodeJpeg/contents`) as a function of one file's bytes. Raises GraphError."""
    tf = load_tensorflow()
    return _callable(graph_def, feed, fetch, tf.TensorSpec([], tf.string), FLOAT32)


def _callable(graph_def: GraphDef, feed: str, fetch: str, spec: Any, precision: str) -> Callable[[Any], FloatArray]:
    # A session rather than a tf.function: a frozen graph has nothing to trace, and a function copies its weights five times.
    tf = load_tensorflow()
    try:
        runnable = runnable_copy(subgraph(graph_def, [node_name(fetch)]), keep=node_name(feed))
        with tf.Graph().as_default() as graph:
            placeholder = tf.compat.v1.placeholder(spec.dtype, spec.shape)
            [output] = tf.graph_util.import_graph_def(to_tensorflow(runnable), {feed: placeholder}, [fetch], name="")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise GraphError(f"The graph does not run with the input {feed}: {error}") from error
    config = tf.compat.v1.ConfigProto()
    if precision == BFLOAT16:
        from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

        config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = RewriterConfig.ON
    function: Callable[[Any], FloatArray] = tf.compat.v1.Session(graph=graph, config=config).make_callable(output, [placeholder])
    return function


def static_shape(graph_def: GraphDef, tensor: str) -> list[int | None]:
    """Return the shape that a placeholder declares, None for a free size; empty if it declares none or is no placeholder."""
    node = find_node(graph_def, node_name(tensor))
    return declared_shape(node) if node and node.op == "Placeholder" else []
