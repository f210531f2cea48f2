"""Kernels stored in 8 bits: fine-tuning leaves them as they are, and says so."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.backbones.architecture import Architecture
from retrain.backbones.backbone import Backbone
from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.errors import FlagError
from retrain.fine_tuning.fixed_kernels import fixed_kernels_text
from retrain.fine_tuning.loop import trainable_network
from retrain.fine_tuning.session import FineTuningSession
from retrain.fine_tuning.variables import Kernel, TrainableNetwork, open_weights, with_weights
from retrain.graphdef.run import batch_function, parse_graph
from retrain.head.model import LossSettings
from retrain.input_spec import InputSpec
from retrain.options.fine_tuning import FineTuningOptions
from tests.support.graphs import Nodes
from tests.support.small_network import CONSTANTS, FEED, FETCH, SIZE, D, small_network

KERNEL = "conv/weights"
STORED = "conv/weights/quantized"
LOW, HIGH = -2.0, 2.0
BEGINNING = "Fine-tuning does not change kernels that are stored in 8 bits: "


def quantized_network() -> GraphDef:
    """Return the small network with its kernel in 8 bits, as TensorFlow's quantize_weights stores it."""
    levels = np.round((CONSTANTS[KERNEL] - LOW) / (HIGH - LOW) * 255).astype(np.uint8)
    nodes = Nodes()
    nodes.const(STORED, levels, tf.quint8)
    nodes.const("conv/weights/min", LOW)
    nodes.const("conv/weights/max", HIGH)
    nodes.add("Dequantize", KERNEL, STORED, "conv/weights/min", "conv/weights/max", T=tf.quint8, mode=b"MIN_FIRST")
    graph = small_network()
    kept = [node for node in graph.node if node.name != KERNEL]
    graph.ClearField("node")
    graph.node.extend([*nodes.graph.node, *kept])
    return graph


def with_second_kernel(graph: GraphDef) -> GraphDef:
    """Return the network with a 1×1 convolution of float numbers before the mean."""
    nodes = Nodes()
    nodes.const("last/weights", np.eye(D, dtype=np.float32)[None, None])
    nodes.add("Conv2D", "last", "shifted", "last/weights", padding=b"VALID")
    nodes.graph.node[-1].attr["strides"].list.i.extend([1, 1, 1, 1])
    changed = GraphDef()
    changed.CopyFrom(graph)
    for node in changed.node:
        node.input[:] = ["last" if text == "shifted" else text for text in node.input]
    changed.node.extend(nodes.graph.node)
    return changed


def without_vectors(graph: GraphDef) -> GraphDef:
    """Return the network with the convolution's own output as bottleneck."""
    cut = GraphDef(versions=graph.versions)
    for node in graph.node:
        added = cut.node.add()
        added.CopyFrom(node)
        added.input[:] = ["conv/convolution" if text == "shifted" else text for text in node.input]
    return cut


def backbone_of(graph: GraphDef) -> Backbone:
    chosen = Architecture(
        name="small",
        input_tensor=FEED,
        bottleneck_tensor=FETCH,
        batch_tensor=FETCH,
        bottleneck_size=D,
        input_spec=InputSpec(height=SIZE, width=SIZE, mean=0.0, std=1.0),
        graph_file="small.pb",
    )
    return Backbone(chosen, graph, "", 0)


def opened(graph: GraphDef, pattern: str | None = None) -> TrainableNetwork:
    return trainable_network(FineTuningOptions(fine_tune_layers=pattern), backbone_of(graph))


def test_the_only_kernel_stays_and_vectors_are_trained(logged: list[str]) -> None:
    network = opened(quantized_network())
    assert network.names == ("conv/beta", "conv/gamma", "shift")
    assert network.kernels == (Kernel(STORED, 2 * 2 * 3 * D, is_8_bit=True),)
    assert logged == [
        f"WARNING: {BEGINNING}1 of the 1 of small, with 100% of their numbers. It trains 3 vectors, such as biases."
    ]


def test_some_kernels_are_trained(logged: list[str]) -> None:
    network = opened(with_second_kernel(quantized_network()))
    assert {(kernel.name, kernel.size, kernel.is_8_bit) for kernel in network.kernels} == {
        (STORED, 60, True),
        ("last/weights", 25, False),
    }
    share = round(100 * 60 / 85)
    expected = f"1 of the 2 of small, with {share}% of their numbers. It trains 1 kernel and 3 vectors, such as biases."
    assert logged == [f"WARNING: {BEGINNING}{expected}"]


def test_only_kernels_that_were_named_are_mentioned(logged: list[str]) -> None:
    graph = with_second_kernel(quantized_network())
    opened(graph, "last|shift")
    assert logged == []
    opened(graph, "conv|last")
    opened(graph, "quantized|last")
    of_these = f"WARNING: {BEGINNING}1 of the 2 of small that --fine_tune_layers matches, with 71% of their numbers. It trains "
    assert logged == [f"{of_these}1 kernel and 2 vectors, such as biases.", f"{of_these}1 kernel."]


