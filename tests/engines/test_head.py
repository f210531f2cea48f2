"""The dense layers at a graph's end, in NumPy, against TensorFlow."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.engines.head import find_head
from retrain.export.frozen_graph import retrained_graph
from retrain.graphdef.description import Description
from retrain.graphdef.run import batch_function
from retrain.graphdef.tensorflow_form import from_tensorflow
from tests.support.small_network import FEED, FETCH, SIZE, D, small_network

DESCRIPTION = Description(("a", "b", "c"), FEED, SIZE, SIZE, 0.0, 1.0, "final_result:0", "small")


def trained(hidden: tuple[int, ...]) -> GraphDef:
    rng = np.random.default_rng(len(hidden))
    sizes = (D, *hidden, 3)
    layers = [
        (rng.normal(size=(inputs, outputs)).astype(np.float32), rng.normal(size=outputs).astype(np.float32))
        for inputs, outputs in itertools.pairwise(sizes)
    ]
    return retrained_graph(small_network(), FETCH, layers, "final_result", DESCRIPTION)


@pytest.mark.parametrize("hidden", [(), (7,), (9, 4)])
def test_an_exported_head_gives_the_graphs_scores(hidden: tuple[int, ...]) -> None:
    graph = trained(hidden)
    head = find_head(graph, "final_result:0")
    assert head is not None and len(head.layers) == len(hidden) + 1
    assert head.bottleneck_tensor == FETCH.partition(":")[0]
    images = np.random.default_rng(0).normal(size=(20, SIZE, SIZE, 3)).astype(np.float32)
    bottlenecks = batch_function(graph, FEED, FETCH)
    expected = batch_function(graph, FEED, "final_result:0")(images)
    found = head.after(lambda values: bottlenecks(values).reshape(len(values), -1))(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def graph_of(name: str) -> GraphDef:
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, 4], name="x")
        weights, biases = tf.constant(np.eye(4, 3, dtype=np.float32)), tf.constant(np.zeros(3, np.float32))
        logits = {
            "transposed": lambda: tf.matmul(x, tf.transpose(weights) * 1, transpose_b=True) + biases,
            "transposed constant": lambda: tf.matmul(x, np.eye(3, 4, dtype=np.float32), transpose_b=True) + biases,
            "computed weights": lambda: tf.matmul(x, x, transpose_a=True) + np.zeros(4, np.float32),
            "no biases": lambda: tf.matmul(x, weights),
            "biases of another shape": lambda: tf.matmul(x, weights) + tf.zeros([1, 3]),
            "double": lambda: tf.cast(tf.matmul(tf.cast(x, tf.float64), np.eye(4)) + np.zeros(4), tf.float32),
            "no layer": lambda: x * 2,
        }[name]()
        tf.nn.softmax(logits, name="scores")
    return from_tensorflow(graph.as_graph_def())


@pytest.mark.parametrize(
    "name",
    ["transposed", "transposed constant", "computed weights", "no biases", "biases of another shape", "double", "no layer"],
)
def test_what_is_no_plain_head_is_left_to_the_engine(name: str) -> None:
    assert find_head(graph_of(name), "scores:0") is None


def test_an_output_that_is_no_softmax_or_is_not_there() -> None:
    graph = trained(())
    assert find_head(graph, "final_training_ops/Wx_plus_b/add:0") is None
    assert find_head(graph, "nowhere:0") is None


def test_a_damaged_graph_is_no_error_here() -> None:
    graph = trained((7,))
    for node in graph.node:
        if node.name.startswith("final_training_ops") and node.op == "Const":
            node.attr["value"].tensor.tensor_content = b"123"
    assert find_head(graph, "final_result:0") is None
    for node in graph.node:
        del node.input[:]
    assert find_head(graph, "final_result:0") is None
