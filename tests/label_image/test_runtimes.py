"""Labelling with the files of other runtimes: TensorFlow Lite, ONNX and SavedModels."""

import dataclasses
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from label_image.config import ClassifierOptions
from label_image.opening import open_classifier
from retrain.arrays import FloatArray
from retrain.data.decode import image_from_file
from retrain.engines.choice import Work
from retrain.errors import GraphError
from retrain.input_spec import InputSpec
from tests.conftest import ROOT, Label
from tests.support.exported import FORMATS, HAS_ONNX, LABELS, NO_ONNX, Exported
from tests.support.labelling import NO_OPTIONS, scores_in

pytestmark = pytest.mark.slow

KINDS = [*FORMATS, "saved_model"]
# float32 sums in another order, then printed with five digits.
EXACT = ["tflite", "saved_model", *(["onnx"] if HAS_ONNX else [])]
FUZZED = ["tflite", "tflite:int8", *(["onnx"] if HAS_ONNX else [])]
needs_onnx = pytest.mark.skipif(not HAS_ONNX, reason=NO_ONNX)


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_needs_no_flag(kind: str, exported: Exported) -> None:
    about = open_classifier(str(exported.path(kind)), NO_OPTIONS).description
    same = {"input_tensor": about.input_tensor, "output_tensor": about.output_tensor}
    assert about == dataclasses.replace(exported.description, **same)  # type: ignore[arg-type]
    assert (about.labels, about.note, about.input_height, about.input_std) == (LABELS, "a note", 128, 127.5)


@pytest.mark.parametrize("kind", EXACT)
def test_it_answers_as_the_graph_does(kind: str, exported: Exported, few_photos: list[Path], label: Label) -> None:
    expected = exported.expected(few_photos)
    done = label("--graph", exported.path(kind), "--output_format", "json", "--image", *few_photos)
    assert (done.code, done.err) == (0, "")
    found = scores_in(done.out)
    assert list(found) == [str(photo) for photo in few_photos]
    for photo, row in zip(few_photos, expected, strict=True):
        assert found[str(photo)] == pytest.approx(dict(zip(LABELS, map(float, row), strict=True)), abs=1e-4)


@pytest.mark.parametrize("kind", FORMATS)
def test_two_functions_of_one_model_do_not_disturb_each_other(kind: str, exported: Exported) -> None:
    """Each with batches of its own size, by turns."""
    classifier = open_classifier(str(exported.path(kind)), NO_OPTIONS)
    one, two = classifier.network(Work()), classifier.network(Work())
    images = np.random.default_rng(0).uniform(-1, 1, (5, 128, 128, 3)).astype(np.float32)
    expected = one(images)
    for _ in range(2):
        np.testing.assert_allclose(one(images[:1]), expected[:1], atol=1e-6)
        np.testing.assert_allclose(two(images[:2]), expected[:2], atol=1e-6)
        np.testing.assert_allclose(one(images), expected, atol=1e-6)


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
    assert open_classifier(str(tmp_path / "graph.pb"), NO_OPTIONS).description.labels == LABELS


@pytest.mark.parametrize("kind", KINDS)
def test_flags_win_over_the_description(kind: str, exported: Exported, few_photos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\nb\nc\n")
    said = ClassifierOptions(input_mean=0.0, input_std=255.0, labels=str(tmp_path / "words.txt"))
    graph = open_classifier(str(exported.path(kind)), said)
    about = graph.description
    assert (about.input_mean, about.input_std, about.labels) == (0.0, 255.0, ("a", "b", "c"))
    images = np.stack([image_from_file(str(few_photos[0]), InputSpec(128, 128, 0.0, 255.0))])
    plain = open_classifier(str(exported.path(kind)), NO_OPTIONS)
    np.testing.assert_array_equal(graph.network(Work())(images), plain.network(Work())(images))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_layer_that_is_not_there_is_named(kind: str, exported: Exported, label: Label, few_photos: list[Path]) -> None:
    path = exported.path(kind)
    done = label("--graph", path, "--image", few_photos[0], "--input_layer", "Mul")
    assert (done.code, done.err) == (2, "error: --input_layer: the model has no layer named Mul. It could be: input.\n")
    done = label("--graph", path, "--image", few_photos[0], "--output_layer", "softmax:0")
    assert (done.code, done.err) == (
        2,
        "error: --output_layer: the model has no layer named softmax. It could be: final_result.\n",
    )
    done = label("--graph", path, "--image", few_photos[0], "--input_height", "64")
    assert (done.code, done.err) == (2, "error: --input_height must be 128, the height of the input layer input. Got 64.\n")


def test_a_batch_of_any_size_gives_the_same(exported: Exported, few_photos: list[Path]) -> None:
    images = np.stack([image_from_file(str(photo), InputSpec(128, 128, 127.5, 127.5)) for photo in few_photos])
    for kind in FORMATS:
        network = open_classifier(str(exported.path(kind)), NO_OPTIONS).network(Work())
        together = network(images)
        np.testing.assert_allclose(np.concatenate([network(images[:1]), network(images[1:])]), together, atol=1e-4)


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
    said = ClassifierOptions(input_mean=0.0, input_std=1.0, labels=str(tmp_path / "words.txt"))
    images = grey_levels(5)
    np.testing.assert_allclose(open_classifier(str(path), said).network(Work())(images), images.mean(axis=(1, 2)), rtol=1e-5)


def test_a_file_without_a_description_asks_for_what_it_needs(tmp_path: Path, few_photos: list[Path], label: Label) -> None:
    path = write_tflite(tmp_path / "other_graph.tflite", None)
    ask = ["--graph", path, "--image", few_photos[0]]
    assert label(*ask).err == (
        "error: The pixel mean and pixel standard deviation of the input layer pixels cannot be inferred. Set --input_mean and "
        "--input_std.\n"
    )
    ask += ["--input_mean=0", "--input_std=255"]
    missing = tmp_path / "other_labels.txt"
    assert label(*ask).err == (f"error: The graph has no labels in its metadata, and there is no {missing}. Set --labels.\n")
    missing.write_text("red\ngreen\nblue\n")
    done = label(*ask)
    assert done.code == 0, done.err
    assert "red (score=" in done.out
    missing.write_text("red\ngreen\n")
    assert "The number of labels must be 3, as many as the output " in label(*ask).err


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
        open_classifier(str(tmp_path / "model.onnx"), NO_OPTIONS)


@pytest.mark.slow
def test_without_onnxruntime_the_extra_is_named(tmp_path: Path, few_photos: list[Path]) -> None:
    """In a process where these packages cannot be imported, as if they were not installed."""
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07")
    program = (
        "import sys; sys.modules.update(onnx=None, onnxruntime=None); from label_image.__main__ import main; sys.exit(main())"
    )
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
            classifier = open_classifier(str(tmp_path / "damaged"), NO_OPTIONS)
            classifier.network(Work())(np.zeros((2, 128, 128, 3), np.float32))
        except GraphError as error:
            n_refused += 1
            assert str(error).count("\n") == 0
    assert n_refused >= 10  # All that were cut off, at least.


@pytest.mark.slow
def test_a_frozen_graph_loads_no_other_runtime(exported: Exported, few_photos: list[Path]) -> None:
    program = (
        "import sys; from label_image.__main__ import main; code = main(); "
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
    assert done.stdout.splitlines()[-1] == "[]"
