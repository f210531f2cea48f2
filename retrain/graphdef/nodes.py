"""Names and nodes of a GraphDef.

The classes of graphs are TensorBoard's, which are TensorFlow's under other names and load no TensorFlow. `tensorflow_form` makes
TensorFlow's own of them.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.attr_value_pb2 import AttrValue
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DataType

# The types float32 and int32 in an attribute.
FLOAT, INT32 = DataType.DT_FLOAT, DataType.DT_INT32
# NumPy's name of each type, and the field of a TensorProto that lists its values (tensorflow/core/framework/tensor.proto).
LISTS = {
    DataType.DT_FLOAT: ("float32", "float_val"),
    DataType.DT_DOUBLE: ("float64", "double_val"),
    DataType.DT_HALF: ("float16", "half_val"),
    **{DataType.Value(f"DT_{name.upper()}"): (name, "int_val") for name in ("int8", "int16", "int32", "uint8", "uint16")},
    DataType.DT_INT64: ("int64", "int64_val"),
    DataType.DT_UINT32: ("uint32", "uint32_val"),
    DataType.DT_UINT64: ("uint64", "uint64_val"),
    DataType.DT_BOOL: ("bool", "bool_val"),
    DataType.DT_STRING: ("object", "string_val"),
}
KINDS = {name: kind for kind, (name, _) in LISTS.items()}


def node_name(tensor: str) -> str:
    """Return the node of a tensor or of an input: `pool_3:0` → `pool_3`, and `^check`, a control dependency, → `check`."""
    return tensor.lstrip("^").split(":", 1)[0]


def tensor_name(name: str) -> str:
    """Return the first output of a node: `Mul` → `Mul:0`; a name with an output number stays."""
    return name if ":" in name else f"{name}:0"


def find_node(graph_def: GraphDef, name: str) -> NodeDef | None:
    """Return the node of that name; None if the graph has none."""
    return next((node for node in graph_def.node if node.name == name), None)


def plain_node(op: str, name: str, *inputs: str, **types: int) -> NodeDef:
    """Return a node whose only attributes are the given types, such as `T=FLOAT`.

    Nodes that today's TensorFlow makes have attributes that TensorFlow 1.15 refuses.
    """
    attributes = {key: AttrValue(type=kind) for key, kind in types.items()}
    return NodeDef(name=name, op=op, input=inputs, attr=attributes)


def constant(name: str, value: Any) -> NodeDef:
    """Return a Const node with the values of an array, or with a text. The encoding is that of TensorFlow's `make_tensor_proto`.

    Raises:
        TypeError: the type is not in LISTS.
    """
    text = value.encode() if isinstance(value, str) else value
    values = np.array(text, dtype=object) if isinstance(text, bytes) else np.asarray(text)
    kind = KINDS.get(values.dtype.name)
    if kind is None:
        raise TypeError(f"constants of the type {values.dtype.name} cannot be written")
    tensor = TensorProto(dtype=kind)
    tensor.tensor_shape.SetInParent()
    for size in values.shape:
        tensor.tensor_shape.dim.add(size=size)
    if values.size > 1 and kind not in (DataType.DT_STRING, DataType.DT_BOOL):
        tensor.tensor_content = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    else:
        listed = values.view(np.uint16) if kind == DataType.DT_HALF else values
        getattr(tensor, LISTS[kind][1]).extend(listed.ravel().tolist())
    attributes = {"dtype": AttrValue(type=tensor.dtype), "value": AttrValue(tensor=tensor)}
    return NodeDef(name=name, op="Const", attr=attributes)


def array(tensor: TensorProto) -> npt.NDArray[Any]:
    """Return the values of a constant. A list of values may be shorter than the tensor: the last one then fills the rest.

    Raises:
        TypeError: the type is one that NumPy does not have, such as bfloat16.
        ValueError: the values do not fit the shape.
    """
    if tensor.dtype not in LISTS:
        raise TypeError(f"constants of the type {DataType.Name(tensor.dtype)} cannot be read")
    kind, field = LISTS[tensor.dtype]
    shape = tuple(size.size for size in tensor.tensor_shape.dim)
    if tensor.tensor_content:
        return np.frombuffer(tensor.tensor_content, np.dtype(kind).newbyteorder("<")).reshape(shape).astype(kind)
    listed = getattr(tensor, field)
    values = np.zeros(math.prod(shape), kind)
    if field == "half_val":
        values[: len(listed)] = np.array(listed, np.uint16).view(np.float16)
    else:
        values[: len(listed)] = listed
    if listed:
        values[len(listed) :] = values[len(listed) - 1]
    return values.reshape(shape)


def set_shape(node: NodeDef, shape: Sequence[int | None]) -> None:
    """Set the shape that a placeholder declares; None stands for a free size."""
    node.attr["shape"].shape.SetInParent()
    for size in shape:
        node.attr["shape"].shape.dim.add(size=-1 if size is None else size)


def identity(node: NodeDef, kind: str) -> NodeDef:
    """Return an Identity under the name of `node`, of the same inputs; its type is the attribute `kind` of `node`."""
    return NodeDef(name=node.name, op="Identity", input=node.input, attr={"T": node.attr[kind]})


def declared_shape(node: NodeDef) -> list[int | None]:
    """Return the shape that a placeholder declares, None for a free size; empty if it declares none."""
    if "shape" not in node.attr:  # Reading the attribute would add it.
        return []
    return [size.size if size.size > 0 else None for size in node.attr["shape"].shape.dim]
