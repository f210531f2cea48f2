"""The files of a run: the graph, its metadata, the SavedModel, the checkpoint, the labels."""

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef

from retrain.arrays import FloatArray
from retrain.backbones.backbone import Backbone, load_backbone
from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.backbones.published import BUNDLED, INCEPTION
from retrain.config import RetrainConfig
from retrain.errors import FlagError, GraphError
from retrain.export.classifier import classifier_graph, write_graph, write_intermediate_graph, write_labels
from retrain.export.frozen_graph import check_final_tensor_name
from retrain.export.saved_model import write_saved_model
from retrain.graphdef.description import NODE_NAME, Description
from retrain.graphdef.nodes import array
from retrain.graphdef.run import batch_function, read_graph
from retrain.graphdef.subgraph import subgraph
from retrain.head.classifier import TrainedClassifier
from retrain.head.model import SoftmaxHead
from retrain.options.export import ExportOptions
from tests.support.pictures import pictures
from tests.support.stand_ins import run_in_v1_session, tiny_inception_graph

LABELS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
HEAD_NODES = 8  # PlaceholderWithDefault, two constants with their reads, MatMul, Add, Softmax; the description comes on top.


@dataclasses.dataclass(frozen=True)
class Trained:
    """A network, a head on it, and the graph of both."""

    backbone: Backbone
    head: SoftmaxHead
    classifier: TrainedClassifier
    graph: GraphDef

    def images(self, count: int) -> FloatArray:
        return pictures(count, self.backbone.architecture.input_spec.height)

    def prediction(self, images: FloatArray) -> np.ndarray:
        """Compute the classifier in numpy, from the network's bottlenecks on: float64 [N, C]."""
        logits = self.backbone.run(images).astype(np.float64) @ self.head.weights + self.head.biases
        powers = np.exp(logits)
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def with_random_head(backbone: Backbone, final_tensor_name: str = "final_result", note: str = "") -> Trained:
    size, rng = backbone.architecture.bottleneck_size, np.random.default_rng(0)
    head = SoftmaxHead(size, len(LABELS), rng)
    head.weights[...] = rng.normal(0, 1 / np.sqrt(size), head.weights.shape)
    head.biases[...] = rng.normal(0, 1, len(LABELS))
    classifier = TrainedClassifier(dataclasses.replace(backbone, note=note), head, LABELS, final_tensor_name)
    return Trained(backbone, head, classifier, classifier_graph(classifier))


@pytest.fixture(scope="module")
def bundled() -> Trained:
    architecture = find_architecture(BUNDLED)
    return with_random_head(load_backbone(architecture, read_graph_file(architecture, "")))


@pytest.fixture(scope="module")
def inception() -> Trained:
    return with_random_head(load_backbone(find_architecture(INCEPTION), tiny_inception_graph().SerializeToString()))


@pytest.fixture(scope="module")
def mobilenet(mobilenet_model_dir: Path) -> Trained:
    architecture = find_architecture("mobilenet_0.25_128")
    return with_random_head(load_backbone(architecture, read_graph_file(architecture, str(mobilenet_model_dir))))


