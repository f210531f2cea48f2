"""Labelling: any graph is known by its description or its tensors, flags win, and the answers are the original's."""

import csv
import io
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.framework.graph_pb2 import GraphDef

from label_image.classify import Classification, classify, find_images
from label_image.graph import Overrides, open_graph
from label_image.report import as_csv, as_json, as_text
from retrain.arrays import FloatArray
from retrain.backbones.backbone import Backbone, load_backbone
from retrain.backbones.catalog import BUNDLED, INCEPTION, find_architecture
from retrain.backbones.download import read_graph_file
from retrain.data.decode import image_from_file
from retrain.errors import FlagError, GraphError
from retrain.export.classifier import Exporter
from retrain.graphdef.description import NODE_NAME
from retrain.graphdef.run import batch_function
from retrain.head.model import SoftmaxHead
from retrain.input_spec import InputSpec
from tests.conftest import Label, RunCli
from tests.support.stand_ins import run_in_v1_session, tiny_inception_graph
from tests.support.tolerance import SCORE_TOLERANCE

LABELS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
N_REFERENCES = 30  # In `reference/original_label_image.tsv`.
SEEN_BY_A_COMMAND = ("propagate", "level", "handlers")


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    """The command takes the project's log for itself; other tests want it as it was."""
    logger = logging.getLogger("retrain")
    before = {name: getattr(logger, name) for name in SEEN_BY_A_COMMAND}
    yield
    for name, value in before.items():
        setattr(logger, name, value)


def write_trained(
    folder: Path, backbone: Backbone, name: str = "retrained_graph.pb", final_tensor_name: str = "final_result"
) -> Path:
    """A graph as a run exports it, with a head of random weights."""
    size, rng = backbone.architecture.bottleneck_size, np.random.default_rng(0)
    head = SoftmaxHead(size, len(LABELS), rng)
    head.weights[...] = rng.normal(0, 1 / np.sqrt(size), head.weights.shape)
    Exporter(backbone, head, LABELS, final_tensor_name, "").write_graph(str(folder / name))
    return folder / name


def without_description(path: Path, name: str = "old_graph.pb") -> Path:
    """The same graph as the original would have written it."""
    graph = GraphDef.FromString(path.read_bytes())
    kept = [node for node in graph.node if node.name != NODE_NAME]
    del graph.node[:]
    graph.node.extend(kept)
    (path.parent / name).write_bytes(graph.SerializeToString())
    return path.parent / name


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled network with a head. It has a description."""
    architecture = find_architecture(BUNDLED)
    backbone = load_backbone(architecture, read_graph_file(architecture, ""))
    return write_trained(tmp_path_factory.mktemp("bundled"), backbone)


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Inception with a head. It has a description."""
    backbone = load_backbone(find_architecture(INCEPTION), tiny_inception_graph().SerializeToString())
    return write_trained(tmp_path_factory.mktemp("inception"), backbone)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures of different colours: 0.png, 1.jpg, 2.gif, 3.bmp in a folder below, and 4.JPG."""
    folder = tmp_path_factory.mktemp("to label")
    (folder / "below").mkdir()
    for i, name in enumerate(["0.png", "1.jpg", "2.gif", "below/3.bmp", "4.JPG"]):
        pixels = np.random.default_rng(i).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((60, 45)).save(folder / name)
    return folder


def scores_by_hand(graph_path: Path, image: Path, spec: InputSpec, feed: str = "input:0") -> FloatArray:
    """The graph's output for one image, without label_image: float32 [5]."""
    graph = GraphDef.FromString(graph_path.read_bytes())
    return batch_function(graph, feed, "final_result:0")(image_from_file(str(image), spec)[np.newaxis])[0]


def lines_by_hand(scores: FloatArray, top_k: int = 5) -> list[str]:
    ranked = sorted(zip(scores, LABELS, strict=True), reverse=True)
    return [f"{name} (score={score:.5f})" for score, name in ranked[:top_k]]


BUNDLED_INPUT = InputSpec(128, 128, 127.5, 127.5)
NOTHING_SAID = Overrides()


