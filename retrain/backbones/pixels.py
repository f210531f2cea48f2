"""`pixels_<side>`: the flattened pixels as bottleneck, to train a network from scratch on small images.

With `--hidden_units 128 --dropout 0.2` on digits it is the dense network of many first courses: 784 → 128 → dropout → 10.
"""

import numpy as np
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.backbones.architecture import Architecture
from retrain.graphdef.nodes import FLOAT, constant, node_name, plain_node, set_shape

GREY_WEIGHTS = (0.299, 0.587, 0.114)  # Of red, green, blue: ITU-R BT.601, as in a JPEG. They add up to 1: grey stays as it is.

TENSORFLOW_1_15 = 134  # Its version of graphs (TF_GRAPH_DEF_VERSION); these operations have been the same since long before.


def pixels_graph(architecture: Architecture) -> bytes:
    """Return a GraphDef from `input`, float32 [N, H, W, 3], to the grey levels, float32 [N, H·W]; the same in each run."""
    size, name = architecture.input_spec, node_name(architecture.input_tensor)
    graph = GraphDef()
    placeholder = plain_node("Placeholder", name, dtype=FLOAT)
    set_shape(placeholder, [None, size.height, size.width, 3])
    graph.node.extend(
        [
            placeholder,
            constant("weighted/y", np.array(GREY_WEIGHTS, np.float32)),
            plain_node("Mul", "weighted", name, "weighted/y", T=FLOAT),
            constant("grey/reduction_indices", np.int32(3)),
            plain_node("Sum", "grey", "weighted", "grey/reduction_indices", T=FLOAT),
            constant("flattened_pixels/shape", np.array([-1, architecture.bottleneck_size], np.int32)),
            plain_node("Reshape", node_name(architecture.bottleneck_tensor), "grey", "flattened_pixels/shape", T=FLOAT),
        ]
    )
    # The graph is part of the cache's fingerprint: no update of TensorFlow may change it.
    graph.versions.producer = TENSORFLOW_1_15
    return graph.SerializeToString(deterministic=True)
