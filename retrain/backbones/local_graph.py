"""`--architecture path/to/graph.pb`: any frozen graph as the network, its input and its bottleneck found out where it can be."""

import difflib
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef

from retrain.backbones.backbone import Backbone, graph_fingerprint
from retrain.backbones.catalog import Architecture
from retrain.errors import FlagError, GraphError, ModelError, reason_of
from retrain.graphdef.description import NODE_NAME, Description
from retrain.graphdef.find_layers import find_bottleneck, find_input
from retrain.graphdef.known_inputs import KNOWN_INPUTS, stated_size
from retrain.graphdef.nodes import node_name, tensor_name
from retrain.graphdef.run import batch_function, parse_graph
from retrain.graphdef.subgraph import file_ops, subgraph
from retrain.options.network import NetworkOptions

FLATTENED = "flattened_bottleneck"
INPUT_NUMBERS = ("input_height", "input_width", "input_mean", "input_std")


def load_local_graph(path: str, options: NetworkOptions) -> Backbone:
    """The network in a frozen graph's file. What the user says is taken before what the graph says, and that before a guess.

    Raises:
        GraphError: the file cannot be read or holds no graph; a layer is not in it or cannot be found out; the graph does not run
            with batches of images, does not give one vector for each, or reaches for files.
        FlagError: a size was given that is not the one that the graph has.
    """
    graph_bytes, graph_def = _read(path)
    try:
        described = _description(graph_def)
        graph_input = options.input_layer or (described.input_tensor if described else find_input(graph_def))
        input_node = _named("input_layer", graph_input, graph_def)
        bottleneck = options.bottleneck_layer or find_bottleneck(graph_def, input_node.name)
        network = subgraph(graph_def, [_named("bottleneck_layer", bottleneck, graph_def).name])
        if reaching := file_ops(network, bottleneck):
            raise GraphError(f"It has operations that can read or write files: {', '.join(reaching)}.")
        if input_node.name not in {node.name for node in network.node}:
            raise GraphError(f"Its layer {node_name(bottleneck)} is not computed from its input {input_node.name}.")
        numbers = input_numbers(input_node, described, options)
        input_tensor, bottleneck_tensor = tensor_name(input_node.name), tensor_name(node_name(bottleneck))
        shape = bottleneck_shape(network, input_tensor, bottleneck_tensor, numbers["input_height"], numbers["input_width"])
    except GraphError as error:
        raise GraphError(f"--architecture {path}: {error}") from error
    batch_tensor, size = bottleneck_tensor, shape[-1]
    if len(shape) == 4:  # The head is a matrix product, and takes [N, D].
        bottleneck_tensor = _flatten(network, bottleneck_tensor, size)
    # Another layer of the same graph has a cache of its own.
    name = f"{path}:{node_name(bottleneck)}" if options.bottleneck_layer else path
    architecture = Architecture(name, input_tensor, bottleneck_tensor, batch_tensor, size, **numbers, graph_file=path)
    return Backbone(
        architecture,
        network,
        graph_fingerprint(graph_bytes, architecture, options.precision),
        len(graph_bytes),
        options.precision,
    )


def bottleneck_shape(network: GraphDef, input_tensor: str, bottleneck_tensor: str, height: int, width: int) -> tuple[int, ...]:
    """The shape of what two black images give: (2, D) or (2, 1, 1, D).

    Raises:
        GraphError: the network does not run with them, or gives something else.
    """
    try:
        values = batch_function(network, input_tensor, bottleneck_tensor)(np.zeros((2, height, width, 3), np.float32))
    except (tf.errors.OpError, ValueError) as error:
        raise GraphError(
            f"It does not run with two images of {height} × {width} pixels at its input {input_tensor}: {reason_of(error)}"
        ) from error
    shape = np.shape(values)
    if shape[:1] != (2,) or len(shape) not in (2, 4) or set(shape[1:-1]) - {1} or values.dtype != np.float32:
        raise GraphError(
            f"Its layer {bottleneck_tensor} gives {values.dtype} {list(shape)} for two images, and not a vector for each, "
            "float32 [2, D]. Name another one with --bottleneck_layer."
        )
    return shape


def input_numbers(node: NodeDef, described: Description | None, given: NetworkOptions) -> dict[str, Any]:
    """Height, width, mean and standard deviation of the input, by the names of their flags.

    Raises:
        GraphError: one of them is not known.
        FlagError: a size was given that is not the input's.
    """
    height, width = stated_size(node)
    mean, std = KNOWN_INPUTS.get(node.name, (None, None))
    if described and node.name != node_name(described.input_tensor):
        described = None
    numbers: dict[str, Any] = {}
    for name, known in zip(INPUT_NUMBERS, (height, width, mean, std), strict=True):
        value = getattr(given, name)
        if value is not None and name in ("input_height", "input_width") and known not in (None, value):
            raise FlagError(f"--{name} must be {known}, the size that the network's input {node.name} has. Got {value}.")
        numbers[name] = value if value is not None else getattr(described, name) if described else known
        if numbers[name] is None:
            raise GraphError(f"It does not say what its input {node.name} looks like. Give it with --{name}.")
    return numbers


def _read(path: str) -> tuple[bytes, GraphDef]:
    try:
        with open(path, "rb") as file:
            graph_bytes = file.read()
        return graph_bytes, parse_graph(graph_bytes, "it")
    except OSError as error:
        raise GraphError(f"--architecture {path}: the file cannot be read ({error.strerror}).") from error
    except ModelError as error:
        raise GraphError(f"--architecture {path}: {error}") from error


def _description(graph_def: GraphDef) -> Description | None:
    for node in graph_def.node:
        if node.name == NODE_NAME and node.op == "Const":
            return Description.from_json(b"".join(node.attr["value"].tensor.string_val))
    return None


def _named(flag: str, name: str, graph_def: GraphDef) -> NodeDef:
    """The operation of that name, with or without the number of its first output."""
    if tensor_name(name) != f"{node_name(name)}:0":
        raise FlagError(f"--{flag} must be the first output of an operation. Got {name}.")
    for node in graph_def.node:
        if node.name == node_name(name):
            return node
    close = difflib.get_close_matches(node_name(name), [node.name for node in graph_def.node])
    could = f"Similar: {', '.join(close)}." if close else "scripts.count_ops lists its operations."
    raise GraphError(f"--{flag}: it has no operation named {node_name(name)}. {could}")


def _flatten(network: GraphDef, tensor: str, size: int) -> str:
    """Adds a reshape from [N, 1, 1, D] to [N, D] to the network; gives its tensor."""
    taken = {node.name for node in network.node}
    name = next(each for each in (FLATTENED, *(f"{FLATTENED}_{n}" for n in range(len(taken) + 1))) if each not in taken)
    with tf.Graph().as_default() as graph:
        source = tf.compat.v1.placeholder(tf.float32, [None, 1, 1, size], name="source")
        tf.reshape(source, [-1, size], name=name)
        exported = tf.compat.v1.train.export_meta_graph(graph=graph, graph_def=graph.as_graph_def(), strip_default_attrs=True)
    for node in exported.graph_def.node:
        if node.name != "source":
            network.node.add().CopyFrom(node)
    network.node[-1].input[0] = node_name(tensor)
    return f"{name}:0"
