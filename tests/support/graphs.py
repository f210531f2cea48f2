"""Small graphs made node by node, and pictures to run through networks."""

from typing import Any

import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef


class Nodes:
    """A graph made node by node. A method returns the name of the node it adds."""

    def __init__(self) -> None:
        self.graph = GraphDef()
        self.graph.versions.producer = 8

    def add(self, op: str, name: str, *inputs: str, **attrs: Any) -> str:
        node = self.graph.node.add(op=op, name=name, input=inputs)
        for key, value in {"T": tf.float32, **attrs}.items():
            attr = node.attr[key]
            if isinstance(value, tf.DType):
                attr.type = value.as_datatype_enum
            elif isinstance(value, bool):
                attr.b = value
            elif isinstance(value, float):
                attr.f = value
            elif isinstance(value, list):
                attr.shape.ParseFromString(tf.TensorShape(value).as_proto().SerializeToString())
            else:
                attr.s = value
        return name

    def const(self, name: str, value: Any, dtype: tf.DType = tf.float32) -> str:
        node = self.graph.node.add(op="Const", name=name)
        node.attr["dtype"].type = dtype.as_datatype_enum
        node.attr["value"].tensor.ParseFromString(tf.make_tensor_proto(value, dtype).SerializeToString())
        return name

    def placeholder(self, name: str, shape: list[int | None]) -> str:
        node = self.graph.node.add(op="Placeholder", name=name)
        node.attr["dtype"].type = tf.float32.as_datatype_enum
        node.attr["shape"].shape.ParseFromString(tf.TensorShape(shape).as_proto().SerializeToString())
        return name


def ops_of(graph: GraphDef) -> set[str]:
    return {node.op for node in graph.node}


def names_of(graph: GraphDef) -> list[str]:
    return [node.name for node in graph.node]