@pytest.mark.parametrize("fused", [False, True])
def test_a_network_without_8_bits_logs_nothing(fused: bool, logged: list[str]) -> None:
    network = opened(small_network(fused))
    assert network.kernels == (Kernel(KERNEL, 60, is_8_bit=False),)
    assert logged == []


def test_if_nothing_is_left_to_train_the_error_says_why() -> None:
    with pytest.raises(FlagError) as caught:
        opened(without_vectors(quantized_network()))
    assert str(caught.value) == (
        "--fine_tune_steps must be 0 for small: no weights that can be trained were found in it, since 1 of 1 kernels are stored "
        "in 8 bits, which cannot be trained."
    )


def test_a_pattern_that_matches_8_bits_alone() -> None:
    with pytest.raises(FlagError) as caught:
        opened(quantized_network(), "weights")
    assert str(caught.value) == (
        "--fine_tune_layers must match the name of at least one of the 3 weights of small, such as conv/beta, conv/gamma, shift. "
        "Got weights, where 1 of 1 kernels are stored in 8 bits, which cannot be trained."
    )


def test_int8_numbers_with_a_cast_and_a_scale_are_found() -> None:
    nodes = Nodes()
    nodes.placeholder("input", [None, 6])
    nodes.const("levels", np.ones((6, D)), tf.int8)
    nodes.const("scale", np.full(D, 0.1, np.float32))
    nodes.add("Cast", "float", "levels", SrcT=tf.int8, DstT=tf.float32)
    nodes.add("Mul", "kernel", "float", "scale")
    nodes.add("MatMul", "bottleneck", "input", "kernel")
    network = open_weights(nodes.graph, FEED, FETCH)
    assert network.kernels == (Kernel("levels", 6 * D, is_8_bit=True),)
    assert network.names == ("scale",)
    text = fixed_kernels_text(network, "scaled", None)
    assert text == f"{BEGINNING}1 of the 1 of scaled, with 100% of their numbers. It trains 1 vector, such as biases."


def test_operations_that_compute_in_8_bits_are_found() -> None:
    nodes = Nodes()
    nodes.placeholder("input", [None, 6])
    nodes.const("levels", np.ones((6, D)), tf.quint8)
    nodes.const("low", 0.0)
    nodes.const("high", 1.0)
    nodes.add("QuantizeV2", "quantized", "input", "low", "high", T=tf.quint8)
    product = ("quantized", "levels", "quantized:1", "quantized:2", "low", "high")
    nodes.add("QuantizedMatMul", "product", *product, T1=tf.quint8, T2=tf.quint8, Toutput=tf.qint32)
    nodes.add("Dequantize", "bottleneck", "product", "product:1", "product:2", T=tf.qint32)
    with pytest.raises(FlagError, match="since 1 of 1 kernels are stored in 8 bits, which cannot be trained"):
        opened(nodes.graph)


def test_ranges_of_8_bit_numbers_are_no_weights() -> None:
    graph = quantized_network()
    for node in graph.node:
        if node.name in ("conv/weights/min", "conv/weights/max"):
            value = tf.make_ndarray(node.attr["value"].tensor)
            node.attr["value"].tensor.ParseFromString(tf.make_tensor_proto(np.full(D, value, np.float32)).SerializeToString())
        elif node.name == KERNEL:
            node.attr["axis"].i = 3
    assert open_weights(graph, FEED, FETCH).names == ("conv/beta", "conv/gamma", "shift")


def test_a_step_changes_the_vectors_and_not_the_kernel() -> None:
    graph = quantized_network()
    network = open_weights(graph, FEED, FETCH)
    head = [(np.eye(D, 3, dtype=np.float32), np.zeros(3, np.float32))]
    session = FineTuningSession(network, head, LossSettings(), seed=0)
    images = np.random.default_rng(0).random((6, SIZE, SIZE, 3), np.float32)
    session.step(images, np.array([0, 1, 2, 0, 1, 2]), 0.1)
    tuned = with_weights(graph, session.weights().network)
    session.close()
    changed = {new.name for old, new in zip(graph.node, tuned.node, strict=True) if old != new}
    assert changed == {"conv/beta", "conv/gamma", "shift"}
    assert not np.allclose(batch_function(tuned, FEED, FETCH)(images), batch_function(graph, FEED, FETCH)(images))


def test_the_quantized_mobilenet(mobilenet_model_dir: Path) -> None:
    """A published one: the two largest kernels are in 8 bits."""
    chosen = find_architecture("mobilenet_0.25_128_quantized")
    graph = parse_graph(read_graph_file(chosen, str(mobilenet_model_dir)), chosen.name)
    network = open_weights(graph, chosen.input_tensor, chosen.batch_tensor)
    assert [kernel.size for kernel in network.kernels if kernel.is_8_bit] == [256 * 256, 256 * 1001]
    assert fixed_kernels_text(network, chosen.name, None) == (
        f"{BEGINNING}2 of the 28 of mobilenet_0.25_128_quantized, with 69% of their numbers. It trains 26 kernels and "
        "41 vectors, such as biases."
    )
