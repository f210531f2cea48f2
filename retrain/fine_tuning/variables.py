"""Trainable weights of a frozen network: finding them among its constants, and writing new values back."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_BFLOAT16, DT_FLOAT, DT_HALF, DT_INT8, DT_QINT8, DT_QUINT8, DT_UINT8

from retrain.arrays import FloatArray
from retrain.graphdef.nodes import node_name
from retrain.graphdef.rewrite import modernised
from retrain.graphdef.subgraph import subgraph
from retrain.process.tensorflow_loading import load_tensorflow

# Operations that a layer starts with: index of the input that holds its kernel.
KERNELS = {"Conv2D": 1, "DepthwiseConv2dNative": 1, "MatMul": 1, "Conv2DBackpropInput": 1, "BatchMatMul": 1, "BatchMatMulV2": 1}
# Operations that shift or scale the output of a kernel: indices of the inputs that may hold the vector.
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
# Operations that compute in 8 bits; the kernel is input 1. They have no gradient.
QUANTIZED_KERNELS = re.compile(r"Quantized(Depthwise)?(Conv2D|MatMul)")
FLOATS = (DT_FLOAT, DT_HALF, DT_BFLOAT16)
EIGHT_BITS = (DT_UINT8, DT_INT8, DT_QUINT8, DT_QINT8)


@dataclass(frozen=True)
class Weight:
    """Constant that can be trained.

    Attributes:
        name: of the Const node.
        tensor: name of the tensor that a variable replaces: the constant, or its cast to float32 if it has fewer bits.
        value: float32, of the constant's shape.
    """

    name: str
    tensor: str
    value: FloatArray


@dataclass(frozen=True)
class Kernel:
    """Kernel of a convolution or a matrix product.

    Attributes:
        name: of the Const node that it is stored in.
        size: its number of values.
        is_8_bit: True if they are stored in 8 bits, so that they cannot be trained.
    """

    name: str
    size: int
    is_8_bit: bool


@dataclass(frozen=True)
class TrainableNetwork:
    """Copy of a network whose weights are placeholders.

    Attributes:
        graph_def: the network, with a placeholder instead of each weight; runs in TensorFlow 2, on batches.
        weights: the weights.
        names: names of all weights of the network, also of those that are not to be trained.
        input_tensor: name of the input, float32 [N, H, W, 3].
        bottleneck_tensor: name of the output, N × D values.
        kernels: all kernels of the network, also of those that are not to be trained or cannot be.
    """

    graph_def: GraphDef
    weights: tuple[Weight, ...]
    names: tuple[str, ...]
    input_tensor: str
    bottleneck_tensor: str
    kernels: tuple[Kernel, ...]


def open_weights(network: GraphDef, feed: str, fetch: str, names: str | None = None) -> TrainableNetwork:
    """Return the network from `feed` to `fetch` (names of tensors), with placeholders instead of its weights.

    Weights are the kernels of convolutions and matrix products, and the vectors that are added to or multiplied with their
    output: biases, and beta and gamma of batch normalisation. These do not count as weights:
    scalars (epsilon); integers (shapes, axes); constants applied to the image before the first kernel; and the moving mean and
    variance of batch normalisation, which are statistics of the photos that the network was trained on. A frozen network
    normalises with those, as it does when it is used; changing them would do nothing that beta and gamma cannot do.
    Kernels that are stored in 8 bits cannot be trained: a step is far smaller than the distance between two of their values.

    Args:
        network: is not changed.
        feed: the input, float32 [N, H, W, 3].
        fetch: the bottleneck.
        names: regular expression; only weights whose names match it are trained. None is all.
    """
    graph_def = modernised(subgraph(network, [node_name(fetch)]))
    wiring = _Wiring(graph_def, node_name(feed))
    found, kernels = _find_weights(wiring), _find_kernels(wiring)
    weights = [weight for weight in found if names is None or re.search(names, weight.name)]
    open_at = {node_name(weight.tensor) for weight in weights}
    for node in graph_def.node:
        if node.name in open_at:
            kind = node.attr["dtype" if node.op == "Const" else "DstT"].type
            node.CopyFrom(NodeDef(name=node.name, op="Placeholder"))
            node.attr["dtype"].type = kind
    return TrainableNetwork(graph_def, tuple(weights), tuple(weight.name for weight in found), feed, fetch, kernels)


def with_weights(network: GraphDef, values: Mapping[str, FloatArray]) -> GraphDef:
    """Return a copy of the network with new values of some constants: float32, by the names of Const nodes.

    The values are rounded to the type that each constant has in the file.
    """
    tf, changed = load_tensorflow(), GraphDef()  # It has types that NumPy lacks.
    changed.CopyFrom(network)
    for node in changed.node:
        if node.name in values:
            kind = tf.dtypes.as_dtype(node.attr["dtype"].type)
            largest = np.float32(kind.max)
            stored = np.clip(values[node.name], -largest, largest).astype(kind.as_numpy_dtype)
            node.attr["value"].tensor.CopyFrom(TensorProto.FromString(tf.make_tensor_proto(stored).SerializeToString()))
    return changed


class _Wiring:
    """Users of each node's output, in the part of a graph between `feed` and its outputs."""

    def __init__(self, graph_def: GraphDef, feed: str) -> None:
        self.nodes = {node.name: node for node in graph_def.node}
        self.users: dict[str, list[tuple[NodeDef, int]]] = {name: [] for name in self.nodes}
        for node in graph_def.node:
            for index, text in enumerate(node.input):
                if not text.startswith("^") and node.name != feed:
                    self.users[node_name(text)].append((node, index))
        self.on_the_image = self.after([feed])
        self.after_kernels = self.after(name for name in self.on_the_image if self.nodes[name].op in KERNELS)
        roots = [name for name, node in self.nodes.items() if node.op in ("Rsqrt", "Sqrt") and name not in self.on_the_image]
        self.after_variance = self.after(roots)

    def after(self, names: Iterable[str]) -> set[str]:
        """Return the names of these nodes and of all nodes computed from them."""
        found, waiting = set(), list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting.extend(user.name for user, _ in self.users[name])
        return found

    def meets_image(self, name: str) -> list[tuple[NodeDef, int]]:
        """Return each operation on the image, with its input's index, that uses the node's value, perhaps through constants."""
        return [
            (user, index)
            for each in self._constant_after(name)
            for user, index in self.users[each]
            if user.name in self.on_the_image
        ]

    def is_statistic(self, name: str) -> bool:
        """Return True for a moving variance, whose root is computed, and for a moving mean m, in `beta - m · gamma / root`."""
        if any(self.nodes[each].op in ("Rsqrt", "Sqrt") for each in self._constant_after(name)):
            return True
        return any(self._is_scaled_mean(user) for each in self._copies(name) for user, _ in self.users[each])

    def is_dequantized(self, name: str) -> bool:
        """Return True for what an operation converts from 8 bits, and for the range of its values."""
        return any(user.op == "Dequantize" for each in self._copies(name) for user, _ in self.users[each])

    def constants_before(self, name: str) -> list[NodeDef]:
        """Return the constants that a node is computed from; the node itself, if it is one."""
        found: dict[str, NodeDef] = {}
        waiting = [name]
        while waiting:
            node = self.nodes.get(waiting.pop())
            if node is not None and node.name not in found:
                found[node.name] = node
                waiting.extend(node_name(text) for text in node.input if not text.startswith("^"))
        return [node for node in found.values() if node.op == "Const"]

    def _is_scaled_mean(self, node: NodeDef) -> bool:
        if node.op != "Mul" or node.name in self.on_the_image:
            return False
        scaled = any(node_name(text) in self.after_variance for text in node.input)
        users = self.users[node.name]
        return scaled and bool(users) and all(user.op == "Sub" and index == 1 for user, index in users)

    def _copies(self, name: str) -> set[str]:
        """Return the names of the node and of those that only copy or cast its value."""
        found, waiting = {name}, [name]
        while waiting:
            for user, _ in self.users[waiting.pop()]:
                if user.op in ("Identity", "Cast") and user.name not in found:
                    found.add(user.name)
                    waiting.append(user.name)
        return found

    def _constant_after(self, name: str) -> set[str]:
        return {each for each in self.after([name]) if each not in self.on_the_image}


