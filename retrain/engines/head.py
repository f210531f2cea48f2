"""A classifier's dense layers at its end, computed in NumPy on what the network before them computes."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef

from retrain.arrays import BatchFunction, FloatArray
from retrain.graphdef.nodes import FLOAT, array, node_name

PASSING = ("Identity", "PlaceholderWithDefault")  # The second: where other programs feed bottlenecks.
ADDING = ("Add", "AddV2", "BiasAdd")


@dataclass(frozen=True)
class DenseHead:
    """Softmax layer, and hidden layers with ReLU before it if there are any.

    Attributes:
        bottleneck_tensor: what the first layer is computed from, [N, D].
        layers: weights, float32 [inputs, outputs], and biases, float32 [outputs], of each layer in turn.
        several_labels: True if a sigmoid is at the end, False for a softmax.
    """

    bottleneck_tensor: str
    layers: Sequence[tuple[FloatArray, FloatArray]]
    several_labels: bool = False

    def after(self, network: BatchFunction) -> BatchFunction:
        """Return the function from images to probabilities, float32 [N, C], for one from images to bottlenecks."""

        def scores(images: FloatArray) -> FloatArray:
            values = network(images)
            for number, (weights, biases) in enumerate(self.layers):
                values = (np.maximum(values, 0) if number else values) @ weights + biases
            if self.several_labels:
                powers = np.exp(-np.abs(values))  # Which cannot overflow.
                return np.where(values >= 0, 1, powers) / (1 + powers)
            powers = np.exp(values - values.max(axis=1, keepdims=True))
            return powers / powers.sum(axis=1, keepdims=True)

        scores.one_by_one = getattr(network, "one_by_one", False)  # type: ignore[attr-defined]
        return scores


def find_head(graph_def: GraphDef, output_tensor: str) -> DenseHead | None:
    """Return the dense layers that end in a softmax or a sigmoid named `output_tensor`; None if there are none."""
    reader = _Reader(graph_def)
    node = reader.node(output_tensor)
    if node is None or node.op not in ("Softmax", "Sigmoid") or not node.input:
        return None
    layers: list[tuple[FloatArray, FloatArray]] = []
    tensor = node.input[0]
    while layer := reader.layer(tensor):
        weights, biases, tensor = layer
        layers.insert(0, (weights, biases))
        before = reader.node(tensor)
        if before is None or before.op != "Relu" or not before.input or not reader.layer(before.input[0]):
            break
        tensor = before.input[0]
    if not layers or any(a[0].shape[1] != b[0].shape[0] for a, b in itertools.pairwise(layers)):
        return None
    return DenseHead(reader.passed(tensor), layers, node.op == "Sigmoid")


class _Reader:
    """Reader of the layers at the end of a graph."""

    def __init__(self, graph_def: GraphDef) -> None:
        self._nodes = {node.name: node for node in graph_def.node}

    def node(self, tensor: str) -> NodeDef | None:
        """Return the node of a first output, with those that pass a value on skipped; None if there is none."""
        return self._nodes.get(node_name(self.passed(tensor)))

    def passed(self, tensor: str) -> str:
        """Return the tensor that is passed on to `tensor`."""
        for _ in self._nodes:
            node = self._nodes.get(node_name(tensor))
            if node is None or node.op not in PASSING or not node.input:
                break
            tensor = node.input[0]
        return tensor

    def layer(self, tensor: str) -> tuple[FloatArray, FloatArray, str] | None:
        """Return weights, biases and the input of `input · weights + biases`; None if the tensor is something else."""
        added = self.node(tensor)
        if added is None or added.op not in ADDING or len(added.input) != 2:
            return None
        product, biases = self.node(added.input[0]), self._constant(added.input[1])
        if product is None or product.op != "MatMul" or len(product.input) != 2 or _is_transposed(product):
            return None
        weights = self._constant(product.input[1])
        if weights is None or biases is None or weights.ndim != 2 or biases.shape != weights.shape[1:]:
            return None
        return weights, biases, product.input[0]

    def _constant(self, tensor: str) -> FloatArray | None:
        node = self.node(tensor)
        if node is None or node.op != "Const" or node.attr["dtype"].type != FLOAT:
            return None
        try:
            return array(node.attr["value"].tensor)
        except (TypeError, ValueError):
            return None


def _is_transposed(product: NodeDef) -> bool:
    return any(name in product.attr and product.attr[name].b for name in ("transpose_a", "transpose_b"))
