"""Frozen GraphDefs: reading one, cutting one, and running one over batches of images in TensorFlow 2."""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig

from retrain.arrays import BatchFunction, FloatArray
from retrain.backbones.catalog import Architecture
from retrain.errors import GraphError, ModelError
from retrain.graphdef.rewrite import node_name, runnable_copy
from retrain.graphdef.subgraph import file_ops, subgraph
from retrain.process.precision import BFLOAT16, FLOAT32


@dataclass(frozen=True)
class Backbone:
    """A network, loaded.

    Attributes:
        architecture: its tensors and its input.
        graph_def: as read from its file; never changed.
        fingerprint: SHA-256 over all that a bottleneck depends on but the image: the file, the tensors, the input, the precision.
        size: of its file, in bytes; asking the graph itself would take longer than reading it.
        precision: of its computation, one of `precision.PRECISIONS`.
    """

    architecture: Architecture
    graph_def: GraphDef
    fingerprint: str
    size: int
    precision: str = FLOAT32

    @functools.cached_property
    def run(self) -> BatchFunction:
        """float32 [N, H, W, 3], normalised → bottlenecks, float32 [N, D]. Made at the first use: a full cache needs none."""
        chosen = self.architecture
        function = batch_function(self.graph_def, chosen.input_tensor, chosen.batch_tensor, self.precision)
        return lambda images: function(images).reshape(len(images), chosen.bottleneck_size)


def load_backbone(architecture: Architecture, graph_bytes: bytes, precision: str = FLOAT32) -> Backbone:
    """Parses the network's file and checks that it has the tensors of its architecture.

    Raises:
        ModelError: the bytes are no GraphDef, a tensor is missing, or it reaches for files.
    """
    try:
        graph_def = parse_graph(graph_bytes, architecture.graph_file)
    except ModelError as error:
        raise ModelError(f"{error} {_cure(architecture)}") from error
    nodes = {node.name for node in graph_def.node}
    for tensor in (architecture.input_tensor, architecture.bottleneck_tensor, architecture.batch_tensor):
        if node_name(tensor) not in nodes:
            raise _another_network(architecture, f"it has no tensor {tensor}")
    reaching = {
        op for tensor in (architecture.bottleneck_tensor, architecture.batch_tensor) for op in file_ops(graph_def, tensor)
    }
    if reaching:
        raise _another_network(architecture, f"it has operations that can read or write files: {', '.join(sorted(reaching))}")
    shape = _static_shape(graph_def, architecture.input_tensor)[1:3]
    wanted = [architecture.input_height, architecture.input_width]
    if shape not in ([], [None, None], wanted):
        raise _another_network(architecture, f"it takes images of {shape} pixels, not {wanted}")
    return Backbone(architecture, graph_def, graph_fingerprint(graph_bytes, architecture, precision), len(graph_bytes), precision)


def graph_fingerprint(graph_bytes: bytes, architecture: Architecture, precision: str) -> str:
    """Return the SHA-256, in hexadecimal, of all that a bottleneck depends on besides the image.

    The text is part of the cache format (docs/cache-format.md) and never changes.
    """
    digest = hashlib.sha256(graph_bytes)
    spec = architecture.input_spec.fingerprint_text
    digest.update(f"({architecture.input_tensor!r}, {architecture.batch_tensor!r}, {spec}, {precision!r})".encode())
    return digest.hexdigest()


def _another_network(architecture: Architecture, difference: str) -> ModelError:
    return ModelError(
        f"{architecture.graph_file} in --model_dir is not the network {architecture.name}: {difference}. {_cure(architecture)}"
    )


def _cure(architecture: Architecture) -> str:
    """The archive has to go too: the same would come out of it again."""
    if not architecture.archive:
        return "Install this project again."
    return f"Delete {architecture.graph_file} and {architecture.archive} there, and run again to get them anew."


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


def tensor_name(name: str) -> str:
    """`Mul` → `Mul:0`; a name with an output number stays."""
    return name if ":" in name else f"{name}:0"


def batch_function(graph_def: GraphDef, feed: str, fetch: str, precision: str = FLOAT32) -> BatchFunction:
    """The graph as a function from a batch of what `feed` takes to what `fetch` gives; both are names of tensors.

    A graph whose batch is frozen at one image takes batches too.
    """
    shape = _static_shape(graph_def, feed)
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


def _static_shape(graph_def: GraphDef, tensor: str) -> list[int | None]:
    """The shape a placeholder declares, -1 as None; empty where the tensor is no placeholder or declares none."""
    for node in graph_def.node:
        if node.name == node_name(tensor) and node.op == "Placeholder" and "shape" in node.attr:  # Asking for it would add it.
            return [size.size if size.size > 0 else None for size in node.attr["shape"].shape.dim]
    return []