# Which graph it is


def test_a_described_graph_needs_no_flag(bundled: Path) -> None:
    about = open_graph(str(bundled), NOTHING_SAID).description
    assert (about.labels, about.architecture) == (LABELS, BUNDLED)
    assert (about.input_tensor, about.output_tensor) == ("input:0", "final_result:0")
    assert (about.input_height, about.input_width, about.input_mean, about.input_std) == (128, 128, 127.5, 127.5)


def test_a_described_output_of_another_name_is_found(tmp_path: Path) -> None:
    architecture = find_architecture(BUNDLED)
    backbone = load_backbone(architecture, read_graph_file(architecture, ""))
    path = write_trained(tmp_path, backbone, final_tensor_name="my/flowers")
    assert open_graph(str(path), NOTHING_SAID).description.output_tensor == "my/flowers:0"


def give_labels(graph: Path) -> Path:
    (graph.parent / graph.name.replace("graph.pb", "labels.txt")).write_text("".join(f"{name}\n" for name in LABELS))
    return graph


def input_of(path: Path, overrides: Overrides = NOTHING_SAID) -> tuple[Any, ...]:
    about = open_graph(str(path), overrides).description
    return about.input_tensor, about.input_height, about.input_width, about.input_mean, about.input_std


def test_the_originals_mobilenet_is_known_by_its_input(reference_dir: Path) -> None:
    original = reference_dir / "original_retrained_graph.pb"
    assert input_of(original) == ("input:0", 128, 128, 127.5, 127.5)
    assert open_graph(str(original), NOTHING_SAID).description.labels == LABELS


def test_the_originals_inception_is_known_by_its_mul(inception: Path) -> None:
    old = give_labels(without_description(inception))
    assert input_of(old) == ("Mul:0", 299, 299, 128.0, 128.0)


def test_a_graph_of_a_hub_module_is_known_by_its_placeholder(tmp_path: Path) -> None:
    assert input_of(write_hub_like(tmp_path)) == ("Placeholder:0", 20, 30, 0.0, 255.0)


