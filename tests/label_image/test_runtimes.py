"""Labelling with TensorFlow Lite and ONNX files and SavedModels, and with a network's own classes."""

import dataclasses
import io
import json
import random
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from label_image.graph import Overrides
from label_image.opening import open_classifier
from retrain.arrays import FloatArray
from retrain.data.decode import image_from_file
from retrain.errors import GraphError
from retrain.graphdef.description import DESCRIPTION_FILE
from retrain.input_spec import InputSpec
from tests.conftest import MOBILENET_ARCHIVE, ROOT, Label
from tests.support.exported import FORMATS, HAS_ONNX, LABELS, NO_ONNX, Exported
from tests.support.stand_ins import ARCHIVE, GRAPH_FILE, tiny_inception_graph

NOTHING_SAID = Overrides()
KINDS = [*FORMATS, "saved_model"]
# float32 sums in another order, then printed with five digits.
EXACT = ["tflite", "saved_model", *(["onnx"] if HAS_ONNX else [])]
FUZZED = ["tflite", "tflite:int8", *(["onnx"] if HAS_ONNX else [])]
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason=NO_ONNX)


def answers(text: str) -> dict[str, dict[str, float]]:
    """The scores by label of each image of `--output_format=json`."""
    return {each["image"]: {one["label"]: one["score"] for one in each["predictions"]} for each in json.loads(text)}


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_needs_no_flag(kind: str, exported: Exported) -> None:
    about = open_classifier(str(exported.path(kind)), NOTHING_SAID).description
    same = {"input_tensor": about.input_tensor, "output_tensor": about.output_tensor}
    assert about == dataclasses.replace(exported.description, **same)  # type: ignore[arg-type]
    assert (about.labels, about.note, about.input_height, about.input_std) == (LABELS, "a note", 128, 127.5)


