"""The frozen graph of EfficientNet-Lite, written node by node.

`input` → `stem` → `block_1` … → `head` → `bottleneck` → `logits` → `probabilities`. The operations and their attributes are those
of TensorFlow 1.15, and no update of TensorFlow or NumPy changes a byte: the graph is part of the cache's fingerprint.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.attr_value_pb2 import AttrValue
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.tensor_pb2 import TensorProto

from retrain.arrays import FloatArray
from retrain.backbones.efficientnet_lite.blocks import STEM_FILTERS, Block, blocks
from retrain.backbones.efficientnet_lite.variants import BOTTLENECK_SIZE, N_CLASSES, Variant
from retrain.backbones.efficientnet_lite.weights import Weights
from retrain.graphdef.nodes import FLOAT, INT32, plain_node

INPUT = "input"
BOTTLENECK = "bottleneck"
LOGITS = "logits"
PROBABILITIES = "probabilities"
TENSORFLOW_1_15 = 134  # Its version of graphs (TF_GRAPH_DEF_VERSION); these operations have been the same since long before.
STEM_KERNEL = 3


def build_graph(variant: Variant, tensors: Mapping[str, npt.NDArray[np.generic]]) -> bytes:
    """Return the variant's serialised GraphDef.

    It takes `input`, float32 [N, size, size, 3], RGB, (pixel - 127) / 128, and computes `bottleneck`, float32 [N, 1280], and
    `logits` and `probabilities`, float32 [N, 1000].

    Args:
        variant: the network.
        tensors: the checkpoint's tensors by name; each must be used.

    Raises:
        ModelError: a tensor is missing, unexpected, or of a wrong shape or type.
    """
    weights = Weights(variant, tensors)
    graph = _Graph(variant.input_size)
    values = graph.convolution(
        "stem", INPUT, weights.convolution("_conv_stem", "_bn0", (STEM_FILTERS, 3, STEM_KERNEL, STEM_KERNEL)), stride=2
    )
    values = graph.relu6("stem", values)
    inputs = STEM_FILTERS
    for number, block in enumerate(blocks(variant)):
        values = _add_block(graph, weights, number, block, values)
        inputs = block.outputs
    head = weights.convolution("_conv_head", "_bn1", (BOTTLENECK_SIZE, inputs, 1, 1))
    values = graph.relu6("head", graph.convolution("head", values, head))
    graph.mean(BOTTLENECK, values)
    graph.dense(LOGITS, BOTTLENECK, weights.dense("_fc", BOTTLENECK_SIZE, N_CLASSES))
    graph.add(plain_node("Softmax", PROBABILITIES, LOGITS, T=FLOAT))
    weights.check_all_used()
    return graph.serialised()


def _add_block(graph: "_Graph", weights: Weights, number: int, block: Block, values: str) -> str:
    """Add block `number`, counted from 0 as in the checkpoint; return the name of its output."""
    scope, source = f"block_{number + 1}", f"_blocks.{number}"
    filters = block.inputs * block.expansion
    start = values
    if block.expansion > 1:
        expand = weights.convolution(f"{source}._expand_conv", f"{source}._bn0", (filters, block.inputs, 1, 1))
        values = graph.relu6(f"{scope}/expand", graph.convolution(f"{scope}/expand", values, expand))
    depthwise = weights.depthwise(f"{source}._depthwise_conv", f"{source}._bn1", filters, block.kernel)
    values = graph.convolution(f"{scope}/depthwise", values, depthwise, block.stride, op="DepthwiseConv2dNative")
    values = graph.relu6(f"{scope}/depthwise", values)
    project = weights.convolution(f"{source}._project_conv", f"{source}._bn2", (block.outputs, filters, 1, 1))
    values = graph.convolution(f"{scope}/project", values, project)
    if block.is_residual:
        values = graph.add(plain_node("Add", f"{scope}/add", values, start, T=FLOAT))  # Not AddV2: OpenCV and TensorFlow 1.
    return values


class _Graph:
    """A GraphDef to which layers are added. Each method returns the name of the node with the layer's output."""

    def __init__(self, size: int) -> None:
        self._graph_def = GraphDef()
        self._graph_def.versions.producer = TENSORFLOW_1_15
        placeholder = plain_node("Placeholder", INPUT, dtype=FLOAT)
        for length in (-1, size, size, 3):
            placeholder.attr["shape"].shape.dim.add(size=length)
        self.add(placeholder)

    def add(self, node: NodeDef) -> str:
        self._graph_def.node.append(node)
        return node.name

    def convolution(
        self, scope: str, values: str, kernel: tuple[FloatArray, FloatArray], stride: int = 1, op: str = "Conv2D"
    ) -> str:
        """Add a convolution with TensorFlow's padding `SAME`, and its biases."""
        weights = self._constant(f"{scope}/weights", kernel[0])
        node = plain_node(op, f"{scope}/convolution", values, weights, T=FLOAT)
        node.attr["strides"].list.i.extend([1, stride, stride, 1])
        node.attr["padding"].s = b"SAME"
        node.attr["data_format"].s = b"NHWC"
        return self._biased(f"{scope}/bias_add", self.add(node), f"{scope}/biases", kernel[1])

    def relu6(self, scope: str, values: str) -> str:
        return self.add(plain_node("Relu6", f"{scope}/relu6", values, T=FLOAT))

    def mean(self, name: str, values: str) -> str:
        """Add the mean over height and width, [N, C]."""
        axes = self._constant(f"{name}/axes", np.array([1, 2], np.int32))
        # Without Tidx, whose default is int32: protocol buffers' implementations disagree whether it sorts before T or after.
        node = plain_node("Mean", name, values, axes, T=FLOAT)
        node.attr["keep_dims"].b = False
        return self.add(node)

    def dense(self, name: str, values: str, layer: tuple[FloatArray, FloatArray]) -> str:
        weights = self._constant(f"{name}/weights", layer[0])
        product = plain_node("MatMul", f"{name}/product", values, weights, T=FLOAT)
        product.attr["transpose_a"].b = False
        product.attr["transpose_b"].b = False
        return self._biased(name, self.add(product), f"{name}/biases", layer[1])

    def serialised(self) -> bytes:
        return self._graph_def.SerializeToString(deterministic=True)

    def _biased(self, name: str, values: str, constant: str, biases: FloatArray) -> str:
        node = plain_node("BiasAdd", name, values, self._constant(constant, biases), T=FLOAT)
        node.attr["data_format"].s = b"NHWC"
        return self.add(node)

    def _constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        """Add a constant. `make_tensor_proto` chooses between several encodings, and may choose another one some day."""
        tensor = TensorProto(dtype={"float32": FLOAT, "int32": INT32}[value.dtype.name])
        for length in value.shape:
            tensor.tensor_shape.dim.add(size=length)
        tensor.tensor_content = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes()
        attributes = {"dtype": AttrValue(type=tensor.dtype), "value": AttrValue(tensor=tensor)}
        return self.add(NodeDef(name=name, op="Const", attr=attributes))
