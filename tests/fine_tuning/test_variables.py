"""Trainable weights of a frozen graph: which constants they are, and that new values change nothing else."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.backbones.hub.module import load_hub_module
from retrain.backbones.published import BUNDLED_FILE
from retrain.fine_tuning.session import FineTuningSession
from retrain.fine_tuning.variables import open_weights, with_weights
from retrain.graphdef.run import batch_function, parse_graph
from retrain.head.model import LossSettings
from retrain.options.network import NetworkOptions
from tests.support.hub_modules import KERNEL, MATRIX, SIDE, SIZE, write_tf1_module, write_tf2_module
from tests.support.small_network import CONSTANTS, FEED, FETCH, small_network
from tests.support.stand_ins import tiny_inception_graph


def test_kernels_betas_and_gammas_are_weights() -> None:
    """And not the moving mean and variance, epsilon, what normalises the image, limits, shapes and axes."""
    network = open_weights(small_network(), FEED, FETCH)
    assert network.names == ("conv/weights", "conv/beta", "conv/gamma", "shift")
    assert (network.input_tensor, network.bottleneck_tensor) == (FEED, FETCH)
    assert [weight.tensor for weight in network.weights] == ["conv/weights:0", "conv/beta:0", "conv/gamma:0", "shift:0"]
    for weight in network.weights:
        np.testing.assert_array_equal(weight.value, CONSTANTS[weight.name])


def test_the_fused_batch_normalisation_too() -> None:
    assert open_weights(small_network(fused=True), FEED, FETCH).names == ("conv/weights", "conv/beta", "conv/gamma", "shift")


def test_names_choose() -> None:
    network = open_weights(small_network(), FEED, FETCH, "beta$|^shi")
    assert [weight.name for weight in network.weights] == ["conv/beta", "shift"]
    assert len(network.names) == 4


def test_the_archive_of_2015() -> None:
    """Its batch normalisation is one op; gamma counts only where it is used. What decodes and resizes the photo is left alone."""
    network = open_weights(tiny_inception_graph(), "Mul:0", "pool_3:0")
    by_layer = {name.rpartition("/")[0]: 0 for name in network.names}
    assert {name.rpartition("/")[2] for name in network.names} == {"conv2d_params", "beta", "gamma"}
    assert sum(name.endswith("gamma") for name in network.names) == 2
    assert sum(name.endswith("beta") for name in network.names) == sum(name.endswith("params") for name in network.names) == 5
    assert len(by_layer) == 10


def test_mobilenet(mobilenet_model_dir: Path) -> None:
    """28 kernels, 27 times beta and gamma, and the last layer's biases: 470,329 numbers."""
    chosen = find_architecture("mobilenet_0.25_128")
    graph = parse_graph(read_graph_file(chosen, str(mobilenet_model_dir)), "mobilenet")
    network = open_weights(graph, chosen.input_tensor, chosen.batch_tensor)
    endings = [name.rpartition("/")[2] for name in network.names]
    assert {ending: endings.count(ending) for ending in set(endings)} == {
        "weights": 15,
        "depthwise_weights": 13,
        "beta": 27,
        "gamma": 27,
        "biases": 1,
    }
    assert sum(weight.value.size for weight in network.weights) == 470_329


@pytest.mark.parametrize("write", [write_tf1_module, write_tf2_module])
def test_hub_modules(write: Callable[[Path], Path], tmp_path: Path) -> None:
    """Both formats: a kernel and a matrix; one step changes both, and the new graph computes other bottlenecks."""
    backbone = load_hub_module(str(write(tmp_path / "hub_module")), NetworkOptions(input_height=SIDE, input_width=SIDE))
    chosen = backbone.architecture
    network = open_weights(backbone.graph_def, chosen.input_tensor, chosen.batch_tensor)
    for weight, value in zip(network.weights, (KERNEL, MATRIX), strict=True):
        np.testing.assert_array_equal(weight.value, value)
    head = [(np.eye(SIZE, 2, dtype=np.float32), np.zeros(2, np.float32))]
    session = FineTuningSession(network, head, LossSettings(), seed=0)
    images = np.random.default_rng(0).random((2, SIDE, SIDE, 3), np.float32)
    session.step(images, np.array([0, 1]), 0.1)
    tuned = session.weights()
    changed = dataclasses.replace(backbone, graph_def=with_weights(backbone.graph_def, tuned.network))
    assert [list(tuned.network), [node.name for node in changed.graph_def.node]] == [
        list(network.names),
        [node.name for node in backbone.graph_def.node],
    ]
    [(matrix, biases)] = tuned.layers
    assert changed.run(images) @ matrix + biases == pytest.approx(session.logits(images), abs=1e-4)
    assert not np.allclose(changed.run(images), backbone.run(images), atol=1e-2)


def test_weights_stored_in_16_bits_are_trained_in_32() -> None:
    network = open_weights(parse_graph(BUNDLED_FILE.read_bytes(), "bundled"), "input:0", "TinyResnet/bottleneck:0")
    assert len(network.weights) == 22
    assert all(f"{weight.tensor[:-2]}/half" == weight.name and weight.value.dtype == np.float32 for weight in network.weights)


@pytest.mark.parametrize("fused", [False, True])
def test_new_values_change_the_constants_and_nothing_else(fused: bool) -> None:
    before = small_network(fused)
    new = {"conv/weights": CONSTANTS["conv/weights"] * 2, "shift": CONSTANTS["shift"] + 1}
    after = with_weights(before, new)
    assert before == small_network(fused), "the network passed in must not change"
    for old_node, node in zip(before.node, after.node, strict=True):
        if node.name in new:
            np.testing.assert_array_equal(tf.make_ndarray(node.attr["value"].tensor), new[node.name])
            node.attr["value"].CopyFrom(old_node.attr["value"])
        assert node == old_node
    images = np.random.default_rng(0).random((2, 4, 4, 3), np.float32)
    assert not np.allclose(
        batch_function(before, FEED, FETCH)(images), batch_function(with_weights(before, new), FEED, FETCH)(images)
    )


def test_new_values_are_rounded_to_the_type_of_the_file() -> None:
    graph = parse_graph(BUNDLED_FILE.read_bytes(), "bundled")
    name = "TinyResnet/conv0/biases/half"
    changed = with_weights(graph, {name: np.full(24, 1e9, np.float32)})
    [node] = [node for node in changed.node if node.name == name]
    value = tf.make_ndarray(node.attr["value"].tensor)
    assert value.dtype == np.float16
    assert value.tolist() == [65504.0] * 24  # The largest of float16; beyond it there is only infinity.
