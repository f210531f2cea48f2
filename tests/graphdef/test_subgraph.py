"""The part of a graph that an output is computed from."""

import pytest
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.errors import GraphError
from retrain.graphdef.subgraph import subgraph
from tests.support.graphs import Nodes, names_of


def test_subgraph_keeps_what_is_needed_in_its_order() -> None:
    nodes = Nodes()
    nodes.placeholder("x", [1])
    nodes.add("Identity", "unused", "x")
    nodes.add("CheckNumerics", "check", "x", message=b"")
    nodes.add("Split", "parts", "x", "x")
    nodes.add("Neg", "y", "parts:1", "^check")
    nodes.add("Neg", "z", "y")
    cut = subgraph(nodes.graph, ["y"])
    assert names_of(cut) == ["x", "check", "parts", "y"]
    assert cut.versions.producer == 8
    assert names_of(subgraph(nodes.graph, ["unused", "check"])) == ["x", "unused", "check"]


def test_subgraph_cuts_the_classifier_off(tiny_inception: GraphDef) -> None:
    cut = names_of(subgraph(tiny_inception, ["pool_3"]))
    assert cut[-1] == "pool_3"
    assert "DecodeJpeg/contents" in cut
    assert not [name for name in cut if name.startswith("softmax")]


def test_a_graph_that_is_cut_off_is_an_error() -> None:
    graph = GraphDef()
    graph.node.add(name="end", op="Identity", input=["lost"])
    with pytest.raises(GraphError, match="it uses an operation lost that it does not have"):
        subgraph(graph, ["end"])
