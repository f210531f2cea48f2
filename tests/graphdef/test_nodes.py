"""Names and nodes of a GraphDef."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto.tensor_pb2 import TensorProto

from retrain.graphdef.nodes import (
    FLOAT,
    LISTS,
    array,
    constant,
    declared_shape,
    find_node,
    identity,
    node_name,
    plain_node,
    tensor_name,
)
from tests.support.graphs import Nodes


def test_names_of_nodes_and_tensors() -> None:
    assert [node_name(text) for text in ("pool_3:0", "pool_3", "^check", "a/b:1")] == ["pool_3", "pool_3", "check", "a/b"]
    assert [tensor_name(name) for name in ("Mul", "Mul:0", "split:1")] == ["Mul:0", "Mul:0", "split:1"]


def test_a_node_is_found_by_its_name() -> None:
    nodes = Nodes()
    nodes.placeholder("x", [None, 3])
    nodes.add("Neg", "y", "x")
    found = find_node(nodes.graph, "y")
    assert found is not None and found.op == "Neg"
    assert find_node(nodes.graph, "y:0") is None


def test_nodes_have_no_attributes_but_their_types() -> None:
    node = plain_node("MatMul", "product", "a", "b:1", T=FLOAT)
    assert (node.op, node.name, list(node.input), list(node.attr)) == ("MatMul", "product", ["a", "b:1"], ["T"])
    assert node.attr["T"].type == tf.float32.as_datatype_enum


def test_a_constant_holds_its_values() -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    node = constant("weights", values)
    assert (node.op, node.name, sorted(node.attr)) == ("Const", "weights", ["dtype", "value"])
    np.testing.assert_array_equal(tf.make_ndarray(node.attr["value"].tensor), values)
    text = constant("text", np.array(b"a text", dtype=object))
    assert text.attr["dtype"].type == tf.string.as_datatype_enum
    assert tf.make_ndarray(text.attr["value"].tensor).item() == b"a text"


def test_an_identity_takes_the_place_of_a_node() -> None:
    node = identity(plain_node("PlaceholderWithDefault", "fed", "x", dtype=FLOAT), "dtype")
    assert (node.op, node.name, list(node.input), list(node.attr)) == ("Identity", "fed", ["x"], ["T"])


def test_a_placeholders_shape() -> None:
    nodes = Nodes()
    nodes.placeholder("x", [None, 7, 3])
    nodes.add("Neg", "y", "x")
    placeholder, other = nodes.graph.node
    assert declared_shape(placeholder) == [None, 7, 3]
    assert declared_shape(other) == []
    assert "shape" not in other.attr, "reading must not add it"


VALUES = [
    np.float32(3.5),
    np.array([1.5], np.float32),
    np.array([[0.1, 0.2], [0.3, 0.4]], np.float32),
    np.zeros((0, 3), np.float32),
    np.zeros((2, 0), np.int32),
    np.float64(0.1),
    np.array([1.25, -2.5, 0], np.float16),
    np.int32(-7),
    np.array([[-1, 1001]], np.int32),
    np.array(2**40),
    np.array([True, False]),
    np.array([0, 255], np.uint8),
    np.array(b"a text", dtype=object),
    np.array([b"a", b"", b"\x00"], dtype=object),
    "text",
    b"bytes",
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_constants_are_tensorflows_byte_for_byte(value: Any) -> None:
    tensor = constant("x", value).attr["value"].tensor
    assert tensor.SerializeToString(deterministic=True) == tf.make_tensor_proto(value).SerializeToString(deterministic=True)
    text = value.encode() if isinstance(value, str) else value
    expected = np.array(text, dtype=object) if isinstance(text, bytes) else np.asarray(text)
    found = array(tensor)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", [tf.float32, tf.float16, tf.int32, tf.int64, tf.bool, tf.uint8])
@pytest.mark.parametrize("listed", [[], [1], [0, 1]])
def test_a_list_that_is_shorter_than_its_tensor_ends_with_its_last_value(kind: tf.DType, listed: list[int]) -> None:
    tensor = tf.make_tensor_proto(np.zeros((2, 3)), kind)
    field = LISTS[kind.as_datatype_enum][1]
    for stored in ("tensor_content", field):
        tensor.ClearField(stored)
    values = [15360 * value for value in listed] if kind == tf.float16 else listed  # 15360 is 1.0 in 16 bits.
    getattr(tensor, field).extend(values)
    found = array(TensorProto.FromString(tensor.SerializeToString()))
    np.testing.assert_array_equal(found, tf.make_ndarray(tensor))
    assert found.dtype == kind.as_numpy_dtype


def test_a_type_that_numpy_lacks_is_an_error() -> None:
    tensor = TensorProto.FromString(tf.make_tensor_proto([1.0, 2.0], tf.bfloat16).SerializeToString())
    with pytest.raises(TypeError, match=r"^constants of the type DT_BFLOAT16 cannot be read$"):
        array(tensor)
    with pytest.raises(TypeError, match=r"^constants of the type complex128 cannot be written$"):
        constant("x", np.array(1j))
