"""Inference of a graph's layers, and the errors that name what could be meant."""

import pytest
import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.errors import GraphError
from retrain.graphdef.find_layers import (
    check_layer,
    find_bottleneck,
    find_classifier_input,
    find_output,
    find_pixel_input,
    layer_names,
    not_inferred,
)
from tests.support.graphs import Nodes


def graph_of(*placeholders: str, result: str = "scores") -> GraphDef:
    """Return a graph of which each placeholder takes pixels, and whose last operation is named `result`."""
    nodes = Nodes()
    for name in placeholders:
        nodes.placeholder(name, [None, 8, 8, 3])
    nodes.add("Relu", result, placeholders[0])
    return nodes.graph


def error_of(find: object, graph: GraphDef) -> str:
    with pytest.raises(GraphError) as caught:
        find(graph)  # type: ignore[operator]
    return str(caught.value)


def test_the_only_placeholder_is_the_input() -> None:
    for find in (find_pixel_input, find_classifier_input):
        assert find(graph_of("images")) == "images"


def test_of_several_placeholders_the_known_name_is_the_input() -> None:
    for find in (find_pixel_input, find_classifier_input):
        assert find(graph_of("noise", "input")) == "input"


def test_several_unknown_placeholders() -> None:
    sentence = "The model's input cannot be inferred. It could be: left, right. Name it with --input_layer."
    for find in (find_pixel_input, find_classifier_input):
        assert error_of(find, graph_of("left", "right")) == sentence


def test_training_needs_pixels_and_labelling_takes_any_placeholder() -> None:
    nodes = Nodes()
    nodes.graph.node.add(op="Placeholder", name="text").attr["dtype"].type = tf.string.as_datatype_enum
    assert error_of(find_pixel_input, nodes.graph) == (
        "The model's input cannot be inferred. It has no placeholder for pixels, float32 [N, H, W, 3]. "
        "Name it with --input_layer."
    )
    assert find_classifier_input(nodes.graph) == "text"


def test_inceptions_inputs(tiny_inception: GraphDef) -> None:
    assert find_pixel_input(tiny_inception) == find_classifier_input(tiny_inception) == "Mul"


def test_a_graph_without_an_input() -> None:
    graph = GraphDef()
    graph.node.add(op="Const", name="weights")
    sentence = "The model's input cannot be inferred. It has no placeholder. Name it with --input_layer."
    assert error_of(find_classifier_input, graph) == sentence


def test_the_output() -> None:
    assert find_output(graph_of("x", result="final_result")) == "final_result"
    assert find_output(graph_of("x", result="anything")) == "anything"
    graph = graph_of("x")
    graph.node.add(op="Neg", name="other", input=["x"])
    sentence = "The model's output cannot be inferred. It could be: scores, other. Name it with --output_layer."
    assert error_of(find_output, graph) == sentence
    reason = "Each of its results is used by another operation."
    sentence = f"The model's output cannot be inferred. {reason} Name it with --output_layer."
    assert error_of(find_output, GraphDef()) == sentence


def test_the_bottleneck_of_a_known_name(tiny_inception: GraphDef) -> None:
    assert find_bottleneck(tiny_inception, "Mul") == "pool_3/_reshape"


def test_names_that_tensorflow_refuses_are_no_layers() -> None:
    graph = GraphDef()
    for name in ("good", "a:1", "^a", "", "also/good_1"):
        graph.node.add(op="Const", name=name)
    assert layer_names(graph) == ["good", "also/good_1"]


@pytest.mark.parametrize(
    ("layer", "candidates", "could"),
    [
        ("imput", (), "It could be: input."),
        ("imput:0", ("input", "images"), "It could be: input, images."),
        ("zzz", (), "scripts.count_ops lists its operations."),
    ],
)
def test_a_layer_that_the_model_does_not_have(layer: str, candidates: tuple[str, ...], could: str) -> None:
    with pytest.raises(GraphError) as caught:
        check_layer("input_layer", layer, ["input", "images"], candidates)
    assert str(caught.value) == f"--input_layer: the model has no layer named {layer.split(':', maxsplit=1)[0]}. {could}"


def test_a_layer_that_the_model_has() -> None:
    check_layer("input_layer", "input:0", ["input"])


def test_the_error_without_candidates() -> None:
    assert str(not_inferred("output", [])) == "The model's output cannot be inferred. Name it with --output_layer."
