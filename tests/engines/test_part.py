"""The digest of a network: the same for the network and for graphs that were exported with it, another for all others."""

import dataclasses

import numpy as np
import pytest

from retrain.backbones.backbone import load_backbone
from retrain.backbones.catalog import find_architecture
from retrain.backbones.published import BUNDLED_FILE, INCEPTION
from retrain.engines.head import find_head
from retrain.engines.part import NetworkPart
from retrain.export.classifier import classifier_graph
from retrain.graphdef.nodes import constant
from retrain.head.classifier import TrainedClassifier
from retrain.head.model import SoftmaxHead
from retrain.input_spec import InputSpec
from tests.support.small_network import FEED, FETCH, SIZE, D, small_network
from tests.support.stand_ins import tiny_inception_graph

SPEC = InputSpec(SIZE, SIZE, 0.0, 1.0)
PART = NetworkPart(small_network(), FEED, FETCH, SPEC)


@pytest.mark.parametrize("name", ["tiny_resnet_128", INCEPTION])
def test_an_exported_graph_has_its_networks_digest(name: str) -> None:
    """Inception's bottleneck is a reshape to one image, which is stepped over."""
    content = BUNDLED_FILE.read_bytes() if name != INCEPTION else tiny_inception_graph().SerializeToString()
    backbone = load_backbone(find_architecture(name), content)
    head = SoftmaxHead(backbone.architecture.bottleneck_size, 2, np.random.default_rng(0), (5,))
    graph = classifier_graph(TrainedClassifier(backbone, head, ("a", "b"), "final_result"))
    found = find_head(graph, "final_result:0")
    assert found is not None
    chosen = backbone.architecture
    exported = NetworkPart(graph, chosen.input_tensor, found.bottleneck_tensor, chosen.input_spec)
    assert exported.digest == backbone.part.digest
    assert exported.output == backbone.part.output == chosen.batch_tensor


def test_notes_of_the_runtime_do_not_count() -> None:
    noted = small_network()
    noted.node[0].attr["_class"].s = b"somewhere"
    assert NetworkPart(noted, FEED, FETCH, SPEC).digest == PART.digest
    assert "_class" in noted.node[0].attr, "the graph itself is not changed"


def test_all_that_changes_the_values_does() -> None:
    other_weights = small_network()
    [shift] = [node for node in other_weights.node if node.name == "shift"]
    shift.CopyFrom(constant("shift", np.ones(D, np.float32)))
    parts = [
        PART,
        NetworkPart(other_weights, FEED, FETCH, SPEC),
        NetworkPart(small_network(fused=True), FEED, FETCH, SPEC),
        dataclasses.replace(PART, spec=InputSpec(SIZE + 1, SIZE, 0.0, 1.0)),
    ]
    assert len({part.digest for part in parts}) == len(parts)


def test_mean_and_deviation_are_applied_before_it() -> None:
    assert dataclasses.replace(PART, spec=InputSpec(SIZE, SIZE, 127.0, 128.0)).digest == PART.digest
