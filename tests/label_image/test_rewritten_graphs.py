"""Frozen graphs that TensorFlow's own tools rewrote, which drop the metadata; the tutorial's two checking commands on them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorflow.python.tools import optimize_for_inference_lib, strip_unused_lib

from label_image.classify import classify, score_images
from label_image.opening import open_classifier
from retrain.arrays import FloatArray
from retrain.data.decode import image_from_file
from retrain.graphdef.imported import without_prefix
from retrain.graphdef.nodes import plain_node
from retrain.graphdef.pooled_size import pooled_size
from retrain.graphdef.run import read_graph
from retrain.input_spec import InputSpec
from tests.conftest import ROOT, Label, RunCli
from tests.support.commands import assert_succeeded
from tests.support.labelling import NO_OPTIONS, without_description
from tests.support.tensorflow_1 import interpreter, run_graph, run_program

TRANSFORM = ROOT / "tests" / "label_image" / "transform_graph.py"
INPUT, OUTPUT = "input", "final_result"
SPEC = InputSpec(128, 128, 127.5, 127.5)  # Of the original's MobileNet, and of the bundled network.


@pytest.fixture(params=["original", "bundled"])
def graph(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a graph with its labels where the tutorial has them: the original's MobileNet, or one that this project wrote."""
    path = tmp_path / "retrained_graph.pb"
    if request.param == "original":
        reference = request.getfixturevalue("reference_dir")
        shutil.copyfile(reference / "original_retrained_graph.pb", path)
        shutil.copyfile(reference / "original_retrained_labels.txt", tmp_path / "retrained_labels.txt")
    else:
        shutil.copyfile(request.getfixturevalue("bundled"), path)
        labels = open_classifier(str(path), NO_OPTIONS).description.labels
        (tmp_path / "retrained_labels.txt").write_text("".join(f"{label}\n" for label in labels))
    return path


def scores(path: Path, photos: list[Path]) -> FloatArray:
    classifier = open_classifier(str(path), NO_OPTIONS)
    found = np.zeros((len(photos), len(classifier.description.labels)), np.float32)
    failed: dict[str, str] = {}
    for indices, rows, _ in score_images(classifier, [str(photo) for photo in photos], failed):
        found[indices] = rows
    assert not failed
    return found


def parsed(path: Path) -> tf.compat.v1.GraphDef:
    return tf.compat.v1.GraphDef.FromString(path.read_bytes())


