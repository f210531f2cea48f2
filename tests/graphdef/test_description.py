"""The metadata in a graph, and its input settings."""

import dataclasses

import pytest
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.errors import GraphError
from retrain.graphdef.description import NODE_NAME, Description, input_fields, read_description
from retrain.graphdef.nodes import constant
from retrain.input_spec import InputSpec

DESCRIPTION = Description(("a", "b"), "input:0", 20, 30, 127.5, 127.5, "final_result:0", "some network", "a note")


def graph_with(text: bytes) -> GraphDef:
    graph = GraphDef()
    graph.node.append(constant("weights", [1.0, 2.0]))
    graph.node.append(constant(NODE_NAME, text))
    return graph


def test_a_graph_carries_its_metadata() -> None:
    assert read_description(graph_with(DESCRIPTION.to_json().encode())) == DESCRIPTION


def test_the_text_in_a_graph_is_part_of_the_format() -> None:
    assert DESCRIPTION.to_json() == (
        '{"labels": ["a", "b"], "input_tensor": "input:0", "input_height": 20, "input_width": 30, "input_mean": 127.5, '
        '"input_std": 127.5, "output_tensor": "final_result:0", "architecture": "some network", "note": "a note", '
        '"format_version": 1}'
    )


def test_a_graph_of_another_tool_has_none() -> None:
    graph = GraphDef()
    assert read_description(graph) is None
    graph.node.add(name=NODE_NAME, op="Placeholder")
    assert read_description(graph) is None


def test_damaged_metadata_is_an_error() -> None:
    with pytest.raises(GraphError, match="metadata cannot be read"):
        read_description(graph_with(b"{"))


def test_its_input_settings() -> None:
    spec = InputSpec(20, 30, 127.5, 127.5)
    assert DESCRIPTION.input_spec == spec
    assert dataclasses.replace(DESCRIPTION, **input_fields(spec)) == DESCRIPTION
    fields = {
        "input_height": 1,
        "input_width": 2,
        "input_mean": 3.0,
        "input_std": 4.0,
        "input_resize": "squash",
        "input_decode_scale": "full",
        "input_exif_orientation": "ignore",
        "input_channel_order": "rgb",
    }
    assert input_fields(InputSpec(1, 2, 3.0, 4.0)) == fields


def test_the_way_of_resizing_is_told_where_it_is_not_the_originals() -> None:
    """Files of squashed photos are the same as before there was a choice."""
    cropped = dataclasses.replace(DESCRIPTION, input_resize="crop")
    assert cropped.to_json().endswith('"format_version": 1, "input_resize": "crop"}')
    assert read_description(graph_with(cropped.to_json().encode())) == cropped
    assert cropped.input_spec == InputSpec(20, 30, 127.5, 127.5, "crop")


def test_an_unknown_way_of_resizing_is_an_error() -> None:
    text = DESCRIPTION.to_json().replace('"format_version": 1', '"input_resize": "fold"')
    with pytest.raises(GraphError) as caught:
        read_description(graph_with(text.encode()))
    assert str(caught.value) == "The model's metadata cannot be read (the resizing is none of squash, crop)."
