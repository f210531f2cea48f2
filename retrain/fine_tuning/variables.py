"""Which constants of a frozen network are its weights, how they become variables again, and how their new values are put back."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef

from retrain.arrays import FloatArray
from retrain.graphdef.nodes import node_name
from retrain.graphdef.rewrite import modernised
from retrain.graphdef.subgraph import subgraph

# Operations that a layer begins with, by the input that holds its kernel.
KERNELS = {"Conv2D": 1, "DepthwiseConv2dNative": 1, "MatMul": 1, "Conv2DBackpropInput": 1, "BatchMatMul": 1, "BatchMatMulV2": 1}
# Operations that shift or scale what came out of a kernel, by the inputs that may hold the vector for it.
SHIFTS_AND_SCALES = {
    "BiasAdd": (1,),
    "Add": (0, 1),
    "AddV2": (0, 1),
    "Sub": (0, 1),
    "Mul": (0, 1),
    "FusedBatchNorm": (1, 2),  # Scale and offset; 3 and 4 are the moving mean and variance.
    "FusedBatchNormV2": (1, 2),
    "FusedBatchNormV3": (1, 2),
}
FLOATS = (tf.float32, tf.float16, tf.bfloat16)


@dataclass(frozen=True)
class Weight:
    """A constant that can be trained.

    Attributes:
        name: of the Const node.
        tensor: what a variable takes the place of: the constant, or its cast to float32 where it is stored in fewer bits.
        value: float32, of the constant's shape.
    """

    name: str
    tensor: str
    value: FloatArray


@dataclass(frozen=True)
class TrainableNetwork:
    """A copy of a network whose weights are left open.

    Attributes:
        graph_def: the network, with a placeholder in the place of each weight; runs in TensorFlow 2, and takes batches.
        weights: what belongs there.
        names: of all weights that the network has, of those too that are not left open.
    """

    graph_def: GraphDef
    weights: tuple[Weight, ...]
    names: tuple[str, ...]


def trainable_network(network: GraphDef, feed: str, fetch: str, names: str | None = None) -> TrainableNetwork:
    """The network from `feed` to `fetch` (names of tensors), with its weights left open.

    Weights are the kernels of convolutions and matrix products, and the vectors that are added to or multiplied with what comes
    out of them: biases, and beta and gamma of batch normalisation. No weights are: scalars (epsilon); integers (shapes, axes);
    what changes the image before the first kernel; and the moving mean and variance of batch normalisation, which are
    statistics of the photos that the network was trained on. A frozen network normalises with those, as it will when it is used;
    a change of theirs would do nothing that beta and gamma cannot do.

    Args:
        network: is not changed.
        feed: takes float32 [N, H, W, 3].
        fetch: gives the bottlenecks.
        names: a regular expression; only weights in whose names it is found. None is all.
    """
    graph_def = modernised(subgraph(network, [node_name(fetch)]))
    found = _find_weights(graph_def, node_name(feed))
    weights = [weight for weight in found if names is None or re.search(names, weight.name)]
    open_at = {node_name(weight.tensor) for weight in weights}
    for node in graph_def.node:
        if node.name in open_at:
            kind = node.attr["dtype" if node.op == "Const" else "DstT"].type
            node.CopyFrom(NodeDef(name=node.name, op="Placeholder"))
            node.attr["dtype"].type = kind
    return TrainableNetwork(graph_def, tuple(weights), tuple(weight.name for weight in found))


def with_weights(network: GraphDef, values: Mapping[str, FloatArray]) -> GraphDef:
    """A copy of the network with the same nodes and other numbers: float32 values by the names of Const nodes.

    They are rounded to the type that each constant has in the file.
    """
    changed = GraphDef()
    changed.CopyFrom(network)
    for node in changed.node:
        if node.name in values:
            kind = tf.dtypes.as_dtype(node.attr["dtype"].type)
            largest = np.float32(kind.max)
            stored = np.clip(values[node.name], -largest, largest).astype(kind.as_numpy_dtype)
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(stored))
    return changed


class _Wiring:
    """Who uses whose output, in the part of a graph between `feed` and its outputs."""

    def __init__(self, graph_def: GraphDef, feed: str) -> None:
        self.nodes = {node.name: node for node in graph_def.node}
        self.users: dict[str, list[tuple[NodeDef, int]]] = {name: [] for name in self.nodes}
        for node in graph_def.node:
            for place, text in enumerate(node.input):
                if not text.startswith("^") and node.name != feed:
                    self.users[node_name(text)].append((node, place))
        self.on_the_image = self.after([feed])
        self.after_kernels = self.after(name for name in self.on_the_image if self.nodes[name].op in KERNELS)
        roots = [name for name, node in self.nodes.items() if node.op in ("Rsqrt", "Sqrt") and name not in self.on_the_image]
        self.after_variance = self.after(roots)

    def after(self, names: Iterable[str]) -> set[str]:
        """All that is computed from these nodes, and they themselves."""
        found, waiting = set(), list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(user.name for user, _ in self.users[name])
        return found

    def meets_image(self, name: str) -> list[tuple[NodeDef, int]]:
        """The operations on the image, and which input of theirs, that the node's value reaches through other constants."""
        return [
            (user, place)
            for each in self._constant_after(name)
            for user, place in self.users[each]
            if user.name in self.on_the_image
        ]

    def is_statistic(self, name: str) -> bool:
        """Whether it is a moving variance, whose root is taken; or a moving mean m, in `beta - m · gamma / root`."""
        if any(self.nodes[each].op in ("Rsqrt", "Sqrt") for each in self._constant_after(name)):
            return True
        return any(self._is_scaled_mean(user) for each in self._copies(name) for user, _ in self.users[each])

    def _is_scaled_mean(self, node: NodeDef) -> bool:
        if node.op != "Mul" or node.name in self.on_the_image:
            return False
        scaled = any(node_name(text) in self.after_variance for text in node.input)
        users = self.users[node.name]
        return scaled and bool(users) and all(user.op == "Sub" and place == 1 for user, place in users)

    def _copies(self, name: str) -> set[str]:
        """The node, and those that only hand its value on."""
        found, waiting = {name}, [name]
        while waiting:
            for user, _ in self.users[waiting.pop()]:
                if user.op in ("Identity", "Cast") and user.name not in found:
                    found.add(user.name)
                    waiting.append(user.name)
        return found

    def _constant_after(self, name: str) -> set[str]:
        return {each for each in self.after([name]) if each not in self.on_the_image}


