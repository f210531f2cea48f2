"""The frozen graph: the network under its own names, and the head after it, as the original writes it.

The head's nodes are written out by hand, since nodes made by today's TensorFlow have attributes that TensorFlow 1.15 refuses.
"""

import itertools
from collections.abc import Sequence

import numpy as np
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef

from retrain.arrays import FloatArray
from retrain.errors import FlagError, ModelError
from retrain.graphdef.description import NODE_NAME, Description
from retrain.graphdef.nodes import FLOAT, constant, node_name, plain_node, set_shape
from retrain.graphdef.portable import portable
from retrain.graphdef.subgraph import subgraph

MAX_BYTES = 2**31 - 1 - 2**20  # The limit of protocol buffers is 2 GB; the head's names and the metadata need some of it.


def check_final_tensor_name(name: str, network: GraphDef) -> None:
    """Raise FlagError if `--final_tensor_name` is the name of another operation of the exported graph."""
    taken = {node.name for node in network.node} | {NODE_NAME, "input", "final_training_ops"}
    if name in taken or name.startswith(("final_training_ops/", "input/", "input_1/")):
        raise FlagError(f"--final_tensor_name must be a name that the network does not use itself. Got {name}.")


def check_graph_size(network_size: int, layer_sizes: Sequence[int]) -> None:
    """Raise ModelError if a network of `network_size` bytes and a head with layers of these sizes, D to C, are too large."""
    size = network_size + sum((inputs + 1) * outputs * 4 for inputs, outputs in itertools.pairwise(layer_sizes))
    if size > MAX_BYTES:
        raise ModelError(
            f"The graph would be larger than 2 GB, the limit of its file format: {size} bytes. Use fewer classes or a smaller "
            "network."
        )


def retrained_graph(
    network: GraphDef,
    bottleneck_tensor: str,
    layers: Sequence[tuple[FloatArray, FloatArray]],
    final_tensor_name: str,
    description: Description,
) -> GraphDef:
    """Return the network up to its bottleneck, the head after it, and the metadata as an unconnected string constant.

    Where it can be done without changing a bit, operations are those that other readers know too (`portable`).

    Args:
        network: the backbone's graph; not changed.
        bottleneck_tensor: name of the bottleneck's tensor.
        layers: the head's weights, float32 [inputs, outputs], and biases, float32 [outputs], layer by layer.
        final_tensor_name: the name of the softmax, or of the sigmoid for images with several labels.
        description: metadata; written into the graph as JSON.
    """
    graph = portable(subgraph(network, [node_name(bottleneck_tensor)]))
    for node in graph.node:
        for note in [key for key in node.attr if key.startswith("_")]:
            del node.attr[note]  # The runtime's own, such as which operations were placed together.
    taken = {node.name.split("/", 1)[0] for node in graph.node}
    scope = "input" if "input" not in taken else "input_1"
    bottleneck = f"{scope}/BottleneckInputPlaceholder"
    ops = "final_training_ops"
    placeholder = plain_node("PlaceholderWithDefault", bottleneck, node_name(bottleneck_tensor), dtype=FLOAT)
    set_shape(placeholder, [None, len(layers[0][0])])
    graph.node.append(placeholder)
    values = bottleneck
    for number, layer in enumerate(layers[:-1], start=1):
        values, nodes = _hidden_layer(f"{ops}/hidden_{number}", values, *layer)
        graph.node.extend(nodes)
    weights, biases = layers[-1]
    graph.node.extend(
        [
            constant(f"{ops}/weights/final_weights", weights),
            plain_node("Identity", f"{ops}/weights/final_weights/read", f"{ops}/weights/final_weights", T=FLOAT),
            constant(f"{ops}/biases/final_biases", biases),
            plain_node("Identity", f"{ops}/biases/final_biases/read", f"{ops}/biases/final_biases", T=FLOAT),
            plain_node("MatMul", f"{ops}/Wx_plus_b/MatMul", values, f"{ops}/weights/final_weights/read", T=FLOAT),
            # Add, not AddV2: readers older than TensorFlow 1.12 know only the former.
            plain_node("Add", f"{ops}/Wx_plus_b/add", f"{ops}/Wx_plus_b/MatMul", f"{ops}/biases/final_biases/read", T=FLOAT),
            plain_node("Sigmoid" if description.thresholds else "Softmax", final_tensor_name, f"{ops}/Wx_plus_b/add", T=FLOAT),
            constant(NODE_NAME, np.array(description.to_json().encode(), dtype=object)),
        ]
    )
    return graph


def _hidden_layer(scope: str, values: str, weights: FloatArray, biases: FloatArray) -> tuple[str, list[NodeDef]]:
    """Return the output's name and the nodes of `relu(values · weights + biases)`."""
    return f"{scope}/Relu", [
        constant(f"{scope}/weights", weights),
        constant(f"{scope}/biases", biases),
        plain_node("MatMul", f"{scope}/MatMul", values, f"{scope}/weights", T=FLOAT),
        plain_node("Add", f"{scope}/add", f"{scope}/MatMul", f"{scope}/biases", T=FLOAT),
        plain_node("Relu", f"{scope}/Relu", f"{scope}/add", T=FLOAT),
    ]
