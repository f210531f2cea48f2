"""Frozen graphs, also those of 2015: read, and run over batches with the numbers that TensorFlow 1 computes."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.errors import GraphError
from retrain.graphdef.run import batch_function, bytes_function, parse_graph, read_graph
from tests.support.graphs import Nodes
from tests.support.pictures import encoded, noise, pictures
from tests.support.stand_ins import run_in_v1_session


def frozen_at_one_image() -> GraphDef:
    """Return placeholder [1, 2, 2, 3] → reshaped to [1, 12] → twice that."""
    nodes = Nodes()
    nodes.placeholder("input", [1, 2, 2, 3])
    nodes.const("shape", [1, 12], tf.int32)
    nodes.add("Reshape", "flat", "input", "shape", Tshape=tf.int32)
    nodes.add("Add", "twice", "flat", "flat")
    return nodes.graph


def test_a_graph_frozen_at_one_image_takes_batches() -> None:
    images = np.random.default_rng(0).normal(size=(5, 2, 2, 3)).astype(np.float32)
    function = batch_function(frozen_at_one_image(), "input:0", "twice:0")
    np.testing.assert_array_equal(function(images), 2 * images.reshape(5, 12))
    np.testing.assert_array_equal(function(images[:1]), 2 * images[:1].reshape(1, 12))
    with pytest.raises(ValueError, match="Cannot feed value of shape"):  # As it is, it does not.
        run_in_v1_session(frozen_at_one_image(), {"input:0": images[:1].repeat(2, axis=0)}, "twice:0")


def test_a_placeholder_that_says_nothing_of_its_shape_is_left_so() -> None:
    nodes = Nodes()
    nodes.graph.node.add(op="Placeholder", name="x").attr["dtype"].type = tf.float32.as_datatype_enum
    nodes.add("Neg", "y", "x")
    before = nodes.graph.SerializeToString(deterministic=True)
    images = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(batch_function(nodes.graph, "x:0", "y:0")(images), -images)
    assert nodes.graph.SerializeToString(deterministic=True) == before


@pytest.mark.parametrize("fetch", ["pool_3:0", "pool_3/_reshape:0", "mixed/join:0"])
def test_an_inception_runs_in_batches_with_the_old_numbers(tiny_inception: GraphDef, fetch: str) -> None:
    images = pictures(3, 299)
    expected = [run_in_v1_session(tiny_inception, {"Mul:0": image[np.newaxis]}, fetch)[0] for image in images]
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(batch_function(tiny_inception, "Mul:0", fetch)(images), expected, rtol=0, atol=1e-5)


def test_a_graph_that_decodes_by_itself_takes_a_files_bytes(tiny_inception: GraphDef) -> None:
    contents = encoded(noise(299, 299), "JPEG")
    decoded = tf.io.decode_jpeg(contents, channels=3).numpy().astype(np.float32)  # Of that size it is not resized.
    expected = run_in_v1_session(tiny_inception, {"Mul:0": (decoded[np.newaxis] - 128) / 128}, "pool_3:0")
    found = bytes_function(tiny_inception, "DecodeJpeg/contents:0", "pool_3:0")(contents)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_a_graph_is_read_from_its_file(tiny_inception: GraphDef, tmp_path: Path) -> None:
    (tmp_path / "graph.pb").write_bytes(tiny_inception.SerializeToString())
    assert read_graph(str(tmp_path / "graph.pb")) == tiny_inception


def test_a_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GraphError) as caught:
        read_graph(str(tmp_path / "none.pb"))
    assert str(caught.value) == f"The graph {tmp_path}/none.pb cannot be read (No such file or directory)."
    with pytest.raises(GraphError) as caught:
        read_graph(str(tmp_path))
    assert str(caught.value) == f"The graph {tmp_path} cannot be read (Is a directory)."


def test_bytes_that_are_no_graph_are_an_error(tiny_inception: GraphDef) -> None:
    with pytest.raises(GraphError) as caught:
        parse_graph(encoded(noise(9, 9), "PNG"), "some.pb")
    assert str(caught.value) == "some.pb is a PNG image, not a frozen TensorFlow graph (a GraphDef in binary form)."
    with pytest.raises(GraphError) as caught:
        parse_graph(tiny_inception.SerializeToString()[:-1000], "some.pb")
    assert str(caught.value) == "some.pb is not a frozen TensorFlow graph (a GraphDef in binary form), or is damaged."


def test_a_graph_without_nodes_is_an_error() -> None:
    with pytest.raises(GraphError) as caught:
        parse_graph(GraphDef(version=1).SerializeToString(), "empty.pb")
    assert str(caught.value) == "empty.pb holds no graph: no node was found in it."