def _find_weights(wiring: _Wiring) -> list[Weight]:
    found = []
    for node in wiring.nodes.values():
        if node.op != "Const" or node.attr["dtype"].type not in FLOATS:
            continue
        rank = len(node.attr["value"].tensor.tensor_shape.dim)
        if rank == 0 or (rank == 1 and (wiring.is_statistic(node.name) or wiring.is_dequantized(node.name))):
            continue
        if any(_is_weight(wiring, *use) for use in wiring.meets_image(node.name)):
            value = load_tensorflow().make_ndarray(node.attr["value"].tensor).astype(np.float32)
            found.append(Weight(node.name, f"{_float32_copy(wiring, node)}:0", value))
    return found


def _find_kernels(wiring: _Wiring) -> tuple[Kernel, ...]:
    """Return the largest constant behind each kernel, once if several operations share it."""
    found = {}
    for node in wiring.nodes.values():
        index = 1 if QUANTIZED_KERNELS.match(node.op) else KERNELS.get(node.op)
        if index is None or node.name not in wiring.on_the_image or node_name(node.input[index]) in wiring.on_the_image:
            continue
        if constants := wiring.constants_before(node_name(node.input[index])):
            stored = max(constants, key=_size)
            is_8_bit = stored.attr["dtype"].type in EIGHT_BITS
            found[stored.name] = Kernel(stored.name, _size(stored), is_8_bit)
    return tuple(found.values())


def _size(node: NodeDef) -> int:
    return math.prod(dim.size for dim in node.attr["value"].tensor.tensor_shape.dim)


def _is_weight(wiring: _Wiring, user: NodeDef, index: int) -> bool:
    if user.op in KERNELS:
        return index == KERNELS[user.op]
    return user.name in wiring.after_kernels and index in SHIFTS_AND_SCALES.get(user.op, ())


def _float32_copy(wiring: _Wiring, node: NodeDef) -> str:
    """Return the node that holds the constant's value in 32 bits: in 16 bits most steps would be lost to rounding."""
    users = wiring.users[node.name]
    if node.attr["dtype"].type != DT_FLOAT and len(users) == 1:
        [(user, _)] = users
        if user.op == "Cast" and user.attr["DstT"].type == DT_FLOAT:
            return user.name
    return node.name
