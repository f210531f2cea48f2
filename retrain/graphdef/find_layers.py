"""Layers of a frozen graph without metadata: its input, its bottleneck, its output."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef

from retrain.errors import GraphError
from retrain.graphdef.description import TENSOR_NAME
from retrain.graphdef.input_settings import KNOWN_INPUTS
from retrain.graphdef.nodes import FLOAT, node_name
from retrain.graphdef.tensorflow_form import to_tensorflow
from retrain.options.nearest import nearest
from retrain.process.tensorflow_loading import load_tensorflow

JPEG_CONTENTS = "DecodeJpeg/contents"  # The input of Inception v3 that takes the bytes of a file.
OUTPUT = "final_result"  # The output of graphs that `retrain`, here or the original's, exports.
# What `retrain`, here or the original's, puts between the network and the head: its input is the bottleneck.
HEAD_INPUT = re.compile(r"input(_1)?/BottleneckInputPlaceholder")
# Names of the bottleneck in Inception v3 (2015), MobileNet v1 (2017), and graphs that call it so. The first one found counts.
KNOWN_BOTTLENECKS = (
    re.compile(r"pool_3/_reshape"),
    re.compile(r"MobilenetV1/Predictions/Reshape"),
    re.compile(r"(.*/)?bottleneck"),
)
# Operations allowed between the last layer's matrix product and the softmax; each one's first input is followed.
AFTER_PRODUCT = ("Identity", "Reshape", "Squeeze", "BiasAdd", "Add", "AddV2", "Mul")
PASSING = ("Identity", "Reshape", "Squeeze")  # Operations that change no value.
SHOWN_CANDIDATES = 8


def find_pixel_input(graph_def: GraphDef) -> str:
    """Return the name of the operation that takes pixels, to train on what is computed from it.

    Raises:
        GraphError: there is none, or several; the message names them.
    """
    nodes = {node.name: node for node in graph_def.node}
    if "Mul" in nodes and JPEG_CONTENTS in nodes:
        return "Mul"
    candidates = [node.name for node in graph_def.node if node.op == "Placeholder" and _may_be_pixels(node)]
    known = [name for name in KNOWN_INPUTS if name in candidates]
    if len(known or candidates) == 1:
        return (known or candidates)[0]
    raise not_inferred("input", candidates, "It has no placeholder for pixels, float32 [N, H, W, 3].")


def find_classifier_input(graph_def: GraphDef) -> str:
    """Return the name of the operation to feed with an image, or with the bytes of its file.

    Raises:
        GraphError: there is none, or several; the message names them.
    """
    names = layer_names(graph_def)
    recognised = [name for name in KNOWN_INPUTS if name in names]
    recognised = recognised or [name for name in input_candidates(graph_def) if name in names]
    if len(recognised) == 1 or recognised[:1] == ["Mul"]:
        return recognised[0]
    raise not_inferred("input", recognised, "It has no placeholder.")


def find_output(graph_def: GraphDef) -> str:
    """Return the name of the operation that computes the scores.

    Raises:
        GraphError: there is none, or several; the message names them.
    """
    names = layer_names(graph_def)
    candidates = [name for name in output_candidates(graph_def) if name in names]
    if OUTPUT in names or len(candidates) == 1:
        return OUTPUT if OUTPUT in names else candidates[0]
    raise not_inferred("output", candidates, "Each of its results is used by another operation.")


def input_candidates(graph_def: GraphDef) -> list[str]:
    """Return the names of operations that a classifier's image could be fed to."""
    known = (*KNOWN_INPUTS, JPEG_CONTENTS)
    return [node.name for node in graph_def.node if node.op == "Placeholder" or node.name in known]


def output_candidates(graph_def: GraphDef) -> list[str]:
    """Return the names of operations whose results nothing else uses."""
    used = {node_name(text) for node in graph_def.node for text in node.input}
    return [node.name for node in graph_def.node if node.name not in used and node.op not in ("Const", "Placeholder", "NoOp")]


def layer_names(graph_def: GraphDef) -> list[str]:
    """Return the names of operations that TensorFlow accepts as names."""
    return [node.name for node in graph_def.node if ":" not in node.name and TENSOR_NAME.fullmatch(node.name)]


def check_layer(flag: str, layer: str, names: Collection[str], candidates: Sequence[str] = ()) -> None:
    """Raise GraphError if the model has no layer of that name; the message suggests candidates and similar names.

    Args:
        flag: the option that names the layer.
        layer: its name, with or without the number of an output.
        names: of all layers.
        candidates: those that the layer is most likely to be.
    """
    name = node_name(layer)
    if name not in names:
        likely = list(dict.fromkeys([*candidates, *nearest(name, names, parts=False)]))
        could = f"It could be: {', '.join(likely)}." if likely else "scripts.count_ops lists its operations."
        raise GraphError(f"--{flag}: the model has no layer named {name}. {could}")


def not_inferred(layer: str, candidates: Sequence[str], otherwise: str = "") -> GraphError:
    """Return the error for a layer that cannot be inferred.

    Args:
        layer: `input`, `output` or `bottleneck`.
        candidates: names of layers that it could be.
        otherwise: a sentence for the case that there are no candidates.
    """
    could = f"It could be: {', '.join(candidates)}." if candidates else otherwise
    return GraphError(f"The model's {layer} cannot be inferred. {could} Name it with --{layer}_layer.".replace("  ", " "))


