"""Frozen graphs are known by their metadata or their layers; options precede both."""

import os
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef

from label_image.config import ClassifierOptions
from label_image.opening import open_classifier
from retrain.backbones.backbone import load_backbone
from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.backbones.published import BUNDLED
from retrain.errors import GraphError
from retrain.graphdef.description import NODE_NAME
from retrain.input_spec import InputSpec
from tests.conftest import Label
from tests.support.labelling import LABELS, NO_OPTIONS, without_description, write_hub_like, write_trained


def test_a_described_graph_needs_no_flag(bundled: Path) -> None:
    about = open_classifier(str(bundled), NO_OPTIONS).description
    assert (about.labels, about.architecture) == (LABELS, BUNDLED)
    assert (about.input_tensor, about.output_tensor) == ("input:0", "final_result:0")
    assert about.input_spec == InputSpec(128, 128, 127.5, 127.5, exif_orientation="apply")


def test_a_described_output_of_another_name_is_found(tmp_path: Path) -> None:
    architecture = find_architecture(BUNDLED)
    backbone = load_backbone(architecture, read_graph_file(architecture, ""))
    path = write_trained(tmp_path, backbone, final_tensor_name="my/flowers")
    assert open_classifier(str(path), NO_OPTIONS).description.output_tensor == "my/flowers:0"


def give_labels(graph: Path) -> Path:
    (graph.parent / graph.name.replace("graph.pb", "labels.txt")).write_text("".join(f"{name}\n" for name in LABELS))
    return graph


def input_of(path: Path, overrides: ClassifierOptions = NO_OPTIONS) -> tuple[Any, ...]:
    about = open_classifier(str(path), overrides).description
    return about.input_tensor, about.input_height, about.input_width, about.input_mean, about.input_std


def test_the_originals_mobilenet_is_known_by_its_input(reference_dir: Path) -> None:
    original = reference_dir / "original_retrained_graph.pb"
    assert input_of(original) == ("input:0", 128, 128, 127.5, 127.5)
    assert open_classifier(str(original), NO_OPTIONS).description.labels == LABELS


def test_the_originals_inception_is_known_by_its_mul(inception: Path) -> None:
    old = give_labels(without_description(inception))
    assert input_of(old) == ("Mul:0", 299, 299, 128.0, 128.0)


def test_a_graph_of_a_hub_module_is_known_by_its_placeholder(tmp_path: Path) -> None:
    assert input_of(write_hub_like(tmp_path)) == ("Placeholder:0", 20, 30, 0.0, 255.0)


def test_flags_win_over_the_description(bundled: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\nb\nc\nd\ne\n")
    said = ClassifierOptions(
        input_height=128,
        input_width=128,
        input_mean=0.0,
        input_std=255.0,
        output_layer="final_training_ops/Wx_plus_b/add",
        labels=str(tmp_path / "words.txt"),
    )
    about = open_classifier(str(bundled), said).description
    assert input_of(bundled, said) == ("input:0", 128, 128, 0.0, 255.0)
    assert (about.labels, about.output_tensor) == (("a", "b", "c", "d", "e"), "final_training_ops/Wx_plus_b/add:0")


@pytest.mark.parametrize(("flag", "words"), [("--input_height", "height"), ("--input_width", "width")])
def test_a_size_that_the_graph_does_not_take_is_an_error(
    flag: str, words: str, bundled: Path, photos: Path, label: Label
) -> None:
    answer = label("--graph", bundled, "--image", photos / "0.png", f"{flag}=224")
    assert answer == (2, "", f"error: {flag} must be 128, the {words} of the input layer input. Got 224.\n")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--input_layer=Mul"], "--input_layer: the model has no layer named Mul. It could be: input."),
        (["--input_layer=imput"], "--input_layer: the model has no layer named imput. It could be: input."),
        (["--output_layer=softmax"], "--output_layer: the model has no layer named softmax. It could be: final_result."),
        (
            ["--output_layer=final_resutl"],
            "--output_layer: the model has no layer named final_resutl. It could be: final_result.",
        ),
    ],
)
def test_a_wrong_name_lists_what_could_be_meant(
    flags: list[str], complaint: str, bundled: Path, photos: Path, label: Label
) -> None:
    assert label("--graph", bundled, "--image", photos / "0.png", *flags) == (2, "", f"error: {complaint}\n")


