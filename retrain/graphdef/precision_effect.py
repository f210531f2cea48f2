"""Checks that `--precision` has an effect: else the cache would hold float32 bottlenecks under another precision's name."""

import functools
import itertools

import numpy as np
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.errors import FlagError
from retrain.graphdef.run import batch_function
from retrain.graphdef.tensorflow_form import from_tensorflow
from retrain.process.precision import FLOAT32
from retrain.process.tensorflow_loading import load_tensorflow

# A bfloat16 has 8 bits of mantissa: rounding changes a product by up to 0.4%, and float32 computes it to about 1e-7.
LEAST_ROUNDING = 1e-4
# TensorFlow and oneDNN round the factors of these (auto_mixed_precision_lists.h), and of no others if none of these is there.
ROUNDED_OPS = frozenset(
    {"Conv2D", "Conv3D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "MatMul", "BatchMatMul", "BatchMatMulV2", "Einsum"}
)
SIDE, CHANNELS, FILTERS = 8, 16, 32


def check_processor(precision: str) -> None:
    """Raise FlagError if TensorFlow computes in float32 on this processor whatever the precision."""
    if precision != FLOAT32 and not _rounds(precision):
        raise FlagError(
            f"--precision must be float32: TensorFlow ignores {precision} on this processor and computes in float32. "
            f"Got {precision}."
        )


def check_network(precision: str, graph_def: GraphDef) -> None:
    """Raise FlagError if the network has no operation that the precision could change."""
    nodes = itertools.chain(graph_def.node, *(function.node_def for function in graph_def.library.function))
    if precision != FLOAT32 and ROUNDED_OPS.isdisjoint(node.op for node in nodes):
        raise FlagError(
            f"--precision must be float32: the network has no convolution and no matrix product to compute in {precision}. "
            f"Got {precision}."
        )


@functools.cache
def _rounds(precision: str) -> bool:
    """Return True if a small convolution computed with the precision shows the rounding errors of bfloat16."""
    tf, rng = load_tensorflow(), np.random.default_rng(0)
    images = rng.normal(size=(1, SIDE, SIDE, CHANNELS)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, CHANNELS, FILTERS)).astype(np.float32)
    with tf.Graph().as_default() as graph:
        placeholder = tf.compat.v1.placeholder(tf.float32, [None, SIDE, SIDE, CHANNELS], name="images")
        # TensorFlow never changes the precision of the node that is fetched, hence the identity.
        tf.identity(tf.nn.conv2d(placeholder, kernel, 1, "VALID"), name="convolved")
    try:
        found = batch_function(from_tensorflow(graph.as_graph_def()), "images:0", "convolved:0", precision)(images)
    except tf.errors.OpError:  # oneDNN may be told to leave instructions unused that TensorFlow sees.
        return False
    windows = np.lib.stride_tricks.sliding_window_view(images.astype(np.float64), (3, 3), axis=(1, 2))
    exact = np.einsum("nyxcij,ijcf->nyxf", windows, kernel.astype(np.float64))
    return bool(np.linalg.norm(found - exact) > LEAST_ROUNDING * np.linalg.norm(exact))
