"""`pixels_<side>`: the flattened pixels as bottleneck, to train a network from scratch on small images.

With `--hidden_units 128 --dropout 0.2` on digits it is the dense network of many first courses: 784 → 128 → dropout → 10.
"""

import numpy as np
import tensorflow as tf

from retrain.backbones.architecture import Architecture
from retrain.graphdef.nodes import node_name

GREY_WEIGHTS = (0.299, 0.587, 0.114)  # Of red, green, blue: ITU-R BT.601, as in a JPEG. They add up to 1: grey stays as it is.

TENSORFLOW_1_15 = 134  # Its version of graphs (TF_GRAPH_DEF_VERSION); these operations have been the same since long before.


def pixels_graph(architecture: Architecture) -> bytes:
    """Return a GraphDef from `input`, float32 [N, H, W, 3], to the grey levels, float32 [N, H·W]; the same in each run."""
    with tf.Graph().as_default() as graph:
        size = [None, architecture.input_spec.height, architecture.input_spec.width, 3]
        pixels = tf.compat.v1.placeholder(tf.float32, size, name=node_name(architecture.input_tensor))
        grey = tf.reduce_sum(tf.multiply(pixels, np.array(GREY_WEIGHTS, np.float32), name="weighted"), axis=3, name="grey")
        tf.reshape(grey, [-1, architecture.bottleneck_size], name=node_name(architecture.bottleneck_tensor))
    exported = tf.compat.v1.train.export_meta_graph(graph=graph, graph_def=graph.as_graph_def(), strip_default_attrs=True)
    # The graph is part of the cache's fingerprint: no update of TensorFlow may change it.
    exported.graph_def.versions.producer = TENSORFLOW_1_15
    return exported.graph_def.SerializeToString(deterministic=True)
