"""Names and nodes of a GraphDef."""

from typing import Any

import tensorflow as tf
from tensorflow.core.framework.attr_value_pb2 import AttrValue
from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef


def node_name(tensor: str) -> str:
    """Return the node of a tensor or of an input: `pool_3:0` → `pool_3`, and `^check`, a control dependency, → `check`."""
    return tensor.lstrip("^").split(":", 1)[0]


def tensor_name(name: str) -> str:
    """Return the first output of a node: `Mul` → `Mul:0`; a name with an output number stays."""
    return name if ":" in name else f"{name}:0"


def find_node(graph_def: GraphDef, name: str) -> NodeDef | None:
    """Return the node of that name; None if the graph has none."""
    return next((node for node in graph_def.node if node.name == name), None)


def plain_node(op: str, name: str, *inputs: str, **types: tf.DType) -> NodeDef:
    """Return a node whose only attributes are the given types, such as `T=tf.float32`.

    Nodes that today's TensorFlow makes have attributes that TensorFlow 1.15 refuses.
    """
    attributes = {key: AttrValue(type=kind.as_datatype_enum) for key, kind in types.items()}
    return NodeDef(name=name, op=op, input=inputs, attr=attributes)


def constant(name: str, value: Any) -> NodeDef:
    """Return a Const node with the values of an array."""
    tensor = tf.make_tensor_proto(value)
    attributes = {"dtype": AttrValue(type=tensor.dtype), "value": AttrValue(tensor=tensor)}
    return NodeDef(name=name, op="Const", attr=attributes)


def identity(node: NodeDef, kind: str) -> NodeDef:
    """Return an Identity under the name of `node`, of the same inputs; its type is the attribute `kind` of `node`."""
    return NodeDef(name=node.name, op="Identity", input=node.input, attr={"T": node.attr[kind]})


def declared_shape(node: NodeDef) -> list[int | None]:
    """Return the shape that a placeholder declares, None for a free size; empty if it declares none."""
    if "shape" not in node.attr:  # Reading the attribute would add it.
        return []
    return [size.size if size.size > 0 else None for size in node.attr["shape"].shape.dim]