@pytest.mark.parametrize("kind", EXACT)
def test_it_answers_as_the_graph_does(kind: str, exported: Exported, few_photos: list[Path], label: Label) -> None:
    expected = exported.expected(few_photos)
    done = label("--graph", exported.path(kind), "--output_format", "json", "--image", *few_photos)
    assert (done.code, done.err) == (0, "")
    found = answers(done.out)
    assert list(found) == [str(photo) for photo in few_photos]
    for photo, row in zip(few_photos, expected, strict=True):
        assert found[str(photo)] == pytest.approx(dict(zip(LABELS, map(float, row), strict=True)), abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_one_image_is_answered_in_the_originals_lines(
    kind: str, exported: Exported, few_photos: list[Path], label: Label
) -> None:
    done = label("--graph", exported.path(kind), "--image", few_photos[0])
    assert (done.code, done.err) == (0, "")
    first, blank, *lines = done.out.splitlines()
    assert first.startswith("Evaluation time (1-image): ")
    assert blank == ""
    assert sorted(line.partition(" (score=0.")[0] for line in lines) == sorted(LABELS)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_file_is_known_by_its_content(kind: str, exported: Exported, tmp_path: Path) -> None:
    shutil.copy(exported.path(kind), tmp_path / "graph.pb")
    assert open_classifier(str(tmp_path / "graph.pb"), NOTHING_SAID).description.labels == LABELS


@pytest.mark.parametrize("kind", KINDS)
def test_flags_win_over_the_description(kind: str, exported: Exported, few_photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\nb\nc\n")
    said = Overrides(input_mean=0.0, input_std=255.0, labels=str(tmp_path / "words.txt"))
    graph = open_classifier(str(exported.path(kind)), said)
    about = graph.description
    assert (about.input_mean, about.input_std, about.labels) == (0.0, 255.0, ("a", "b", "c"))
    images = np.stack([image_from_file(str(few_photos[0]), InputSpec(128, 128, 0.0, 255.0))])
    plain = open_classifier(str(exported.path(kind)), NOTHING_SAID)
    np.testing.assert_array_equal(graph.network()(images), plain.network()(images))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_layer_that_is_not_there_is_named(kind: str, exported: Exported, label: Label, few_photos: list[Path]) -> None:
    path = exported.path(kind)
    done = label("--graph", path, "--image", few_photos[0], "--input_layer", "Mul")
    assert (done.code, done.err) == (2, "error: --input_layer: the file has no input named Mul. It could be: input.\n")
    done = label("--graph", path, "--image", few_photos[0], "--output_layer", "softmax:0")
    assert (done.code, done.err) == (
        2,
        "error: --output_layer: the file has no output named softmax. It could be: final_result.\n",
    )
    done = label("--graph", path, "--image", few_photos[0], "--input_height", "64")
    assert (done.code, done.err) == (2, "error: --input_height must be 128, the size that the input input has. Got 64.\n")


def test_a_batch_of_any_size_gives_the_same(exported: Exported, few_photos: list[Path]) -> None:
    images = np.stack([image_from_file(str(photo), InputSpec(128, 128, 127.5, 127.5)) for photo in few_photos])
    for kind in FORMATS:
        network = open_classifier(str(exported.path(kind)), NOTHING_SAID).network()
        together = network(images)
        np.testing.assert_allclose(np.concatenate([network(images[:1]), network(images[1:])]), together, atol=1e-4)


# Files of others


def write_tflite(path: Path, batch: int | None, reshaped_to: int = -1, flex: bool = False) -> Path:
    """Mean levels of each colour as the scores, under names that say nothing."""
    shape = [batch, 4, 4, 3]

    def classifier(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        if flex:
            tf.io.write_file(str(path.parent / "target"), "written by a stranger")
        return {"scores": tf.reshape(tf.reduce_mean(pixels, [1, 2]), [reshaped_to, 3])}

    function = tf.function(classifier).get_concrete_function(tf.TensorSpec(shape, tf.float32, name="pixels"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function])
    if flex:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    path.write_bytes(converter.convert())
    return path


def grey_levels(count: int) -> FloatArray:
    return np.random.default_rng(0).uniform(0, 255, (count, 4, 4, 3)).astype(np.float32)


@pytest.mark.parametrize(("batch", "reshaped_to"), [(None, -1), (1, -1), (1, 1), (None, 1)])
def test_files_for_one_image_take_several(batch: int | None, reshaped_to: int, tmp_path: Path) -> None:
    path = write_tflite(tmp_path / "other.tflite", batch, reshaped_to)
    (tmp_path / "words.txt").write_text("red\ngreen\nblue\n")
    said = Overrides(input_mean=0.0, input_std=1.0, labels=str(tmp_path / "words.txt"))
    images = grey_levels(5)
    np.testing.assert_allclose(open_classifier(str(path), said).network()(images), images.mean(axis=(1, 2)), rtol=1e-5)


def test_a_file_without_a_description_asks_for_what_it_needs(tmp_path: Path, few_photos: list[Path], label: Label) -> None:
    path = write_tflite(tmp_path / "other_graph.tflite", None)
    ask = ["--graph", path, "--image", few_photos[0]]
    assert label(*ask).err == "error: The file does not say what its input looks like. Give it with --input_mean.\n"
    ask += ["--input_mean=0", "--input_std=255"]
    missing = tmp_path / "other_labels.txt"
    assert label(*ask).err == (
        f"error: The graph does not say what its labels are, and there is no {missing}. Give them with --labels.\n"
    )
    missing.write_text("red\ngreen\nblue\n")
    done = label(*ask)
    assert done.code == 0, done.err
    assert "red (score=" in done.out
    missing.write_text("red\ngreen\n")
    assert "has 3 values, but there are 2 labels." in label(*ask).err


def test_a_tflite_file_that_reaches_for_files_is_refused(tmp_path: Path, few_photos: list[Path], label: Label) -> None:
    path = write_tflite(tmp_path / "stranger.tflite", None, flex=True)
    done = label("--graph", path, "--image", few_photos[0])
    assert done.code == 2
    assert done.err == (
        f"error: {path} has operations of TensorFlow, which can read or write files: FlexWriteFile. If you trust whoever made "
        "it, add --allow_file_ops.\n"
    )
    assert not (tmp_path / "target").exists()


@needs_onnx
def test_onnx_weights_in_other_files_are_refused(exported: Exported, tmp_path: Path) -> None:
    import onnx

    model = onnx.load(exported.path("onnx"))
    onnx.save_model(model, tmp_path / "model.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(GraphError, match=r"model\.onnx keeps weights in other files\. Write it again as one file"):
        open_classifier(str(tmp_path / "model.onnx"), NOTHING_SAID)


@pytest.mark.slow
def test_without_onnxruntime_the_extra_is_named(tmp_path: Path, few_photos: list[Path]) -> None:
    """In a process where these packages cannot be imported, as if they were not installed."""
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07")
    program = "import sys; sys.modules.update(onnx=None, onnxruntime=None); from label_image.cli import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "--graph", "model.onnx", "--image", str(few_photos[0])],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    sentence = "model.onnx is an ONNX file, which needs onnxruntime. Install it: pip install '.[onnx]'"
    assert (done.returncode, done.stderr) == (2, f"error: {sentence}\n")


@pytest.mark.parametrize("kind", FUZZED)
def test_damaged_files_are_errors_in_words(kind: str, exported: Exported, tmp_path: Path) -> None:
    """Cut off, or with some bytes changed: an answer or a GraphError, and nothing else."""
    data = exported.path(kind).read_bytes()
    n_refused = 0
    for seed in range(40):
        draw = random.Random(seed)
        damaged = bytearray(data[: draw.randrange(len(data))] if seed % 4 == 0 else data)
        for _ in range(seed % 4 and draw.choice([1, 4, 20])):
            # Where the structure is, at both ends, rather than among the weights.
            place = draw.randrange(4096)
            damaged[place if draw.random() < 0.5 else len(damaged) - 1 - place] = draw.randrange(256)
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            classifier = open_classifier(str(tmp_path / "damaged"), NOTHING_SAID)
            classifier.network()(np.zeros((2, 128, 128, 3), np.float32))
        except GraphError as error:
            n_refused += 1
            assert str(error).count("\n") == 0
    assert n_refused >= 10  # All that were cut off, at least.


# SavedModels


def copy_of(exported: Exported, folder: Path) -> Path:
    shutil.copytree(exported.path("saved_model"), folder)
    return folder


def test_a_folder_that_is_no_saved_model_is_refused(tmp_path: Path, few_photos: list[Path], label: Label) -> None:
    done = label("--graph", tmp_path, "--image", few_photos[0])
    assert (done.code, done.err) == (
        2, f"error: --graph {tmp_path} is a folder, but no SavedModel: there is no saved_model.pb in it.\n",
    )  # fmt: skip


def test_a_damaged_saved_model_is_refused(exported: Exported, tmp_path: Path) -> None:
    folder = copy_of(exported, tmp_path / "saved")
    data = (folder / "saved_model.pb").read_bytes()
    (folder / "saved_model.pb").write_bytes(data[: len(data) // 2])
    with pytest.raises(GraphError, match=r"saved_model\.pb is no SavedModel, or is damaged\."):
        open_classifier(str(folder), NOTHING_SAID)
    (folder / "saved_model.pb").write_bytes(b"")
    with pytest.raises(GraphError, match=r"has no graph for serving \(tag serve\), or is damaged\."):
        open_classifier(str(folder), NOTHING_SAID)
    (folder / "saved_model.pb").write_bytes(data)
    (folder / DESCRIPTION_FILE).write_text("{}")
    with pytest.raises(GraphError, match="The graph's description of itself cannot be read"):
        open_classifier(str(folder), NOTHING_SAID)


def write_stranger(folder: Path) -> Path:
    """A SavedModel that writes a file, once while it is loaded and once while it is run."""

    def write(name: str) -> tf.Operation:
        return tf.raw_ops.WriteFile(filename=str(folder.parent / name), contents="written by a stranger")

    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        pixels = tf.compat.v1.placeholder(tf.float32, [None, 4, 4, 3], "Placeholder")
        with tf.control_dependencies([write("while running")]):
            scores = tf.reduce_mean(pixels, [1, 2], name="scores")
        builder = tf.compat.v1.saved_model.Builder(str(folder))
        signature = tf.compat.v1.saved_model.predict_signature_def({"image": pixels}, {"prediction": scores})
        with tf.control_dependencies([write("while loading")]):
            main_op = tf.no_op()
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature}, main_op=main_op)
        builder.save()
    return folder


def test_a_saved_model_that_reaches_for_files_is_refused(tmp_path: Path, few_photos: list[Path], label: Label) -> None:
    folder = write_stranger(tmp_path / "stranger")
    (tmp_path / "words.txt").write_text("red\ngreen\nblue\n")
    ask = ["--graph", folder, "--image", few_photos[0], "--labels", tmp_path / "words.txt"]
    done = label(*ask)
    assert done.code == 2
    assert done.err == (
        "error: The graph has operations that can read or write files: WriteFile. If you trust whoever made it, "
        "add --allow_file_ops.\n"
    )
    assert not (tmp_path / "while running").exists()
    assert label(*ask, "--allow_file_ops").code == 0
    assert (tmp_path / "while running").exists()
    assert not (tmp_path / "while loading").exists()  # What a SavedModel does while it is loaded is never done.


@pytest.mark.parametrize("resource", [False, True])
def test_a_saved_model_with_variables_as_the_originals(
    resource: bool, tmp_path: Path, few_photos: list[Path], label: Label
) -> None:
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        pixels = tf.compat.v1.placeholder(tf.float32, [None, 4, 4, 3], "Placeholder")
        weights = tf.compat.v1.get_variable("weights", initializer=tf.constant([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]]),
                                            use_resource=resource)  # fmt: skip
        scores = tf.matmul(tf.reduce_mean(pixels, [1, 2]), weights, name="final_result")
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.saved_model.simple_save(session, str(tmp_path / "saved"), {"image": pixels}, {"prediction": scores})
    (tmp_path / "words.txt").write_text("blue\nred\ngreen\n")
    graph_of_it = open_classifier(str(tmp_path / "saved"), Overrides(labels=str(tmp_path / "words.txt")))
    about = graph_of_it.description
    assert (about.input_mean, about.input_std, about.input_height) == (0.0, 255.0, 4)  # `Placeholder`, as of Hub modules.
    images = grey_levels(3)
    expected = np.roll(images.mean(axis=(1, 2)), 1, axis=1)
    np.testing.assert_allclose(graph_of_it.network()(images), expected, rtol=1e-5)


def test_a_saved_model_of_tensorflow_2_with_variables_is_an_error_in_words(tmp_path: Path) -> None:
    module = tf.Module()
    module.weights = tf.Variable(tf.ones([3, 2]))
    module.serve = tf.function(
        lambda pixels: {"scores": tf.matmul(tf.reduce_mean(pixels, [1, 2]), module.weights)},
        input_signature=[tf.TensorSpec([None, 4, 4, 3], tf.float32)],
    )
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": module.serve})
    with pytest.raises(GraphError, match=r"has variables whose values cannot be read .* give the frozen graph \(\.pb\)\."):
        open_classifier(str(tmp_path / "saved"), NOTHING_SAID)


# A network's own classes


def test_a_networks_own_classes(mobilenet_model_dir: Path, flower_photos: Path, label: Label) -> None:
    """`daisy` is one of ImageNet's classes, and this network knows it."""
    photos = sorted((flower_photos / "daisy").glob("*.jpg"))[:40]
    done = label("--architecture", "MobileNet_0.25_128", "--model_dir", mobilenet_model_dir, "--image", *photos,
                 "--output_format=json")  # fmt: skip
    assert done.code == 0, done.err
    best = [max(scores, key=lambda name: scores[name]) for scores in answers(done.out).values()]
    assert best.count("daisy") >= 20
    done = label("--architecture=mobilenet_0.25_128", "--model_dir", mobilenet_model_dir, "--image", photos[0], "--top_k=2000")
    lines = done.out.splitlines()[2:]
    assert len(lines) == 1001
    assert {"background", "tench, Tinca tinca", "toilet tissue, toilet paper, bathroom tissue"} <= {
        line.partition(" (score=")[0] for line in lines
    }


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


LABEL_MAP = "imagenet_2012_challenge_label_map_proto.pbtxt"
HUMAN = "imagenet_synset_to_human_label_map.txt"


def inception_archive(folder: Path, label_map: bytes) -> None:
    """A stand-in with the archive's 1,008 outputs, of which number 7 gets the highest score for any image."""
    graph = tiny_inception_graph()
    for node in graph.node:
        if node.name == "softmax/weights":
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.zeros((2048, 1008), np.float32)))
        if node.name == "softmax/biases":
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(np.where(np.arange(1008) == 7, 9, 0).astype(np.float32)))
    human = b"n00000001\tfirst thing, one\nn00000007\tseventh thing\n"
    write_archive(folder / ARCHIVE, {GRAPH_FILE: graph.SerializeToString(), LABEL_MAP: label_map, HUMAN: human})