def _find_weights(graph_def: GraphDef, feed: str) -> list[Weight]:
    wiring = _Wiring(graph_def, feed)
    found = []
    for node in graph_def.node:
        if node.op != "Const" or tf.dtypes.as_dtype(node.attr["dtype"].type) not in FLOATS:
            continue
        rank = len(node.attr["value"].tensor.tensor_shape.dim)
        if rank == 0 or (rank == 1 and wiring.is_statistic(node.name)):
            continue
        if any(_is_weight(wiring, *use) for use in wiring.meets_image(node.name)):
            value = tf.make_ndarray(node.attr["value"].tensor).astype(np.float32)
            found.append(Weight(node.name, f"{_float32_copy(wiring, node)}:0", value))
    return found


def _is_weight(wiring: _Wiring, user: NodeDef, place: int) -> bool:
    if user.op in KERNELS:
        return place == KERNELS[user.op]
    return user.name in wiring.after_kernels and place in SHIFTS_AND_SCALES.get(user.op, ())


def _float32_copy(wiring: _Wiring, node: NodeDef) -> str:
    """Where the constant's value has 32 bits. In 16 most steps would be lost: they are smaller than what rounding takes away."""
    users = wiring.users[node.name]
    if node.attr["dtype"].type != tf.float32.as_datatype_enum and len(users) == 1:
        [(user, _)] = users
        if user.op == "Cast" and user.attr["DstT"].type == tf.float32.as_datatype_enum:
            return user.name
    return node.name