def test_the_most_frequent_complaint_of_all(inception: Path, photos: Path, label: Label) -> None:
    # `input` is the name in MobileNets; the original said "The name 'import/input' refers to an Operation not in the graph".
    answer = label("--graph", inception, "--image", photos / "0.png", "--input_layer=input")
    complaint = "--input_layer: the model has no layer named input. It could be: DecodeJpeg/contents, Mul."
    assert answer == (2, "", f"error: {complaint}\n")


def test_the_graph_can_be_fed_at_another_place(inception: Path, photos: Path, label: Label) -> None:
    # By the name `Mul` the tool still knows size, mean and standard deviation, with or without `:0`.
    answers = [
        label("--graph", inception, "--image", photos / "0.png", "--output_format=csv", *flags).out
        for flags in ([], ["--input_layer=Mul"], ["--input_layer=Mul:0"])
    ]
    assert answers[0].count("0.png") == 5
    assert answers[1] == answers[2] == answers[0]


def test_an_input_that_is_not_known_needs_its_numbers(tmp_path: Path, photos: Path, label: Label) -> None:
    graph = write_hub_like(tmp_path, (None, 20, 30, 3), inputs=("pixels",))
    spoken = (
        "error: The pixel mean and pixel standard deviation of the input layer pixels cannot be inferred. Set --input_mean and "
        "--input_std.\n"
    )
    assert label("--graph", graph, "--image", photos / "0.png") == (2, "", spoken)
    answer = label("--graph", graph, "--image", photos / "0.png", "--input_mean=0", "--input_std=255")
    assert (answer.code, answer.err) == (0, "")


@pytest.mark.parametrize("shape", [None, (None, None, None, 3)])
def test_a_placeholder_without_a_size_needs_one(
    shape: tuple[int | None, ...] | None, tmp_path: Path, photos: Path, label: Label
) -> None:
    graph = write_hub_like(tmp_path, shape)
    spoken = (
        "error: The height and width of the input layer Placeholder cannot be inferred. Set --input_height and --input_width.\n"
    )
    assert label("--graph", graph, "--image", photos / "0.png") == (2, "", spoken)
    answer = label("--graph", graph, "--image", photos / "0.png", "--input_height=10", "--input_width=12")
    assert (answer.code, answer.err) == (0, "")


def test_of_several_inputs_one_has_to_be_named(tmp_path: Path, photos: Path, label: Label) -> None:
    graph = write_hub_like(tmp_path, inputs=("left", "right"))
    answer = label("--graph", graph, "--image", photos / "0.png")
    spoken = "The model's input cannot be inferred. It could be: left, right. Name it with --input_layer."
    assert answer == (2, "", f"error: {spoken}\n")


def test_of_several_outputs_one_has_to_be_named(tmp_path: Path, photos: Path, label: Label) -> None:
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        tf.reduce_mean(images, axis=[1, 2], name="mean")
        tf.reduce_max(images, axis=[1, 2], name="largest")
    (tmp_path / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    answer = label("--graph", tmp_path / "graph.pb", "--image", photos / "0.png")
    spoken = "The model's output cannot be inferred. It could be: mean, largest. Name it with --output_layer."
    assert answer == (2, "", f"error: {spoken}\n")


def test_a_graph_without_an_input_is_an_error(tmp_path: Path, photos: Path, label: Label) -> None:
    with tf.Graph().as_default() as graph:
        tf.constant([1.0, 2.0], name="final_result")
    (tmp_path / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    answer = label("--graph", tmp_path / "graph.pb", "--image", photos / "0.png")
    spoken = "The model's input cannot be inferred. It has no placeholder. Name it with --input_layer."
    assert answer == (2, "", f"error: {spoken}\n")


@pytest.mark.parametrize(
    ("graph_name", "labels_name"),
    [("retrained_graph.pb", "retrained_labels.txt"), ("output_graph.pb", "output_labels.txt"), ("flowers.pb", "flowers.txt")],
)
def test_labels_beside_the_graph_are_found(graph_name: str, labels_name: str, tmp_path: Path) -> None:
    os.rename(write_hub_like(tmp_path), tmp_path / graph_name)
    os.rename(tmp_path / "labels.txt", tmp_path / labels_name)
    assert open_classifier(str(tmp_path / graph_name), NO_OPTIONS).description.labels == ("red", "green", "blue")


def test_missing_labels_are_an_error_that_names_the_file(tmp_path: Path, photos: Path, label: Label) -> None:
    graph = write_hub_like(tmp_path)
    os.unlink(tmp_path / "labels.txt")
    spoken = f"error: The graph has no labels in its metadata, and there is no {tmp_path}/labels.txt. Set --labels.\n"
    assert label("--graph", graph, "--image", photos / "0.png") == (2, "", spoken)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "No such file or directory"), (b"caf\xe9\n", "it is not UTF-8 text")],
    ids=["missing", "latin 1"],
)
def test_labels_that_cannot_be_read_are_an_error(content: bytes | None, reason: str, bundled: Path, tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GraphError) as caught:
        open_classifier(str(bundled), ClassifierOptions(labels=str(path)))
    assert str(caught.value) == f"--labels {path} cannot be read ({reason})."


