"""Graphs of any age, rewritten so that they run fast over batches: the results stay the same."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.graphdef.rewrite import runnable_copy
from retrain.graphdef.run import batch_function, parse_graph
from retrain.graphdef.subgraph import subgraph
from tests.support.graphs import Nodes, ops_of
from tests.support.stand_ins import run_in_v1_session


def reshaping_to(sizes: Any) -> GraphDef:
    nodes = Nodes()
    nodes.placeholder("input", [None])
    nodes.const("shape", sizes, tf.int32)
    nodes.add("Reshape", "reshaped", "input", "shape", Tshape=tf.int32)
    nodes.const("bystander", sizes, tf.int32)
    nodes.add("BroadcastTo", "broadcast", "input", "bystander", Tidx=tf.int32)
    return nodes.graph


@pytest.mark.parametrize(
    ("sizes", "freed"),
    [
        ([1, 2048], [-1, 2048]),
        ([1, 1, 1, 1001], [-1, 1, 1, 1001]),
        ([2, 6], [2, 6]),  # No batch of one.
        ([-1, 12], [-1, 12]),
        ([1, -1], [1, -1]),  # Two free sizes are not allowed.
        ([1], [1]),  # A batch of one value each; -1 would swallow others, too.
        ([], []),
    ],
)
def test_only_reshapes_to_a_batch_of_one_are_freed(sizes: list[int], freed: list[int]) -> None:
    graph = reshaping_to(sizes)
    nodes = {node.name: node for node in runnable_copy(graph).node}
    assert tf.make_ndarray(nodes["shape"].attr["value"].tensor).tolist() == freed
    assert tf.make_ndarray(nodes["bystander"].attr["value"].tensor).tolist() == sizes
    assert nodes["shape"].attr["value"].tensor.dtype == tf.int32.as_datatype_enum


def batch_norm_graph(scale: bool, channels: int = 6) -> GraphDef:
    rng = np.random.default_rng(3)
    nodes = Nodes()
    nodes.placeholder("x", [1, 4, 5, channels])
    nodes.const("mean", rng.normal(0, 2, channels))
    nodes.const("variance", rng.uniform(0.01, 3, channels))
    nodes.const("beta", rng.normal(0, 1, channels))
    nodes.const("gamma", rng.uniform(0.3, 3, channels))
    inputs = ("x", "mean", "variance", "beta", "gamma")
    nodes.add("BatchNormWithGlobalNormalization", "norm", *inputs, variance_epsilon=0.01, scale_after_normalization=scale)
    nodes.add("Relu", "y", "norm")
    return nodes.graph


@pytest.mark.parametrize("scale", [False, True])
def test_the_old_batch_normalisation_gives_the_old_numbers(scale: bool) -> None:
    graph = batch_norm_graph(scale)
    images = np.random.default_rng(1).normal(0, 2, (7, 4, 5, 6)).astype(np.float32)
    expected = [run_in_v1_session(graph, {"x:0": image[np.newaxis]}, "y:0")[0] for image in images]
    assert "BatchNormWithGlobalNormalization" not in ops_of(runnable_copy(graph))
    np.testing.assert_allclose(batch_function(graph, "x:0", "y:0")(images), expected, rtol=1e-5, atol=1e-5)


def test_scale_after_normalization_matters_in_that_test() -> None:
    images = np.ones((1, 4, 5, 6), np.float32)
    with_gamma, without = (batch_function(batch_norm_graph(scale), "x:0", "norm:0")(images) for scale in (True, False))
    assert np.abs(with_gamma - without).max() > 0.1


def test_checks_of_numbers_are_taken_out_with_all_that_waits_for_them() -> None:
    nodes = Nodes()
    nodes.placeholder("x", [None])
    nodes.add("CheckNumerics", "check", "x", message=b"no number")
    nodes.add("Neg", "waiting", "x", "^check")
    nodes.add("Neg", "behind", "check", "^waiting")
    runnable = {node.name: node for node in runnable_copy(nodes.graph).node}
    assert "CheckNumerics" not in {node.op for node in runnable.values()}
    assert list(runnable["waiting"].input) == ["x"]
    assert list(runnable["behind"].input) == ["x", "^waiting"], "only checks are not waited for"
    values = np.array([1, -2], np.float32)
    np.testing.assert_array_equal(batch_function(nodes.graph, "x:0", "waiting:0")(values), -values)
    np.testing.assert_array_equal(batch_function(nodes.graph, "x:0", "behind:0")(values), -values)


def test_the_stand_in_has_all_that_stands_in_the_way(tiny_inception: GraphDef) -> None:
    assert {"BatchNormWithGlobalNormalization", "CheckNumerics", "Concat", "Reshape"} <= ops_of(tiny_inception)
    scales = {n.attr["scale_after_normalization"].b for n in tiny_inception.node if n.op == "BatchNormWithGlobalNormalization"}
    assert scales == {False, True}
    assert tiny_inception.versions.producer == 8


def convolution_graph(op: str, weights_through: Sequence[str] = ()) -> Nodes:
    """Return placeholder `x` [1, 5, 5, 3] → `conv` [1, 5, 5, 6]; the weights pass through Identities of these names."""
    nodes, rng = Nodes(), np.random.default_rng(0)
    nodes.placeholder("x", [1, 5, 5, 3])
    source = nodes.const("weights", rng.normal(size=(3, 3, 3, 6 if op == "Conv2D" else 2)))
    for name in weights_through:
        source = nodes.add("Identity", name, source)
    nodes.add(op, "conv", "x", source, padding=b"SAME")
    nodes.graph.node[-1].attr["strides"].list.i.extend([1, 1, 1, 1])
    return nodes


def check_against_session(graph: GraphDef, fetch: str = "y:0") -> None:
    images = np.random.default_rng(1).normal(size=(3, 5, 5, 3)).astype(np.float32)
    expected = [run_in_v1_session(graph, {"x:0": image[np.newaxis]}, fetch)[0] for image in images]
    np.testing.assert_allclose(batch_function(graph, "x:0", fetch)(images), expected, rtol=1e-5, atol=1e-5)


CONVOLUTIONS = pytest.mark.parametrize("op", ["Conv2D", "DepthwiseConv2dNative"])


@CONVOLUTIONS
@pytest.mark.parametrize("weights_through", [[], ["weights/read"], ["weights/read", "weights/again"]])
def test_scales_and_offsets_after_a_convolution_are_folded_with_the_same_result(op: str, weights_through: list[str]) -> None:
    nodes, rng = convolution_graph(op, weights_through), np.random.default_rng(2)
    nodes.const("variance", rng.uniform(0.1, 2, 6))
    nodes.const("epsilon", 0.001)
    nodes.add("Add", "safe", "variance", "epsilon")
    nodes.add("Rsqrt", "scale", "safe")
    nodes.const("mean", rng.normal(size=6))
    nodes.add("Mul", "scaled_mean", "mean", "scale")
    nodes.const("beta", rng.normal(size=6))
    nodes.add("Sub", "offset", "beta", "scaled_mean")
    nodes.add("Mul", "scaled", "conv", "scale")
    nodes.add("AddV2", "y", "scaled", "offset")
    check_against_session(nodes.graph)
    assert not ops_of(runnable_copy(nodes.graph)) & {"Mul", "Sub", "Rsqrt", "Add", "AddV2"}


@CONVOLUTIONS
def test_a_convolution_that_others_use_too_keeps_its_weights(op: str) -> None:
    nodes = convolution_graph(op)
    nodes.const("scale", np.arange(1, 7))
    nodes.add("Mul", "scaled", "conv", "scale")
    nodes.add("Add", "y", "scaled", "conv")
    check_against_session(nodes.graph)


def test_weights_that_two_convolutions_share_stay_as_they_are() -> None:
    nodes = convolution_graph("Conv2D")
    nodes.const("scale", np.arange(1, 7))
    nodes.add("Mul", "scaled", "conv", "scale")
    nodes.add("Conv2D", "other", "x", "weights", padding=b"VALID")
    nodes.graph.node[-1].attr["strides"].list.i.extend([1, 5, 5, 1])
    nodes.add("Add", "y", "scaled", "other")
    check_against_session(nodes.graph)


@CONVOLUTIONS
@pytest.mark.parametrize("changing", ["Mul", "Add", "AddV2"])
@pytest.mark.parametrize("values", [0.5, np.linspace(-1, 1, 6), np.linspace(-1, 1, 30).reshape(5, 6)])
@pytest.mark.parametrize("swapped", [False, True])
def test_constants_of_any_shape_after_a_convolution(op: str, changing: str, values: Any, swapped: bool) -> None:
    nodes = convolution_graph(op)
    nodes.const("constant", values)
    nodes.add(changing, "y", *(("constant", "conv") if swapped else ("conv", "constant")))
    check_against_session(nodes.graph)


@CONVOLUTIONS
@pytest.mark.parametrize("changing", ["Mul", "Add", "AddV2"])
def test_a_vector_of_one_number_after_a_convolution(op: str, changing: str) -> None:
    nodes = convolution_graph(op)
    nodes.const("constant", [0.5])
    nodes.add(changing, "y", "conv", "constant")
    check_against_session(nodes.graph)


def test_an_addition_that_widens_its_input() -> None:
    nodes = convolution_graph("Conv2D")
    nodes.const("axis", [3], tf.int32)
    nodes.add("Mean", "mean", "conv", "axis", Tidx=tf.int32, keep_dims=True)
    nodes.const("constant", [1, 2, 3, 4])
    nodes.add("AddV2", "y", "mean", "constant")
    check_against_session(nodes.graph)


@pytest.mark.parametrize(("feed", "channels"), [("x", 3), ("scaled", 6)])
def test_what_is_fed_is_not_folded(feed: str, channels: int) -> None:
    nodes = convolution_graph("Conv2D")
    nodes.const("scale", np.arange(1, 7))
    nodes.add("Mul", "scaled", "conv", "scale")
    nodes.add("Relu", "y", "scaled")
    value = np.random.default_rng(1).normal(size=(1, 5, 5, channels)).astype(np.float32)
    expected = run_in_v1_session(nodes.graph, {f"{feed}:0": value}, "y:0")
    np.testing.assert_allclose(batch_function(nodes.graph, f"{feed}:0", "y:0")(value), expected, rtol=1e-5, atol=1e-5)


def test_a_folded_network_is_smaller_and_says_the_same(mobilenet_model_dir: Path) -> None:
    data = read_graph_file(find_architecture("mobilenet_0.25_128"), str(mobilenet_model_dir))
    network = parse_graph(data, "mobilenet")
    cut = subgraph(network, ["MobilenetV1/Predictions/Reshape"])
    folded = runnable_copy(cut, keep="input")
    assert not ops_of(folded) & {"Mul", "Rsqrt", "Sub", "Add"}, "its batch normalisation is all in the convolutions"
    assert len(folded.node) < len(cut.node) / 3


def test_a_runnable_copy_leaves_its_graph_as_it_was(tiny_inception: GraphDef) -> None:
    before = tiny_inception.SerializeToString(deterministic=True)
    runnable_copy(tiny_inception)
    subgraph(tiny_inception, ["pool_3"])
    batch_function(tiny_inception, "Mul:0", "pool_3:0")
    assert tiny_inception.SerializeToString(deterministic=True) == before