def optimized(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    return optimize_for_inference_lib.optimize_for_inference(graph, [INPUT], [OUTPUT], tf.float32.as_datatype_enum)


def stripped(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    return strip_unused_lib.strip_unused(graph, [INPUT], [OUTPUT], tf.float32.as_datatype_enum)


def imported(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    with tf.Graph().as_default() as holder:
        tf.import_graph_def(graph, name="import")
    return holder.as_graph_def()


def controlled(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    graph.node.add(name="init", op="NoOp")
    next(node for node in graph.node if node.name == INPUT).input.append("^init")
    return graph


def waiting(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    """Make constants wait for the input, as `transform_graph` does where it quantizes operations."""
    for node in graph.node:
        if node.op == "Const" and node.name != "retrain_description":
            node.input.append(f"^{INPUT}")
    return graph


def shapeless(graph: tf.compat.v1.GraphDef) -> tf.compat.v1.GraphDef:
    del next(node for node in graph.node if node.name == INPUT).attr["shape"]
    return graph


@pytest.mark.slow
@pytest.mark.parametrize("rewrite", [optimized, stripped, imported, controlled, waiting, shapeless])
def test_a_rewritten_graph_gives_the_same_scores(graph: Path, rewrite: object, few_photos: list[Path]) -> None:
    """On photos without an orientation: the tools drop the metadata, which says what is done with it."""
    assert callable(rewrite)
    path = graph.parent / "rewritten_graph.pb"
    path.write_bytes(rewrite(parsed(graph)).SerializeToString())
    np.testing.assert_allclose(scores(path, few_photos), scores(graph, few_photos), atol=1e-5)


@pytest.mark.slow
def test_layers_can_be_named_as_the_tutorials_programs_name_them(graph: Path, few_photos: list[Path], label: Label) -> None:
    path = graph.parent / "imported_graph.pb"
    path.write_bytes(imported(parsed(graph)).SerializeToString())
    for each in (graph, path):
        for prefix in ("", "import/"):
            answer = label(
                f"--graph={each}",
                f"--image={few_photos[0]}",
                f"--input_layer={prefix}{INPUT}",
                f"--output_layer={prefix}{OUTPUT}",
            )
            assert answer.code == 0, answer.err


@pytest.mark.slow
def test_transform_graph(graph: Path, few_photos: list[Path]) -> None:
    """With weights of 8 bits the reference is TensorFlow 1.15.

    Its kernels of 8 bits differ from version to version; so with operations of 8 bits the reference is this TensorFlow, one image
    at a time.
    """
    python, folder = interpreter(), graph.parent
    run_program(python, TRANSFORM, graph, folder / "transformed", "128")
    np.save(folder / "pixels.npy", image_from_file(str(few_photos[0]), SPEC)[None])
    for kind in ("quantized_weights", "rounded_weights"):
        path = folder / f"transformed_{kind}.pb"
        theirs = run_graph(python, path, INPUT, folder / "pixels.npy", folder)
        np.testing.assert_allclose(scores(path, few_photos[:1])[0], theirs[0], atol=1e-4)
    path = folder / "transformed_quantized_nodes.pb"
    ours = scores(path, few_photos)
    with tf.Graph().as_default() as holder:
        tf.import_graph_def(parsed(path), name="")
        with tf.compat.v1.Session(graph=holder) as session:
            for number, photo in enumerate(few_photos):
                image = image_from_file(str(photo), SPEC)[None]
                theirs = session.run(f"{OUTPUT}:0", {f"{INPUT}:0": image})
                np.testing.assert_allclose(ours[number], theirs[0], atol=1e-4)


@pytest.mark.slow
def test_the_two_commands_of_the_tutorial(graph: Path, small_photos: Path, tmp_path: Path, run_cli: RunCli) -> None:
    """`tf_files/optimized_graph.pb` beside `tf_files/retrained_labels.txt`, photos in `tf_files/flower_photos`."""
    files = tmp_path / "lab" / "tf_files"
    files.mkdir(parents=True)
    shutil.copyfile(graph.parent / "retrained_labels.txt", files / "retrained_labels.txt")
    (files / "optimized_graph.pb").write_bytes(optimized(parsed(graph)).SerializeToString())
    photos = sorted((small_photos / "red dots").iterdir())
    for name in ("roses", "tulips"):
        shutil.copytree(small_photos / "red dots", files / "flower_photos" / name)
    environment = {"PYTHONPATH": str(ROOT)}
    photo = f"tf_files/flower_photos/roses/{photos[0].name}"
    labelled = run_cli(
        "scripts.label_image", "--graph=tf_files/optimized_graph.pb", f"--image={photo}", cwd=files.parent, env=environment
    )
    assert_succeeded(labelled)
    expected = classify(open_classifier(str(graph), NO_OPTIONS), [str(photos[0])], 1, {})[0]
    assert f"{expected.labels[0]} (score={expected.scores[0]:.4f}"[:-1] in labelled.stdout
    evaluated = run_cli("scripts.evaluate", "tf_files/optimized_graph.pb", cwd=files.parent, env=environment)
    assert_succeeded(evaluated)
    assert "Accuracy = " in evaluated.stdout and "nan" not in evaluated.stdout


@pytest.mark.parametrize(("kernel", "size"), [(4, 128), (5, 160), (6, 192), (7, 224)])
def test_the_size_that_a_pooling_implies(kernel: int, size: int) -> None:
    with tf.Graph().as_default() as holder:
        values = tf.compat.v1.placeholder(tf.float32, [None, None, None, 3], name=INPUT)
        for stride in (2, 1, 2, 2, 2, 2):
            values = tf.nn.conv2d(values, tf.zeros([3, 3, 3, 3]), stride, "SAME")
        values = tf.nn.avg_pool2d(values, kernel, 1, "VALID")
        tf.nn.softmax(tf.squeeze(values, [1, 2]) @ tf.zeros([3, 2]), name=OUTPUT)
    graph = GraphDef.FromString(holder.as_graph_def().SerializeToString())
    assert pooled_size(graph, INPUT, OUTPUT) == (size, size)
    assert pooled_size(graph, "another", OUTPUT) is None
    assert pooled_size(graph, INPUT, INPUT) is None


def test_names_are_renamed_only_if_all_have_the_prefix(reference_dir: Path) -> None:
    graph = read_graph(str(reference_dir / "original_retrained_graph.pb"))
    assert without_prefix(graph) is graph
    twice = GraphDef.FromString(
        imported(imported(tf.compat.v1.GraphDef.FromString(graph.SerializeToString()))).SerializeToString()
    )
    assert [node.name for node in without_prefix(twice).node] == [node.name for node in graph.node]
    assert [list(node.input) for node in without_prefix(twice).node] == [list(node.input) for node in graph.node]
    twice.node.append(plain_node("NoOp", "init"))
    assert without_prefix(twice) is twice


def test_a_description_under_the_prefix_is_read(bundled: Path, tmp_path: Path) -> None:
    path = tmp_path / "imported.pb"
    path.write_bytes(imported(parsed(bundled)).SerializeToString())
    assert open_classifier(str(path), NO_OPTIONS).description == open_classifier(str(bundled), NO_OPTIONS).description
    bare = without_description(bundled)
    assert read_graph(str(bare))
