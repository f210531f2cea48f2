"""Networks by name, loaded and checked, and run over batches."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.backbones.architecture import Architecture
from retrain.backbones.backbone import Backbone, load_backbone
from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.backbones.published import BUNDLED, INCEPTION
from retrain.errors import ModelError
from retrain.graphdef.nodes import node_name
from retrain.graphdef.subgraph import subgraph
from retrain.input_spec import InputSpec
from tests.support.pictures import encoded, pictures
from tests.support.stand_ins import full_size_inception_graph, run_in_v1_session, tiny_inception_graph

MOBILENET = "mobilenet_0.25_128"


@pytest.fixture(scope="module")
def tiny_inception() -> GraphDef:
    return tiny_inception_graph()


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
    images = pictures(64, backbone.architecture.input_spec.height)
    together = backbone.run(images)
    assert together.shape == (64, backbone.architecture.bottleneck_size)
    assert together.dtype == np.float32
    assert (together.std(axis=0) > 0).any()
    alone = np.concatenate([backbone.run(images[[place]]) for place in places])
    np.testing.assert_allclose(alone, together[list(places)], rtol=0, atol=1e-4)
    assert backbone.graph_def.SerializeToString(deterministic=True) == before


@pytest.mark.slow
def test_an_inception_of_full_size_runs_in_batches_with_the_old_numbers() -> None:
    backbone = load_backbone(find_architecture(INCEPTION), full_size_inception_graph().SerializeToString())
    images = pictures(2, 299)
    expected = [run_in_v1_session(backbone.graph_def, {"Mul:0": image[np.newaxis]}, "pool_3/_reshape:0")[0] for image in images]
    assert np.shape(expected) == (2, 2048)
    np.testing.assert_allclose(backbone.run(images), expected, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_batches_of_1_and_of_64_agree_in_the_bundled_network() -> None:
    check_batches(bundled())


def test_batches_of_1_and_of_64_agree_in_mobilenet(mobilenet_model_dir: Path) -> None:
    check_batches(mobilenet(mobilenet_model_dir))


@pytest.mark.slow
def test_batches_of_1_and_of_64_agree_in_inception(tiny_inception: GraphDef) -> None:
    check_batches(inception(tiny_inception))


@pytest.mark.slow
def test_mobilenets_bottlenecks_are_those_of_a_session(mobilenet_model_dir: Path) -> None:
    backbone, images = mobilenet(mobilenet_model_dir), pictures(2, 128)
    fetch = backbone.architecture.bottleneck_tensor
    cut = subgraph(backbone.graph_def, [node_name(fetch)])
    expected = [run_in_v1_session(cut, {"input:0": image[np.newaxis]}, fetch)[0] for image in images]
    np.testing.assert_allclose(backbone.run(images), expected, rtol=0, atol=1e-4)


def test_a_fingerprint_tells_files_inputs_and_precisions_apart(tiny_inception: GraphDef) -> None:
    architecture, other_graph = find_architecture(INCEPTION), tiny_inception_graph(seed=1)
    data, other_data = tiny_inception.SerializeToString(), other_graph.SerializeToString()
    larger = dataclasses.replace(architecture, input_spec=dataclasses.replace(architecture.input_spec, height=300))
    brighter = dataclasses.replace(architecture, input_spec=dataclasses.replace(architecture.input_spec, mean=127.5))

    def fingerprint(chosen: Architecture, graph_bytes: bytes) -> str:
        return load_backbone(chosen, graph_bytes).fingerprint

    assert fingerprint(architecture, data) == fingerprint(find_architecture("Inception_V3"), data)
    found = [fingerprint(*each) for each in [(architecture, data), (architecture, other_data), (larger, data), (brighter, data)]]
    found.append(load_backbone(architecture, data, "bfloat16").fingerprint)
    assert len(set(found)) == 5


def test_a_network_without_the_tensors_of_its_architecture_is_an_error(tiny_inception: GraphDef) -> None:
    with pytest.raises(ModelError) as caught:
        load_backbone(find_architecture(MOBILENET), tiny_inception.SerializeToString())
    assert str(caught.value) == (
        f"mobilenet_v1_0.25_128/frozen_graph.pb in --model_dir is not the network {MOBILENET}: it has no tensor input:0. "
        "Delete mobilenet_v1_0.25_128/frozen_graph.pb and mobilenet_v1_0.25_128_frozen.tgz there, and run again to download a "
        "new copy."
    )


def test_a_network_for_images_of_another_size_is_an_error() -> None:
    bundled = find_architecture("tiny_resnet_128")
    larger = dataclasses.replace(bundled, input_spec=InputSpec(160, 160, 127.5, 127.5))
    with pytest.raises(ModelError, match=r"it takes images of \[128, 128\] pixels, not \[160, 160\]"):
        load_backbone(larger, Path(bundled.graph_file).read_bytes())


def test_a_photo_in_the_place_of_a_network_is_an_error() -> None:
    with pytest.raises(ModelError, match="is a JPEG image, not a frozen TensorFlow graph"):
        load_backbone(find_architecture(BUNDLED), encoded(Image.new("RGB", (9, 9)), "JPEG"))