@pytest.mark.parametrize("text", ["a\nb\n", "a\nb", "a\r\nb\r\n", "a\nb\n\n\n"])
def test_labels_are_one_a_line_however_it_ends(text: str, bundled: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes(text.encode())
    assert open_classifier(str(bundled), ClassifierOptions(labels=str(tmp_path / "words.txt"))).description.labels == ("a", "b")


def test_a_label_without_any_letter_is_kept(tmp_path: Path, bundled: Path) -> None:
    """The original's label for a folder named in another script is a space."""
    (tmp_path / "words.txt").write_text("cats\n \n")
    assert open_classifier(str(bundled), ClassifierOptions(labels=str(tmp_path / "words.txt"))).description.labels == (
        "cats",
        " ",
    )


def test_a_file_that_is_no_graph_is_an_error(photos: Path) -> None:
    with pytest.raises(GraphError, match=r"^--graph .*/0\.png is a PNG image, not a trained graph\.$"):
        open_classifier(str(photos / "0.png"), NO_OPTIONS)
    with pytest.raises(GraphError, match="cannot be read"):
        open_classifier(str(photos / "none.pb"), NO_OPTIONS)


def test_a_damaged_description_is_an_error(bundled: Path, tmp_path: Path) -> None:
    graph = GraphDef.FromString(bundled.read_bytes())
    [description] = [node for node in graph.node if node.name == NODE_NAME]
    description.attr["value"].tensor.ParseFromString(tf.make_tensor_proto(b"{").SerializeToString())
    (tmp_path / "graph.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(GraphError, match="metadata cannot be read"):
        open_classifier(str(tmp_path / "graph.pb"), NO_OPTIONS)


def test_a_description_that_is_no_single_text_is_an_error(bundled: Path, tmp_path: Path) -> None:
    graph = GraphDef.FromString(bundled.read_bytes())
    [description] = [node for node in graph.node if node.name == NODE_NAME]
    description.attr["value"].tensor.ParseFromString(tf.make_tensor_proto([b"{}", b"{}"]).SerializeToString())
    (tmp_path / "graph.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(GraphError):
        open_classifier(str(tmp_path / "graph.pb"), NO_OPTIONS)


def write_spying_graph(folder: Path, bundled: Path, target: Path) -> Path:
    """Return the graph with a last operation, `watched`, before which `target` is written."""
    graph = GraphDef.FromString(bundled.read_bytes())
    for name, text in (("target", str(target)), ("text", "written")):
        constant = graph.node.add(name=name, op="Const")
        constant.attr["dtype"].type = tf.string.as_datatype_enum
        constant.attr["value"].tensor.ParseFromString(tf.make_tensor_proto(text).SerializeToString())
    graph.node.add(name="spy", op="WriteFile", input=["target", "text"])
    graph.node.add(name="watched", op="Identity", input=["final_result", "^spy"]).attr["T"].type = tf.float32.as_datatype_enum
    path = folder / "spying.pb"
    path.write_bytes(graph.SerializeToString())
    return path


def test_a_graph_that_reaches_for_files_is_refused_unless_it_is_trusted(
    bundled: Path, photos: Path, tmp_path: Path, label: Label
) -> None:
    target = tmp_path / "target"
    spying = write_spying_graph(tmp_path, bundled, target)
    flags = [f"--graph={spying}", "--output_layer=watched", "--image", photos / "0.png"]
    code, _, errors = label(*flags)
    assert (code, errors) == (
        2,
        "error: The graph has operations that can read or write files: WriteFile. If you trust whoever made it, "
        "add --allow_file_ops.\n",
    )
    assert not target.exists()
    assert label(*flags, "--allow_file_ops")[0] == 0
    assert target.read_text() == "written"


def test_an_operation_that_does_not_run_is_no_danger(bundled: Path, photos: Path, tmp_path: Path, label: Label) -> None:
    spying = write_spying_graph(tmp_path, bundled, tmp_path / "target")
    code, _, errors = label(f"--graph={spying}", "--image", photos / "0.png")
    assert (code, errors) == (0, "")
    assert not (tmp_path / "target").exists()
