"""Graphs in operations that other readers know: the same bits in TensorFlow, and OpenCV's answer beside it."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.types_pb2 import DataType

from label_image.classify import score_images
from label_image.config import ClassifierOptions
from label_image.opening import open_classifier
from retrain.backbones.backbone import load_backbone
from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.backbones.published import BUNDLED, BUNDLED_FILE
from retrain.data.decode import image_from_file
from retrain.graphdef.nodes import FLOAT, constant, plain_node
from retrain.graphdef.portable import portable
from retrain.graphdef.run import batch_function, read_graph
from tests.support.labelling import write_trained


def cast(name: str, source: str) -> object:
    return plain_node("Cast", name, source, SrcT=DataType.DT_HALF, DstT=FLOAT)


def graph_of(*nodes: object) -> GraphDef:
    graph = GraphDef()
    graph.node.extend(nodes)
    return graph


def test_the_bundled_network_computes_the_same_bits() -> None:
    graph = read_graph(str(BUNDLED_FILE))
    changed = portable(graph)
    assert {node.op for node in graph.node} - {node.op for node in changed.node} == {"Cast", "AddV2"}
    images = np.random.default_rng(3).uniform(-1, 1, (2, 128, 128, 3)).astype(np.float32)
    ours, theirs = (batch_function(each, "input:0", "TinyResnet/bottleneck:0")(images) for each in (changed, graph))
    np.testing.assert_array_equal(ours, theirs)


def test_a_graph_with_nothing_to_change_is_returned_itself() -> None:
    graph = graph_of(constant("a", np.float32(1)))
    assert portable(graph) is graph


def test_a_constant_that_others_read_as_well_stays() -> None:
    half = constant("half", np.array([1, 2], np.float16))
    graph = graph_of(half, cast("whole", "half"), plain_node("Identity", "reader", "half", T=DataType.DT_HALF))
    assert [(node.name, node.op) for node in portable(graph).node] == [
        ("half", "Const"),
        ("whole", "Const"),
        ("reader", "Identity"),
    ]


def test_casts_of_what_is_computed_stay() -> None:
    graph = graph_of(
        plain_node("Placeholder", "x", dtype=DataType.DT_HALF),
        cast("whole", "x"),
        plain_node("AddV2", "y", "whole", "whole", T=FLOAT),
    )
    assert [node.op for node in portable(graph).node] == ["Placeholder", "Cast", "Add"]
    assert [node.op for node in graph.node] == ["Placeholder", "Cast", "AddV2"]  # Which is not changed.


def test_opencv_gives_the_scores_of_an_exported_graph(few_photos: list[Path], tmp_path: Path) -> None:
    architecture = find_architecture(BUNDLED)
    path = write_trained(tmp_path, load_backbone(architecture, read_graph_file(architecture, "")))
    classifier = open_classifier(str(path), ClassifierOptions())
    names = [str(photo) for photo in few_photos]
    expected: npt.NDArray[np.float32] = np.zeros((len(names), len(classifier.description.labels)), np.float32)
    for indices, scores, _ in score_images(classifier, names, {}):
        expected[indices] = scores
    network = cv2.dnn.readNetFromTensorflow(str(path))
    images = np.stack([image_from_file(name, classifier.description.input_spec) for name in names])
    network.setInput(images.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(network.forward(), expected, atol=1e-5)
