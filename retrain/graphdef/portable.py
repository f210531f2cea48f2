"""Graphs for readers other than TensorFlow, such as OpenCV and older converters, which know fewer operations."""

import numpy as np
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.types_pb2 import DataType

from retrain.graphdef.nodes import array, constant, node_name


def portable(graph_def: GraphDef) -> GraphDef:
    """Return a graph that computes the same bits: constants of float16 behind a Cast as float32, and Add for each AddV2.

    Readers older than TensorFlow 1.12 do not know AddV2. OpenCV takes weights from constants alone.
    """
    halves = {node.name: node for node in graph_def.node if node.op == "Const" and node.attr["dtype"].type == DataType.DT_HALF}
    casts = {node.name: halves[node.input[0]] for node in graph_def.node if _is_cast_of(node, halves)}
    if not casts and not any(node.op == "AddV2" for node in graph_def.node):
        return graph_def
    others = (node for node in graph_def.node if node.name not in casts)
    kept = {node_name(tensor) for node in others for tensor in node.input}
    replaced = {half.name for half in casts.values()} - kept
    changed = GraphDef()
    changed.CopyFrom(graph_def)
    del changed.node[:]
    for node in graph_def.node:
        if node.name in casts:
            changed.node.append(constant(node.name, array(casts[node.name].attr["value"].tensor).astype(np.float32)))
        elif node.name not in replaced:
            changed.node.append(node)
            if node.op == "AddV2":
                changed.node[-1].op = "Add"
    return changed


def _is_cast_of(node: NodeDef, constants: dict[str, NodeDef]) -> bool:
    return (
        node.op == "Cast" and len(node.input) == 1 and node.input[0] in constants and node.attr["DstT"].type == DataType.DT_FLOAT
    )