def entry(number: int, synset: str) -> bytes:
    return f'entry {{\n  target_class: {number}\n  target_class_string: "{synset}"\n}}\n'.encode()


def test_inceptions_classes_come_from_its_two_files(tmp_path: Path, few_photos: list[Path], label: Label) -> None:
    inception_archive(
        tmp_path, b"# -*- protobuffer -*-\n" + entry(1, "n00000001") + entry(7, "n00000007") + entry(9, "n00000009")
    )
    ask = ["--architecture", "inception_v3", "--model_dir", tmp_path, "--image"]
    done = label(*ask, few_photos[0], "--top_k=1008")
    assert done.code == 0, done.err
    names = [line.partition(" (score=")[0] for line in done.out.splitlines()[2:]]
    assert len(names) == 1008
    assert names[0] == "seventh thing"
    assert {"first thing, one", "n00000009", "(no class 0)", "(no class 1007)"} <= set(names)
    assert label(*ask, *few_photos).code == 0  # Although its batch is frozen at one.


def test_a_class_beyond_the_outputs_is_an_error(tmp_path: Path, few_photos: list[Path], label: Label) -> None:
    inception_archive(tmp_path, entry(1008, "n00000001"))
    done = label("--architecture", "inception_v3", "--model_dir", tmp_path, "--image", few_photos[0])
    assert (done.code, done.err) == (
        1, "error: The label map of the network's archive has a class 1008, but the network has 1008.\n",
    )  # fmt: skip