@pytest.fixture(params=["bundled", "inception", "mobilenet"])
def trained(request: pytest.FixtureRequest) -> Trained:
    """Each of the three networks in turn."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Trained)
    return found


def node_of(graph: GraphDef, name: str) -> NodeDef:
    (node,) = [node for node in graph.node if node.name == name]
    return node


# The graph


def test_the_graph_is_the_originals_and_a_description(mobilenet: Trained, reference_dir: Path) -> None:
    original = read_graph(str(reference_dir / "original_retrained_graph.pb"))
    # The original's addition is AddV2, since it ran under TensorFlow 1.15; older readers know only Add.
    expected = [(node.name, node.op.replace("AddV2", "Add"), list(node.input)) for node in original.node]
    found = [(node.name, node.op, list(node.input)) for node in mobilenet.graph.node]
    assert found[:-1] == expected
    assert found[-1] == (NODE_NAME, "Const", [])
    assert len(expected) == 560


@pytest.mark.parametrize("network_of", ["inception", "mobilenet"])
def test_the_networks_nodes_are_taken_over_as_they_are(request: pytest.FixtureRequest, network_of: str) -> None:
    trained = request.getfixturevalue(network_of)
    network = copy.deepcopy(trained.backbone.graph_def)
    theirs = {node.name: node for node in network.node}
    taken_over = [node for node in trained.graph.node if node.name in theirs]
    assert len(taken_over) == len(trained.graph.node) - HEAD_NODES - 1
    for node in theirs.values():
        node.attr.pop("_class", None)  # What was placed together in training: a note of the runtime's, left out.
    assert all(node == theirs[node.name] for node in taken_over)
    assert trained.graph.versions == trained.backbone.graph_def.versions


def test_the_bundled_networks_weights_are_in_float32_for_other_readers(bundled: Trained) -> None:
    theirs = {node.name: node for node in bundled.backbone.graph_def.node}
    assert {"Cast", "AddV2"} <= {node.op for node in theirs.values()}
    ops = {node.op for node in bundled.graph.node}
    assert not {"Cast", "AddV2"} & ops
    for node in bundled.graph.node[:-HEAD_NODES]:
        before = theirs.get(node.name)
        if before is not None and before.op == "Cast":
            half = array(theirs[before.input[0]].attr["value"].tensor)
            values = array(node.attr["value"].tensor)
            assert (half.dtype.name, values.dtype.name) == ("float16", "float32")
            np.testing.assert_array_equal(values, half.astype(np.float32))


def test_only_what_the_final_node_needs_is_kept(trained: Trained) -> None:
    names = [node.name for node in trained.graph.node]
    assert len(names) == len(set(names))
    assert [*(node.name for node in subgraph(trained.graph, ["final_result"]).node), NODE_NAME] == names


def test_inceptions_decoder_is_kept_and_its_classifier_is_not(inception: Trained) -> None:
    names = {node.name for node in inception.graph.node}
    assert {"DecodeJpeg/contents", "DecodeJpeg", "Cast", "ExpandDims", "ResizeBilinear", "Sub", "Mul", "pool_3/_reshape"} <= names
    assert not [name for name in names if name.startswith("softmax")]


@pytest.mark.parametrize(("network", "scope"), [("bundled", "input_1"), ("mobilenet", "input_1"), ("inception", "input")])
def test_the_bottlenecks_placeholder_makes_way_for_a_networks_input(
    network: str, scope: str, request: pytest.FixtureRequest
) -> None:
    trained = request.getfixturevalue(network)
    placeholder = node_of(trained.graph, f"{scope}/BottleneckInputPlaceholder")
    assert placeholder.op == "PlaceholderWithDefault"
    assert [dim.size for dim in placeholder.attr["shape"].shape.dim] == [-1, trained.backbone.architecture.bottleneck_size]


@pytest.mark.parametrize(
    ("network", "n_nodes"),
    [
        ("mobilenet", 561),  # The original's 560, and the description.
        ("bundled", 76),  # The network's 89 without the 22 casts of float16 constants, and the head's 9.
        ("inception", 76),  # Of the stand-in's 72 all but the classifier's 5, and the head's 9.
    ],
)
def test_tensorflow_1_15_knows_all_operations_and_attributes(
    network: str, n_nodes: int, reference_dir: Path, request: pytest.FixtureRequest
) -> None:
    known = json.loads((reference_dir / "tf115_op_attrs.json").read_text())
    graph = request.getfixturevalue(network).graph
    unknown = [f"{node.op}.{name}" for node in graph.node for name in node.attr if name not in known.get(node.op, ())]
    assert {node.op for node in graph.node} <= set(known)
    assert unknown == []
    assert len(graph.node) == n_nodes


def test_the_graph_predicts_as_numpy_does(trained: Trained) -> None:
    images = trained.images(4)
    function = batch_function(trained.graph, trained.backbone.architecture.input_tensor, "final_result:0")
    expected = trained.prediction(images)
    assert np.std(expected) > 0.01
    np.testing.assert_allclose(function(images), expected, rtol=0, atol=1e-5)


def test_a_session_of_tensorflow_1_predicts_the_same(trained: Trained) -> None:
    images = trained.images(1)
    found = run_in_v1_session(trained.graph, {trained.backbone.architecture.input_tensor: images}, "final_result:0")
    np.testing.assert_allclose(found, trained.prediction(images), rtol=0, atol=1e-5)


def test_bottlenecks_can_be_fed_in_place_of_images(bundled: Trained) -> None:
    images = bundled.images(3)
    found = run_in_v1_session(
        bundled.graph, {"input_1/BottleneckInputPlaceholder:0": bundled.backbone.run(images)}, "final_result:0"
    )
    np.testing.assert_allclose(found, bundled.prediction(images), rtol=0, atol=1e-5)


def test_exporting_leaves_the_network_as_it_was(inception: Trained) -> None:
    before = inception.backbone.graph_def.SerializeToString(deterministic=True)
    classifier_graph(inception.classifier)
    assert inception.backbone.graph_def.SerializeToString(deterministic=True) == before


def test_each_export_has_the_head_as_it_stands(bundled: Trained) -> None:
    trained = with_random_head(bundled.backbone)
    before = classifier_graph(trained.classifier)
    trained.head.biases[...] += 1
    after = classifier_graph(trained.classifier)
    biases = [tf.make_ndarray(node_of(g, "final_training_ops/biases/final_biases").attr["value"].tensor) for g in (before, after)]
    np.testing.assert_allclose(biases[1] - biases[0], 1, rtol=1e-6)


# The output's name


@pytest.mark.parametrize("name", ["final_result", "my/out", "softmax", "out.1-x", "2nd", ".out"])
def test_the_output_has_the_name_that_was_asked_for(name: str, bundled: Trained) -> None:
    check_final_tensor_name(name, bundled.backbone.graph_def)
    trained = with_random_head(bundled.backbone, name)
    assert node_of(trained.graph, name).op == "Softmax"
    found = batch_function(trained.graph, "input:0", f"{name}:0")(trained.images(1))
    np.testing.assert_allclose(found, trained.prediction(trained.images(1)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["a b", "-x", "_x", "/x", "final_result:0", "résultat", "x\n", "^x", "a\\b"])
def test_what_is_no_name_for_a_node_is_refused_before_any_work(name: str) -> None:
    with pytest.raises(FlagError) as caught:
        RetrainConfig(image_dir="photos", final_tensor_name=name)
    assert str(caught.value) == (
        f"--final_tensor_name must be letters, digits and _ . - / and begin with a letter, a digit or a dot. Got {name}."
    )
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["TinyResnet/bottleneck", "input", NODE_NAME, "final_training_ops"])
def test_a_name_that_is_taken_is_refused(name: str, bundled: Trained) -> None:
    with pytest.raises(FlagError) as caught:
        check_final_tensor_name(name, bundled.backbone.graph_def)
    assert str(caught.value) == f"--final_tensor_name must be a name that the network does not use itself. Got {name}."


def test_names_of_the_part_that_is_cut_off_are_refused_too(inception: Trained) -> None:
    with pytest.raises(FlagError, match="must be a name that the network does not use itself"):
        check_final_tensor_name("softmax", inception.backbone.graph_def)


@pytest.mark.parametrize(
    "name",
    [
        "final_training_ops/Wx_plus_b/add",
        "final_training_ops/Wx_plus_b/MatMul",
        "final_training_ops/weights/final_weights",
        "input_1/BottleneckInputPlaceholder",
    ],
)
def test_names_of_the_heads_own_nodes_are_refused(name: str, bundled: Trained) -> None:
    with pytest.raises(FlagError):
        check_final_tensor_name(name, bundled.backbone.graph_def)


# The description

DESCRIPTION = Description(LABELS, "input:0", 128, 128, 127.5, 127.5, "final_result:0", BUNDLED, "a note")


def described(graph: GraphDef) -> Description:
    return Description.from_json(tf.make_ndarray(node_of(graph, NODE_NAME).attr["value"].tensor).item())


def test_the_graph_says_what_it_is(bundled: Trained) -> None:
    trained = with_random_head(bundled.backbone, "my/out", "made of Ünïcode")
    assert described(trained.graph) == Description(
        labels=LABELS,
        input_tensor="input:0",
        input_height=128,
        input_width=128,
        input_mean=127.5,
        input_std=127.5,
        output_tensor="my/out:0",
        architecture="tiny_resnet_128",
        note="made of Ünïcode",
        format_version=1,
        input_exif_orientation="apply",
    )


def test_inceptions_description_has_its_own_numbers(inception: Trained) -> None:
    about = described(inception.graph)
    assert (about.input_tensor, about.input_height, about.input_width) == ("Mul:0", 299, 299)
    assert (about.input_mean, about.input_std, about.architecture) == (128.0, 128.0, "inception_v3")


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"])), min_size=1).map(tuple), st.text())
def test_a_description_comes_back_as_it_was_written(labels: tuple[str, ...], note: str) -> None:
    """But for blanks at the ends of labels, which the original's may have."""
    description = dataclasses.replace(DESCRIPTION, labels=labels, note=note)
    expected = dataclasses.replace(description, labels=tuple(label.strip(" ") or label for label in labels))
    assert Description.from_json(description.to_json()) == expected
    assert Description.from_json(description.to_json().encode()) == expected
    assert "\n" not in description.to_json()


