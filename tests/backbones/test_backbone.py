"""Frozen graphs, also those of 2015: read, cut and run over batches, with the numbers that TensorFlow 1 gives."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.framework.graph_pb2 import GraphDef

from retrain.backbones.backbone import Backbone, load_backbone
from retrain.backbones.catalog import BUNDLED, INCEPTION, Architecture, find_architecture
from retrain.backbones.download import read_graph_file
from retrain.errors import GraphError, ModelError
from retrain.graphdef.nodes import node_name, tensor_name
from retrain.graphdef.rewrite import runnable_copy
from retrain.graphdef.run import batch_function, bytes_function, parse_graph, read_graph
from retrain.graphdef.subgraph import subgraph
from tests.support.pictures import encoded, noise, pictures
from tests.support.stand_ins import full_size_inception_graph, run_in_v1_session, tiny_inception_graph

MOBILENET = "mobilenet_0.25_128"


@pytest.fixture(scope="module")
def tiny_inception() -> GraphDef:
    return tiny_inception_graph()


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
                attr.shape.CopyFrom(tf.TensorShape(value).as_proto())
            else:
                attr.s = value
        return name

    def const(self, name: str, value: Any, dtype: tf.DType = tf.float32) -> str:
        node = self.graph.node.add(op="Const", name=name)
        node.attr["dtype"].type = dtype.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value, dtype))
        return name

    def placeholder(self, name: str, shape: list[int | None]) -> str:
        node = self.graph.node.add(op="Placeholder", name=name)
        node.attr["dtype"].type = tf.float32.as_datatype_enum
        node.attr["shape"].shape.CopyFrom(tf.TensorShape(shape).as_proto())
        return name


def ops_of(graph: GraphDef) -> set[str]:
    return {node.op for node in graph.node}


def names_of(graph: GraphDef) -> list[str]:
    return [node.name for node in graph.node]


# Names and cutting


def test_names_of_nodes_and_tensors() -> None:
    assert [node_name(text) for text in ("pool_3:0", "pool_3", "^check", "a/b:1")] == ["pool_3", "pool_3", "check", "a/b"]
    assert [tensor_name(name) for name in ("Mul", "Mul:0", "split:1")] == ["Mul:0", "Mul:0", "split:1"]


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


# Batches


def frozen_at_one_image() -> GraphDef:
    """Placeholder [1, 2, 2, 3] → reshaped to [1, 12] → twice that."""
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


# What newer runtimes refuse


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


@pytest.mark.parametrize("fetch", ["pool_3:0", "pool_3/_reshape:0", "mixed/join:0"])
def test_an_inception_runs_in_batches_with_the_old_numbers(tiny_inception: GraphDef, fetch: str) -> None:
    images = pictures(3, 299)
    expected = [run_in_v1_session(tiny_inception, {"Mul:0": image[np.newaxis]}, fetch)[0] for image in images]
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(batch_function(tiny_inception, "Mul:0", fetch)(images), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_an_inception_of_full_size_runs_in_batches_with_the_old_numbers() -> None:
    backbone = load_backbone(find_architecture(INCEPTION), full_size_inception_graph().SerializeToString())
    images = pictures(2, 299)
    expected = [run_in_v1_session(backbone.graph_def, {"Mul:0": image[np.newaxis]}, "pool_3/_reshape:0")[0] for image in images]
    assert np.shape(expected) == (2, 2048)
    np.testing.assert_allclose(backbone.run(images), expected, rtol=0, atol=1e-4)


def test_a_graph_that_decodes_by_itself_takes_a_files_bytes(tiny_inception: GraphDef) -> None:
    contents = encoded(noise(299, 299), "JPEG")
    decoded = tf.io.decode_jpeg(contents, channels=3).numpy().astype(np.float32)  # Of that size it is not resized.
    expected = run_in_v1_session(tiny_inception, {"Mul:0": (decoded[np.newaxis] - 128) / 128}, "pool_3:0")
    found = bytes_function(tiny_inception, "DecodeJpeg/contents:0", "pool_3:0")(contents)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


# What is worked out beforehand


def convolution_graph(op: str, weights_through: Sequence[str] = ()) -> Nodes:
    """Placeholder `x` [1, 5, 5, 3] → `conv` [1, 5, 5, 6]; the weights pass through Identities of these names."""
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
    network = mobilenet(mobilenet_model_dir).graph_def
    cut = subgraph(network, ["MobilenetV1/Predictions/Reshape"])
    folded = runnable_copy(cut, keep="input")
    assert not ops_of(folded) & {"Mul", "Rsqrt", "Sub", "Add"}, "its batch normalisation is all in the convolutions"
    assert len(folded.node) < len(cut.node) / 3


# Networks


def bundled() -> Backbone:
    architecture = find_architecture(BUNDLED)
    return load_backbone(architecture, read_graph_file(architecture, ""))


def mobilenet(model_dir: Path) -> Backbone:
    architecture = find_architecture(MOBILENET)
    return load_backbone(architecture, read_graph_file(architecture, str(model_dir)))


def inception(graph: GraphDef) -> Backbone:
    return load_backbone(find_architecture(INCEPTION), graph.SerializeToString())


def check_batches(backbone: Backbone, places: Sequence[int] = (0, 1, 31, 63)) -> None:
    """Batches of 64 and of 1 agree, and the network is left as it was."""
    before = backbone.graph_def.SerializeToString(deterministic=True)
    images = pictures(64, backbone.architecture.input_height)
    together = backbone.run(images)
    assert together.shape == (64, backbone.architecture.bottleneck_size)
    assert together.dtype == np.float32
    assert (together.std(axis=0) > 0).any()
    alone = np.concatenate([backbone.run(images[[place]]) for place in places])
    np.testing.assert_allclose(alone, together[list(places)], rtol=0, atol=1e-4)
    assert backbone.graph_def.SerializeToString(deterministic=True) == before


def test_batches_of_1_and_of_64_agree_in_the_bundled_network() -> None:
    check_batches(bundled())


def test_batches_of_1_and_of_64_agree_in_mobilenet(mobilenet_model_dir: Path) -> None:
    check_batches(mobilenet(mobilenet_model_dir))


def test_batches_of_1_and_of_64_agree_in_inception(tiny_inception: GraphDef) -> None:
    check_batches(inception(tiny_inception))


def test_mobilenets_bottlenecks_are_those_of_a_session(mobilenet_model_dir: Path) -> None:
    backbone, images = mobilenet(mobilenet_model_dir), pictures(2, 128)
    fetch = backbone.architecture.bottleneck_tensor
    cut = subgraph(backbone.graph_def, [node_name(fetch)])
    expected = [run_in_v1_session(cut, {"input:0": image[np.newaxis]}, fetch)[0] for image in images]
    np.testing.assert_allclose(backbone.run(images), expected, rtol=0, atol=1e-4)


def test_a_runnable_copy_leaves_its_graph_as_it_was(tiny_inception: GraphDef) -> None:
    before = tiny_inception.SerializeToString(deterministic=True)
    runnable_copy(tiny_inception)
    subgraph(tiny_inception, ["pool_3"])
    batch_function(tiny_inception, "Mul:0", "pool_3:0")
    assert tiny_inception.SerializeToString(deterministic=True) == before


# Files


def test_a_fingerprint_tells_files_inputs_and_precisions_apart(tiny_inception: GraphDef) -> None:
    architecture, other_graph = find_architecture(INCEPTION), tiny_inception_graph(seed=1)
    data, other_data = tiny_inception.SerializeToString(), other_graph.SerializeToString()
    larger = dataclasses.replace(architecture, input_height=300)
    brighter = dataclasses.replace(architecture, input_mean=127.5)

    def fingerprint(chosen: Architecture, graph_bytes: bytes) -> str:
        return load_backbone(chosen, graph_bytes).fingerprint

    assert fingerprint(architecture, data) == fingerprint(find_architecture("Inception_V3"), data)
    found = [fingerprint(*each) for each in [(architecture, data), (architecture, other_data), (larger, data), (brighter, data)]]
    found.append(load_backbone(architecture, data, "bfloat16").fingerprint)
    assert len(set(found)) == 5


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
    photo, text = encoded(noise(9, 9), "PNG"), b"node { name: 'x' op: 'Placeholder' }"
    for data in (photo, text, tiny_inception.SerializeToString()[:-1000]):
        with pytest.raises(ModelError) as caught:
            parse_graph(data, "some.pb")
        assert str(caught.value) == "some.pb is not a frozen TensorFlow graph (a GraphDef in binary form), or is damaged."


def test_a_graph_without_nodes_is_an_error() -> None:
    with pytest.raises(ModelError) as caught:
        parse_graph(b"", "empty.pb")
    assert str(caught.value) == "empty.pb holds no graph: no node was found in it."


def test_a_network_without_the_tensors_of_its_architecture_is_an_error(tiny_inception: GraphDef) -> None:
    with pytest.raises(ModelError) as caught:
        load_backbone(find_architecture(MOBILENET), tiny_inception.SerializeToString())
    assert str(caught.value) == (
        f"mobilenet_v1_0.25_128/frozen_graph.pb in --model_dir is not the network {MOBILENET}: it has no tensor input:0. "
        "Delete mobilenet_v1_0.25_128/frozen_graph.pb and mobilenet_v1_0.25_128_frozen.tgz there, and run again to get them anew."
    )


def test_a_network_for_images_of_another_size_is_an_error() -> None:
    bundled = find_architecture("tiny_resnet_128")
    larger = dataclasses.replace(bundled, input_height=160, input_width=160)
    with pytest.raises(ModelError, match=r"it takes images of \[128, 128\] pixels, not \[160, 160\]"):
        load_backbone(larger, Path(bundled.graph_file).read_bytes())


def test_a_graph_that_is_cut_off_is_an_error() -> None:
    graph = GraphDef()
    graph.node.add(name="end", op="Identity", input=["lost"])
    with pytest.raises(GraphError, match="it uses an operation lost that it does not have"):
        subgraph(graph, ["end"])


def test_a_photo_in_the_place_of_a_network_is_an_error() -> None:
    with pytest.raises(ModelError, match="is not a frozen TensorFlow graph"):
        load_backbone(find_architecture(BUNDLED), encoded(Image.new("RGB", (9, 9)), "JPEG"))