def test_labels_that_are_not_numbered_are_an_error(
    mobilenet_model_dir: Path, tmp_path: Path, few_photos: list[Path], label: Label
) -> None:
    """A file put beside the graph by hand, newer than the archive."""
    folder = "mobilenet_v1_0.25_128"
    shutil.copy(mobilenet_model_dir / MOBILENET_ARCHIVE, tmp_path)
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "labels.txt").write_text("0:background\n2:goldfish\n")
    done = label("--architecture", "mobilenet_0.25_128", "--model_dir", tmp_path, "--image", few_photos[0])
    assert (done.code, done.err) == (
        1, f"error: {folder}/labels.txt in the network's archive does not name the classes 0 to 1000. Delete it and the archive, "
        "and run again.\n",
    )  # fmt: skip


def test_a_network_without_classes_is_an_error(few_photos: list[Path], label: Label) -> None:
    done = label("--architecture=tiny_resnet_128", "--image", few_photos[0])
    assert (done.code, done.err) == (
        2, "error: --architecture tiny_resnet_128 has no classes of its own. Train it on photos with python -m retrain, or "
        "take inception_v3 or a mobilenet.\n",
    )  # fmt: skip


# What is loaded


@pytest.mark.slow
def test_a_frozen_graph_loads_no_other_runtime(exported: Exported, few_photos: list[Path]) -> None:
    program = (
        "import sys; from label_image.cli import main; code = main(); "
        "print(sorted(name for name in sys.modules if name.startswith(('retrain.runtimes.', 'onnx'))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "--graph", str(exported.graph), "--image", str(few_photos[0])],
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "['retrain.runtimes.model']"