def write_hub_like(folder: Path, shape: tuple[int | None, ...] | None = (None, 20, 30, 3), inputs: tuple[str, ...] = ()) -> Path:
    """What a hub module makes: pixels in [0, 1], here averaged to a score for each of three labels."""
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, shape, name=inputs[0] if inputs else "Placeholder")
        for name in inputs[1:]:
            tf.compat.v1.placeholder(tf.float32, shape, name=name)
        tf.reduce_mean(images, axis=[1, 2], name="final_result")
    (folder / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    (folder / "labels.txt").write_text("red\ngreen\nblue\n")
    return folder / "graph.pb"


def test_a_hub_graph_gets_pixels_from_0_to_1(tmp_path: Path, label: Label) -> None:
    Image.new("RGB", (9, 9), (51, 102, 255)).save(tmp_path / "plain.png")
    answer = label("--graph", write_hub_like(tmp_path), "--image", tmp_path / "plain.png")
    assert answer.out.splitlines()[2:] == ["blue (score=1.00000)", "green (score=0.40000)", "red (score=0.20000)"]


# What the user says


def test_flags_win_over_the_description(bundled: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\nb\nc\nd\ne\n")
    said = Overrides(None, 128, 128, 0.0, 255.0, "final_training_ops/Wx_plus_b/add", str(tmp_path / "words.txt"))
    about = open_graph(str(bundled), said).description
    assert input_of(bundled, said) == ("input:0", 128, 128, 0.0, 255.0)
    assert (about.labels, about.output_tensor) == (("a", "b", "c", "d", "e"), "final_training_ops/Wx_plus_b/add:0")


@pytest.mark.parametrize(("mean", "std"), [(0, 255), (0, 127.5), (127.5, 100), (-30, 200)])
def test_mean_and_std_of_the_flags_are_used_also_if_0(mean: float, std: float, bundled: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", bundled, "--image", photos / "0.png", f"--input_mean={mean}", f"--input_std={std}")
    expected = scores_by_hand(bundled, photos / "0.png", InputSpec(128, 128, mean, std))
    assert answer.code == 0
    assert answer.out.splitlines()[2:] == lines_by_hand(expected)
    assert lines_by_hand(expected) != lines_by_hand(scores_by_hand(bundled, photos / "0.png", BUNDLED_INPUT))


def test_the_originals_command_line_works(bundled: Path, photos: Path, label: Label) -> None:
    args = "--input_layer=input --output_layer=final_result --input_height=128 --input_width=128 --input_mean=128 --input_std=128"
    labels = bundled.parent / "retrained_labels.txt"
    labels.write_text("".join(f"{name}\n" for name in LABELS))
    answer = label("--graph", bundled, "--labels", labels, "--image", photos / "0.png", *args.split())
    expected = scores_by_hand(bundled, photos / "0.png", InputSpec(128, 128, 128, 128))
    assert (answer.code, answer.out.splitlines()[2:]) == (0, lines_by_hand(expected))


@pytest.mark.parametrize("flag", ["--input_height", "--input_width"])
def test_a_size_that_the_graph_does_not_take_is_an_error(flag: str, bundled: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", bundled, "--image", photos / "0.png", f"{flag}=224")
    assert answer == (2, "", f"error: {flag} must be 128, the size that the graph's input input has. Got 224.\n")


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--input_layer=Mul"], "--input_layer: the graph has no operation named Mul. It could be: input."),
        (["--input_layer=imput"], "--input_layer: the graph has no operation named imput. It could be: input."),
        (["--output_layer=softmax"], "--output_layer: the graph has no operation named softmax. It could be: final_result."),
        (
            ["--output_layer=final_resutl"],
            "--output_layer: the graph has no operation named final_resutl. It could be: final_result.",
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
    complaint = "--input_layer: the graph has no operation named input. It could be: DecodeJpeg/contents, Mul."
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
    spoken = "error: The graph does not say what its input looks like. Give it with --input_mean.\n"
    assert label("--graph", graph, "--image", photos / "0.png") == (2, "", spoken)
    answer = label("--graph", graph, "--image", photos / "0.png", "--input_mean=0", "--input_std=255")
    assert (answer.code, answer.err) == (0, "")


@pytest.mark.parametrize("shape", [None, (None, None, None, 3)])
def test_a_placeholder_without_a_size_needs_one(
    shape: tuple[int | None, ...] | None, tmp_path: Path, photos: Path, label: Label
) -> None:
    graph = write_hub_like(tmp_path, shape)
    spoken = "error: The graph does not say what its input looks like. Give it with --input_height.\n"
    assert label("--graph", graph, "--image", photos / "0.png") == (2, "", spoken)
    answer = label("--graph", graph, "--image", photos / "0.png", "--input_height=10", "--input_width=12")
    assert (answer.code, answer.err) == (0, "")


def test_of_several_inputs_one_has_to_be_named(tmp_path: Path, photos: Path, label: Label) -> None:
    graph = write_hub_like(tmp_path, inputs=("left", "right"))
    answer = label("--graph", graph, "--image", photos / "0.png")
    spoken = "The graph does not say which of its operations is its input. It could be: left, right. Name it with --input_layer."
    assert answer == (2, "", f"error: {spoken}\n")


def test_of_several_outputs_one_has_to_be_named(tmp_path: Path, photos: Path, label: Label) -> None:
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], name="input")
        tf.reduce_mean(images, axis=[1, 2], name="mean")
        tf.reduce_max(images, axis=[1, 2], name="largest")
    (tmp_path / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    answer = label("--graph", tmp_path / "graph.pb", "--image", photos / "0.png")
    spoken = (
        "The graph does not say which of its operations is its output. It could be: mean, largest. Name it with --output_layer."
    )
    assert answer == (2, "", f"error: {spoken}\n")


def test_a_graph_without_an_input_is_an_error(tmp_path: Path, photos: Path, label: Label) -> None:
    with tf.Graph().as_default() as graph:
        tf.constant([1.0, 2.0], name="final_result")
    (tmp_path / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    answer = label("--graph", tmp_path / "graph.pb", "--image", photos / "0.png")
    spoken = "The graph does not say which of its operations is its input. None was found. Name it with --input_layer."
    assert answer == (2, "", f"error: {spoken}\n")


def test_a_layer_that_is_not_behind_the_input_is_an_error_without_a_traceback(bundled: Path, photos: Path, label: Label) -> None:
    weights = "final_training_ops/weights/final_weights"
    answer = label("--graph", bundled, "--image", photos / "0.png", f"--output_layer={weights}")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: The graph does not run with the input input:0: ")


# Labels


def test_labels_that_do_not_fit_are_an_error(bundled: Path, photos: Path, tmp_path: Path, label: Label) -> None:
    (tmp_path / "two.txt").write_text("a\nb\n")
    answer = label("--graph", bundled, "--image", photos / "0.png", "--labels", tmp_path / "two.txt")
    spoken = (
        "The graph's output final_result:0 has 5 values, but there are 2 labels. Give the labels that the graph was trained "
        "with (--labels)."
    )
    assert answer == (2, "", f"error: {spoken}\n")


@pytest.mark.parametrize(
    ("graph_name", "labels_name"),
    [("retrained_graph.pb", "retrained_labels.txt"), ("output_graph.pb", "output_labels.txt"), ("flowers.pb", "flowers.txt")],
)
def test_labels_beside_the_graph_are_found(graph_name: str, labels_name: str, tmp_path: Path) -> None:
    os.rename(write_hub_like(tmp_path), tmp_path / graph_name)
    os.rename(tmp_path / "labels.txt", tmp_path / labels_name)
    assert open_graph(str(tmp_path / graph_name), NOTHING_SAID).description.labels == ("red", "green", "blue")


def test_missing_labels_are_an_error_that_names_the_file(tmp_path: Path, photos: Path, label: Label) -> None:
    graph = write_hub_like(tmp_path)
    os.unlink(tmp_path / "labels.txt")
    spoken = (
        f"error: The graph does not say what its labels are, and there is no {tmp_path}/labels.txt. Give them with --labels.\n"
    )
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
        open_graph(str(bundled), Overrides(labels=str(path)))
    assert str(caught.value) == f"--labels {path} cannot be read ({reason})."


@pytest.mark.parametrize("text", ["a\nb\n", "a\nb", "a\r\nb\r\n", "a\nb\n\n\n"])
def test_labels_are_one_a_line_however_it_ends(text: str, bundled: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_bytes(text.encode())
    assert open_graph(str(bundled), Overrides(labels=str(tmp_path / "words.txt"))).description.labels == ("a", "b")


def test_a_file_that_is_no_graph_is_an_error(photos: Path) -> None:
    with pytest.raises(GraphError, match="is not a frozen TensorFlow graph"):
        open_graph(str(photos / "0.png"), NOTHING_SAID)
    with pytest.raises(GraphError, match="cannot be read"):
        open_graph(str(photos / "none.pb"), NOTHING_SAID)


def test_a_damaged_description_is_an_error(bundled: Path, tmp_path: Path) -> None:
    graph = GraphDef.FromString(bundled.read_bytes())
    [description] = [node for node in graph.node if node.name == NODE_NAME]
    description.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(b"{"))
    (tmp_path / "graph.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(GraphError, match="description of itself cannot be read"):
        open_graph(str(tmp_path / "graph.pb"), NOTHING_SAID)


def test_a_description_that_is_no_single_text_is_an_error(bundled: Path, tmp_path: Path) -> None:
    graph = GraphDef.FromString(bundled.read_bytes())
    [description] = [node for node in graph.node if node.name == NODE_NAME]
    description.attr["value"].tensor.CopyFrom(tf.make_tensor_proto([b"{}", b"{}"]))
    (tmp_path / "graph.pb").write_bytes(graph.SerializeToString())
    with pytest.raises(GraphError):
        open_graph(str(tmp_path / "graph.pb"), NOTHING_SAID)


# A graph that decodes by itself


def test_a_files_bytes_can_be_fed(inception: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", inception, "--image", photos / "1.jpg", "--input_layer=DecodeJpeg/contents", "--output_format=json")
    feeds = {"DecodeJpeg/contents:0": (photos / "1.jpg").read_bytes()}
    expected = run_in_v1_session(GraphDef.FromString(inception.read_bytes()), feeds, "final_result:0")[0]
    found = {each["label"]: each["score"] for each in json.loads(answer.out)[0]["predictions"]}
    assert answer.code == 0
    np.testing.assert_allclose([found[name] for name in LABELS], expected, rtol=0, atol=1e-5)


def test_both_ways_into_the_graph_agree(inception: Path, photos: Path) -> None:
    failed: dict[str, str] = {}
    paths = [str(photos / "1.jpg"), str(photos / "4.JPG")]
    graphs = [open_graph(str(inception), Overrides(input_layer=name)) for name in ("Mul", "DecodeJpeg/contents")]
    by_pixels, by_bytes = (classify(graph, paths, 5, failed) for graph in graphs)
    assert failed == {}
    for pixels, contents in zip(by_pixels, by_bytes, strict=True):
        assert pixels.path == contents.path
        np.testing.assert_allclose(sorted(pixels.scores), sorted(contents.scores), rtol=0, atol=1e-4)


def test_what_the_graph_cannot_decode_is_named_and_the_others_are_labelled(
    inception: Path, photos: Path, tmp_path: Path, label: Label
) -> None:
    (tmp_path / "text.jpg").write_bytes(b"some text")
    images = [photos / "1.jpg", tmp_path / "text.jpg", photos / "4.JPG"]
    answer = label("--graph", inception, "--image", *images, "--input_layer=DecodeJpeg/contents")
    assert answer.code == 1
    assert str(photos / "1.jpg") in answer.out
    assert str(photos / "4.JPG") in answer.out
    assert answer.err == f"error: {tmp_path}/text.jpg cannot be labelled: the graph cannot decode it\n"


# What is printed


def test_one_image_is_printed_as_by_the_original(bundled: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", bundled, "--image", photos / "0.png")
    time, empty, *lines = answer.out.splitlines()
    assert (answer.code, answer.err, empty) == (0, "", "")
    assert re.fullmatch(r"Evaluation time \(1-image\): \d+\.\d{3}s", time)
    assert lines == lines_by_hand(scores_by_hand(bundled, photos / "0.png", BUNDLED_INPUT))
    assert len(lines) == 5


@pytest.mark.parametrize(("top_k", "count"), [(1, 1), (3, 3), (5, 5), (100, 5)])
def test_top_k(top_k: int, count: int, bundled: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", bundled, "--image", photos / "0.png", f"--top_k={top_k}")
    assert answer.out.splitlines()[2:] == lines_by_hand(scores_by_hand(bundled, photos / "0.png", BUNDLED_INPUT), count)


def test_a_folder_stands_for_all_images_below_it(bundled: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", bundled, "--image", photos, "--top_k=2")
    paths = [photos / name for name in ("0.png", "1.jpg", "2.gif", "4.JPG", "below/3.bmp")]
    expected = [[str(path), *lines_by_hand(scores_by_hand(bundled, path, BUNDLED_INPUT), 2)] for path in paths]
    *found, time = [part.splitlines() for part in answer.out.split("\n\n")]
    assert found == expected
    assert re.fullmatch(r"Evaluation time \(1-image\): \d+\.\d{3}s", time[0])
    assert answer.code == 0


ANSWERS = [
    Classification("a b.jpg", ("daisy", "roses"), (0.99071, 0.0000049), 0.1234),
    Classification('c "d", e.jpg', ("roses", "daisy"), (0.75, 0.25), 0.2),
]


def test_text_of_one_and_of_several() -> None:
    one = "Evaluation time (1-image): 0.123s\n\ndaisy (score=0.99071)\nroses (score=0.00000)\n"
    assert as_text(ANSWERS[:1]) == one
    assert as_text(ANSWERS) == (
        "a b.jpg\ndaisy (score=0.99071)\nroses (score=0.00000)\n\n"
        'c "d", e.jpg\nroses (score=0.75000)\ndaisy (score=0.25000)\n\n'
        "Evaluation time (1-image): 0.162s\n"  # The mean.
    )


def test_csv() -> None:
    assert as_csv(ANSWERS) == (
        "image,rank,label,score\n"
        "a b.jpg,1,daisy,0.9907100\n"
        "a b.jpg,2,roses,0.0000049\n"
        '"c ""d"", e.jpg",1,roses,0.7500000\n'
        '"c ""d"", e.jpg",2,daisy,0.2500000\n'
    )
    assert as_csv([]) == "image,rank,label,score\n"


def test_json() -> None:
    assert as_json(ANSWERS[1:]) == (
        """[
  {
    "image": "c \\"d\\", e.jpg",
    "predictions": [
      {
        "label": "roses",
        "score": 0.75
      },
      {
        "label": "daisy",
        "score": 0.25
      }
    ]
  }
]
"""
    )
    assert as_json([]) == "[]\n"


@pytest.mark.parametrize("output_format", ["json", "csv", "JSON"])
def test_formats_are_chosen_by_a_flag(output_format: str, bundled: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", bundled, "--image", photos / "0.png", photos / "1.jpg", f"--output_format={output_format}")
    if output_format == "csv":
        rows = list(csv.DictReader(io.StringIO(answer.out)))
    else:
        rows = [
            {"image": each["image"], "rank": str(rank), **prediction}
            for each in json.loads(answer.out)
            for rank, prediction in enumerate(each["predictions"], start=1)
        ]
    assert [row["image"] for row in rows] == [str(photos / "0.png")] * 5 + [str(photos / "1.jpg")] * 5
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"] * 2
    expected = scores_by_hand(bundled, photos / "0.png", BUNDLED_INPUT)
    np.testing.assert_allclose([float(row["score"]) for row in rows[:5]], np.sort(expected)[::-1], rtol=0, atol=1e-6)


# Images that cannot be labelled


@pytest.mark.parametrize("output_format", ["text", "json", "csv"])
def test_a_bad_image_among_good_ones_is_named_and_the_others_are_labelled(
    output_format: str, bundled: Path, photos: Path, tmp_path: Path, label: Label
) -> None:
    (tmp_path / "text.jpg").write_bytes(b"some text")
    (tmp_path / "empty.jpg").write_bytes(b"")
    images = [tmp_path / "text.jpg", photos / "0.png", tmp_path / "empty.jpg", photos / "1.jpg"]
    answer = label("--graph", bundled, "--image", *images, f"--output_format={output_format}")
    assert answer.code == 1
    assert str(photos / "0.png") in answer.out
    assert str(photos / "1.jpg") in answer.out
    assert str(tmp_path) not in answer.out
    assert answer.err == (
        f"error: {tmp_path}/text.jpg cannot be labelled: it is no image in a known format\n"
        f"{tmp_path}/empty.jpg cannot be labelled: the file is empty\n"
    )


def test_of_only_bad_images_nothing_is_printed_but_the_error(bundled: Path, tmp_path: Path, label: Label) -> None:
    (tmp_path / "text.jpg").write_bytes(b"some text")
    spoken = f"error: {tmp_path}/text.jpg cannot be labelled: it is no image in a known format\n"
    assert label("--graph", bundled, "--image", tmp_path / "text.jpg") == (1, "", spoken)


def test_answers_stay_in_the_order_of_the_images(bundled: Path, photos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "scan.jpg", "TIFF")  # Pillow reads it, after all others.
    paths = [str(path) for path in (photos / "4.JPG", tmp_path / "scan.jpg", photos / "0.png")]
    answers = classify(open_graph(str(bundled), NOTHING_SAID), paths, 1, {})
    assert [answer.path for answer in answers] == paths


def test_the_ending_of_a_file_does_not_matter(bundled: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "picture.jpg").write_bytes((photos / "2.gif").read_bytes())
    graph = open_graph(str(bundled), NOTHING_SAID)
    found, expected = classify(graph, [str(tmp_path / "picture.jpg"), str(photos / "2.gif")], 5, {})
    assert found.labels == expected.labels
    assert found.scores == pytest.approx(expected.scores, rel=0, abs=SCORE_TOLERANCE)


@pytest.mark.parametrize("output_format", ["text", "csv"])
def test_a_name_that_is_no_unicode_can_be_printed(output_format: str, bundled: Path, tmp_path: Path, label: Label) -> None:
    for name in (b"caf\xe9.png", b"plain.png"):
        Image.new("RGB", (9, 9), "red").save(os.path.join(tmp_path, os.fsdecode(name)))
    answer = label("--graph", bundled, "--image", tmp_path, f"--output_format={output_format}")
    assert (answer.code, answer.err) == (0, "")
    assert "caf\\udce9.png" in answer.out


def test_an_image_that_does_not_exist_is_an_error(bundled: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", bundled, "--image", photos / "0.png", photos / "none.jpg")
    assert answer == (2, "", f"error: --image {photos}/none.jpg does not exist.\n")


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(FlagError) as caught:
        find_images([str(tmp_path)])
    assert str(caught.value) == f"--image {tmp_path} holds no image (.jpg, .jpeg, .png, .gif, .bmp)."


# The original's answers


def reference_scores(reference_dir: Path) -> dict[str, FloatArray]:
    with open(reference_dir / "original_label_image.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == N_REFERENCES
    return {row["image"]: np.array([float(row[name]) for name in LABELS], np.float32) for row in rows}


def test_all_scores_of_the_original_come_out(reference_dir: Path, flower_photos: Path, label: Label) -> None:
    expected = reference_scores(reference_dir)
    graph = reference_dir / "original_retrained_graph.pb"
    answer = label("--graph", graph, "--output_format=csv", "--image", *(flower_photos / name for name in expected))
    assert (answer.code, answer.err) == (0, "")
    found: dict[str, dict[str, float]] = {}
    for row in csv.DictReader(io.StringIO(answer.out)):
        found.setdefault(os.path.relpath(row["image"], flower_photos), {})[row["label"]] = float(row["score"])
    assert list(found) == list(expected)
    for name, scores in expected.items():
        np.testing.assert_allclose([found[name][each] for each in LABELS], scores, rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_the_command_works_on_its_own(reference_dir: Path, flower_photos: Path, run_cli: RunCli) -> None:
    name, scores = next(iter(reference_scores(reference_dir).items()))
    done = run_cli(
        "label_image", "--graph", reference_dir / "original_retrained_graph.pb", "--image", flower_photos / name, "--top_k=1"
    )
    assert (done.returncode, done.stderr) == (0, ""), "TensorFlow's own greetings are kept away"
    assert done.stdout.splitlines()[2:] == [f"{LABELS[scores.argmax()]} (score={scores.max():.5f})"]


def write_spying_graph(folder: Path, bundled: Path, target: Path) -> Path:
    """The graph with a last operation, `watched`, before which `target` is written."""
    graph = GraphDef.FromString(bundled.read_bytes())
    for name, text in (("target", str(target)), ("text", "written")):
        constant = graph.node.add(name=name, op="Const")
        constant.attr["dtype"].type = tf.string.as_datatype_enum
        constant.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(text))
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


def test_a_label_without_any_letter_is_kept(tmp_path: Path, bundled: Path) -> None:
    """What the original makes of a folder named in another script: a space."""
    (tmp_path / "words.txt").write_text("cats\n \n")
    assert open_graph(str(bundled), Overrides(labels=str(tmp_path / "words.txt"))).description.labels == ("cats", " ")


def test_images_may_be_named_one_by_one(bundled: Path, photos: Path, label: Label) -> None:
    first, second = photos / "0.png", photos / "1.jpg"
    answer = label("--graph", bundled, "--image", first, "--image", second, "--output_format=csv", "--top_k=1")
    assert [line.split(",")[0] for line in answer.out.splitlines()] == ["image", str(first), str(second)]