def find_bottleneck(graph_def: GraphDef, graph_input: str) -> str:
    """Return the name of the operation whose values a head can be trained on.

    It is, in this order: what an earlier retraining put its head on; a layer of a known name; the input of the last fully
    connected layer, or 1 × 1 convolution, before the only softmax, or before the only one at the end if there are others, as in
    attention; the graph's only output where no softmax is at the end.

    Raises:
        GraphError: none of these is there, or there are several; the message names what could be meant.
    """
    nodes = {node.name: node for node in graph_def.node}
    for node in graph_def.node:
        if HEAD_INPUT.fullmatch(node.name) and node.op == "PlaceholderWithDefault" and node.input:
            return node_name(node.input[0])
    for pattern in KNOWN_BOTTLENECKS:
        named = [name for name in nodes if pattern.fullmatch(name)]
        if len(named) == 1:
            return named[0]
    downstream = _downstream(graph_def, graph_input)
    softmaxes = [node for node in graph_def.node if node.op == "Softmax" and node.name in downstream]
    at_end = _at_end(softmaxes, graph_def)
    for only in (softmaxes, at_end):
        if len(only) == 1 and (found := _before_last_layer(only[0], nodes)):
            return found
    used = {node_name(text) for node in graph_def.node for text in node.input}
    outputs = [name for name in downstream if name not in used]
    vectors = _vectors(graph_def, downstream)
    if not at_end and len(outputs) == 1 and outputs[0] in vectors:
        return outputs[0]
    raise not_inferred("bottleneck", vectors[-SHOWN_CANDIDATES:], "scripts.count_ops lists its operations.")


def _may_be_pixels(node: NodeDef) -> bool:
    if node.attr["dtype"].type != FLOAT:
        return False
    shape = node.attr["shape"].shape if "shape" in node.attr else None
    return shape is None or shape.unknown_rank or len(shape.dim) == 0 or (len(shape.dim) == 4 and shape.dim[3].size in (3, -1))


def is_downstream(graph_def: GraphDef, name: str, source: str) -> bool:
    """Return True if the operation `name` is computed from the operation `source`."""
    return name in _downstream(graph_def, source)


def _downstream(graph_def: GraphDef, graph_input: str) -> list[str]:
    """Return the names of all that is computed from the input, in the order of the graph, which need not be the computation's."""
    reached, before = {graph_input}, 0
    while len(reached) > before:
        before = len(reached)
        for node in graph_def.node:
            if any(node_name(text) in reached for text in node.input):
                reached.add(node.name)
    return [node.name for node in graph_def.node if node.name in reached and node.name != graph_input]


def _at_end(softmaxes: Sequence[NodeDef], graph_def: GraphDef) -> list[NodeDef]:
    """Return those whose values are only passed on, to an output of the graph."""
    users: dict[str, list[NodeDef]] = {}
    for node in graph_def.node:
        for text in node.input:
            users.setdefault(node_name(text), []).append(node)

    return [node for node in softmaxes if _is_passed_on(node, users)]


def _is_passed_on(node: NodeDef, users: Mapping[str, Sequence[NodeDef]]) -> bool:
    waiting, seen = [node], {node.name}
    while waiting:
        for user in users.get(waiting.pop().name, ()):
            if user.op not in PASSING:
                return False
            if user.name not in seen:
                seen.add(user.name)
                waiting.append(user)
    return True


def _before_last_layer(softmax: NodeDef, nodes: dict[str, NodeDef]) -> str | None:
    """Return what the product before the softmax is computed from; None if another operation stands between them."""
    node: NodeDef | None = softmax
    for _ in nodes:
        node = nodes.get(node_name(node.input[0])) if node is not None and node.input else None
        if node is None or node.op not in AFTER_PRODUCT:
            break
    is_layer = node is not None and (node.op == "MatMul" or (node.op == "Conv2D" and _is_1_by_1(node, nodes)))
    return node_name(node.input[0]) if is_layer and node is not None else None


def _is_1_by_1(convolution: NodeDef, nodes: dict[str, NodeDef]) -> bool:
    weights = nodes.get(node_name(convolution.input[1]))
    while weights is not None and weights.op == "Identity":
        weights = nodes.get(node_name(weights.input[0]))
    sizes = [size.size for size in weights.attr["value"].tensor.tensor_shape.dim] if weights is not None else []
    return sizes[:2] == [1, 1]


def _vectors(graph_def: GraphDef, names: list[str]) -> list[str]:
    """Return those operations that compute a vector of known length for each image, float32 [N, D] or [N, 1, 1, D]."""
    tf = load_tensorflow()
    with tf.Graph().as_default() as graph:
        try:
            tf.graph_util.import_graph_def(to_tensorflow(graph_def), name="")
        except (ValueError, LookupError, TypeError):  # Then it does not run either, and running it says why.
            return []
        return [name for name in names if _is_vector(graph.get_operation_by_name(name))]


def _is_vector(operation: Any) -> bool:
    if len(operation.outputs) != 1:
        return False
    [output] = operation.outputs
    if output.dtype.name != "float32" or output.shape.rank not in (2, 4):
        return False
    sizes = output.shape.as_list()
    return (sizes[-1] or 0) > 1 and all(size == 1 for size in sizes[1:-1])