def changed(**values: Any) -> str:
    return json.dumps({**json.loads(DESCRIPTION.to_json()), **values})


def test_fields_of_a_later_version_are_passed_over() -> None:
    assert Description.from_json(changed(colour="blue", format_version=2)) == dataclasses.replace(DESCRIPTION, format_version=2)


def test_an_older_description_without_a_note_is_read() -> None:
    values = json.loads(DESCRIPTION.to_json())
    del values["note"]
    assert Description.from_json(json.dumps(values)) == dataclasses.replace(DESCRIPTION, note="")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        b"\xff",
        DESCRIPTION.to_json()[:-30],
        changed(labels=None),
        changed(labels=5),
        changed(input_height="128"),
        changed(input_width=None),
        changed(input_mean=[1]),
        changed(input_std=0),
    ],
)
def test_a_damaged_description_is_an_error(text: str | bytes) -> None:
    with pytest.raises(GraphError, match=r"^The model's metadata cannot be read \(.+\)\.$") as caught:
        Description.from_json(text)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "text",
    [
        changed(labels="daisy"),
        changed(input_tensor=5),
        changed(output_tensor=None),
        changed(input_height=0),
        changed(input_width=12.5),
        changed(input_mean=float("nan")),
    ],
)
def test_a_description_with_impossible_values_is_an_error(text: str) -> None:
    with pytest.raises(GraphError, match="metadata cannot be read"):
        Description.from_json(text)


