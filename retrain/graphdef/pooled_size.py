"""Size of the images that a network takes, from its layers, where its input declares none."""

from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef

from retrain.graphdef.nodes import node_name
from retrain.input_spec import LARGEST_INPUT_SIDE

STRIDED = ("Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "QuantizedConv2D", "QuantizedMaxPool", "QuantizedAvgPool")
POOLING = ("AvgPool", "QuantizedAvgPool")


def pooled_size(graph_def: GraphDef, source: str, output: str) -> tuple[int, int] | None:
    """Return the height and the width that the last average pooling before the scores implies, in pixels.

    Such a pooling covers all that is left of an image: a kernel of 4 × 4 after strides that make 32 means 128 × 128 pixels.

    Args:
        graph_def: the graph.
        source: name of its input.
        output: name of the operation that computes the scores.
    """
    nodes = {node.name: node for node in graph_def.node}
    for pooling in _back_from(nodes.get(output), nodes, source):
        if pooling.op in POOLING and _pair(pooling, "ksize") != (1, 1):
            height, width = _pair(pooling, "ksize")
            for node in _back_from(_before(pooling, nodes), nodes, source):
                if node.op in STRIDED and "strides" in node.attr:
                    down, right = _pair(node, "strides")
                    height, width = height * down, width * right
            return (height, width) if max(height, width) <= LARGEST_INPUT_SIDE and min(height, width) > 0 else None
    return None


def _back_from(node: NodeDef | None, nodes: dict[str, NodeDef], source: str) -> list[NodeDef]:
    """Return the operation and those before it, along the first input of each, up to the graph's input; empty if it is missed."""
    path: list[NodeDef] = []
    while node is not None and len(path) <= len(nodes):
        if node.name == source:
            return path
        path.append(node)
        node = _before(node, nodes)
    return []


def _before(node: NodeDef, nodes: dict[str, NodeDef]) -> NodeDef | None:
    return nodes.get(node_name(node.input[0])) if node.input else None


def _pair(node: NodeDef, attribute: str) -> tuple[int, int]:
    """Return the values for rows and columns of [1, rows, columns, 1]; (1, 1) if it is another list."""
    sizes = list(node.attr[attribute].list.i) if attribute in node.attr else []
    return (sizes[1], sizes[2]) if len(sizes) == 4 and sizes[0] == sizes[3] == 1 else (1, 1)
