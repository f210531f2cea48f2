"""Names and nodes of a GraphDef."""

import numpy as np
import tensorflow as tf

from retrain.graphdef.nodes import FLOAT, constant, declared_shape, find_node, identity, node_name, plain_node, tensor_name
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