# The other files


def test_the_saved_model_predicts_as_the_graph_does(trained: Trained, tmp_path: Path) -> None:
    write_saved_model(str(tmp_path / "model"), trained.graph, trained.classifier.description)
    signature = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    about, images = trained.backbone.architecture, trained.images(3)
    _, inputs = signature.structured_input_signature
    assert list(inputs) == ["image"]
    assert inputs["image"].shape.as_list() == [None, about.input_spec.height, about.input_spec.width, 3]
    outputs = signature(image=tf.constant(images))
    assert list(outputs) == ["prediction"]
    expected = batch_function(trained.graph, about.input_tensor, "final_result:0")(images)
    np.testing.assert_allclose(outputs["prediction"], expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(outputs["prediction"], trained.prediction(images), rtol=0, atol=1e-5)
    text = (tmp_path / "model" / "assets.extra" / "retrain_description.json").read_bytes()
    assert Description.from_json(text) == described(trained.graph)


def test_a_saved_model_may_go_into_an_empty_folder(bundled: Trained, tmp_path: Path) -> None:
    write_saved_model(str(tmp_path), bundled.graph, bundled.classifier.description)
    assert tf.saved_model.contains_saved_model(str(tmp_path))


def test_labels_are_written_one_a_line(bundled: Trained, tmp_path: Path, reference_dir: Path) -> None:
    write_labels(bundled.classifier.labels, str(tmp_path / "labels.txt"))
    assert (tmp_path / "labels.txt").read_bytes() == b"daisy\ndandelion\nroses\nsunflowers\ntulips\n"
    assert (tmp_path / "labels.txt").read_bytes() == (reference_dir / "original_retrained_labels.txt").read_bytes()


def test_an_intermediate_graph_has_the_originals_name_and_line_in_the_log(
    bundled: Trained, tmp_path: Path, logged: list[str]
) -> None:
    options = ExportOptions(intermediate_output_graphs_dir=str(tmp_path), intermediate_store_frequency=250)
    for step in (0, 499, 500):
        write_intermediate_graph(options, bundled.classifier, step)
    assert read_graph(str(tmp_path / "intermediate_500.pb")) == bundled.graph
    assert logged == [f"INFO: Save intermediate result to : {tmp_path}/intermediate_500.pb"]


def test_a_written_graph_is_read_again(trained: Trained, tmp_path: Path) -> None:
    write_graph(trained.classifier, str(tmp_path / "graph.pb"))
    assert read_graph(str(tmp_path / "graph.pb")) == trained.graph
