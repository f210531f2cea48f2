"""A frozen network small enough to compute by hand, with parts of old ones: normalised images, batch normalisation."""

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef

FEED, FETCH = "input:0", "bottleneck:0"
SIZE, D = 4, 5
EPSILON = 0.001
_rng = np.random.default_rng(5)
BATCH_NORM = ("conv/beta", "conv/gamma", "conv/mean", "conv/variance")
# Float constants by name.
CONSTANTS: dict[str, npt.NDArray[np.float32]] = {
    "levels": np.array([0.4, 0.5, 0.6], np.float32),
    "conv/weights": _rng.normal(0, 0.5, (2, 2, 3, D)).astype(np.float32),
    "conv/beta": _rng.normal(0.5, 0.3, D).astype(np.float32),
    "conv/gamma": _rng.uniform(0.7, 1.4, D).astype(np.float32),
    "conv/mean": _rng.normal(0, 0.2, D).astype(np.float32),
    "conv/variance": _rng.uniform(0.7, 1.4, D).astype(np.float32),
    "shift": _rng.normal(0, 0.3, D).astype(np.float32),
}


def small_network(fused: bool = False) -> GraphDef:
    """float32 [N, 4, 4, 3] → [N, 5]: minus `levels`, 2×2 convolution, batch normalisation, Relu6, plus `shift`, mean over places.

    With `fused`, batch normalisation is one operation, else the ten that TensorFlow 1 made of it.
    """
    graph = GraphDef()
    graph.versions.producer = 21

    def add(op: str, name: str, *inputs: str, **types: tf.DType) -> NodeDef:
        node = graph.node.add(op=op, name=name, input=inputs)
        for key, kind in (types or {"T": tf.float32}).items():
            node.attr[key].type = kind.as_datatype_enum
        return node

    def constant(name: str, value: npt.ArrayLike, kind: tf.DType = tf.float32) -> str:
        add("Const", name, dtype=kind).attr["value"].tensor.ParseFromString(tf.make_tensor_proto(value, kind).SerializeToString())
        return name

    def read(name: str) -> str:
        constant(name, CONSTANTS[name])
        return add("Identity", f"{name}/read", name).name

    shape = add("Placeholder", "input", dtype=tf.float32).attr["shape"].shape
    for size in (-1, SIZE, SIZE, 3):
        shape.dim.add(size=size)
    add("Sub", "normalised", "input", read("levels"))
    convolution = add("Conv2D", "conv/convolution", "normalised", read("conv/weights"))
    convolution.attr["strides"].list.i.extend([1, 1, 1, 1])
    convolution.attr["padding"].s = b"VALID"
    beta, gamma, mean, variance = map(read, BATCH_NORM)
    if fused:
        norm = add("FusedBatchNorm", "conv/norm", "conv/convolution", gamma, beta, mean, variance)
        norm.attr["epsilon"].f = EPSILON
        norm.attr["is_training"].b = False
    else:
        add("Add", "conv/add", variance, constant("conv/add/y", EPSILON))
        add("Rsqrt", "conv/Rsqrt", "conv/add")
        add("Mul", "conv/mul", "conv/Rsqrt", gamma)
        add("Mul", "conv/mul_1", "conv/convolution", "conv/mul")
        add("Mul", "conv/mul_2", mean, "conv/mul")
        add("Sub", "conv/sub", beta, "conv/mul_2")
        add("Add", "conv/norm", "conv/mul_1", "conv/sub")
    add("Relu6", "conv/relu", "conv/norm")
    add("Minimum", "limited", "conv/relu", constant("limit", 5.5))
    add("Add", "shifted", "limited", read("shift"))
    add("Mean", "bottleneck", "shifted", constant("axes", [1, 2], tf.int32), T=tf.float32, Tidx=tf.int32)
    return graph
