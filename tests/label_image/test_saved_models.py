"""Labelling with SavedModels: nothing of what they do while being loaded is done."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from label_image.config import ClassifierOptions
from label_image.opening import open_classifier
from retrain.engines.choice import Work
from retrain.errors import GraphError
from retrain.graphdef.description import DESCRIPTION_FILE
from tests.conftest import Label
from tests.support.exported import Exported
from tests.support.labelling import NO_OPTIONS

pytestmark = pytest.mark.slow


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
        open_classifier(str(folder), NO_OPTIONS)
    (folder / "saved_model.pb").write_bytes(b"")
    with pytest.raises(GraphError, match=r"has no graph for serving \(tag serve\), or is damaged\."):
        open_classifier(str(folder), NO_OPTIONS)
    (folder / "saved_model.pb").write_bytes(data)
    (folder / DESCRIPTION_FILE).write_text("{}")
    with pytest.raises(GraphError, match="The model's metadata cannot be read"):
        open_classifier(str(folder), NO_OPTIONS)


def write_stranger(folder: Path) -> Path:
    """Return a SavedModel that writes a file, once while it is loaded and once while it is run."""

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
    graph_of_it = open_classifier(str(tmp_path / "saved"), ClassifierOptions(labels=str(tmp_path / "words.txt")))
    about = graph_of_it.description
    assert (about.input_mean, about.input_std, about.input_height) == (0.0, 255.0, 4)  # `Placeholder`, as of Hub modules.
    images = np.random.default_rng(0).uniform(0, 255, (3, 4, 4, 3)).astype(np.float32)
    expected = np.roll(images.mean(axis=(1, 2)), 1, axis=1)
    np.testing.assert_allclose(graph_of_it.network(Work())(images), expected, rtol=1e-5)


def test_a_saved_model_of_tensorflow_2_tells_nothing_of_its_pixels(tmp_path: Path) -> None:
    module = tf.Module()
    module.weights = tf.Variable(tf.ones([3, 2]))
    module.serve = tf.function(
        lambda pixels: {"scores": tf.matmul(tf.reduce_mean(pixels, [1, 2]), module.weights)},
        input_signature=[tf.TensorSpec([None, 4, 4, 3], tf.float32)],
    )
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures={"serving_default": module.serve})
    with pytest.raises(GraphError, match=r"/saved: The pixel mean .* cannot be inferred, .* Set --input_mean and --input_std"):
        open_classifier(str(tmp_path / "saved"), NO_OPTIONS)
