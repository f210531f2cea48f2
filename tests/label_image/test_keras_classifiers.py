"""Classifiers that Keras saved, labelled with `label_image`: `.keras`, `.h5`, Teachable Machine's, SavedModels with variables."""

import json
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from label_image.classify import score_images
from label_image.config import ClassifierOptions
from label_image.opening import open_classifier
from retrain.arrays import FloatArray
from retrain.data.decode import image_from_file
from retrain.errors import GraphError
from retrain.input_spec import InputSpec
from tests.conftest import Label

pytestmark = pytest.mark.slow
SIDE = 24
LABELS = ("cat", "dog", "no animal")
TEACHABLE = ClassifierOptions(input_mean=127.5, input_std=127.5)


def model_of(scaled: bool, name: str = "classifier") -> Any:
    """Return a small classifier with random weights; `scaled` puts the scaling of pixels into its first layer."""
    keras.utils.set_random_seed(5)
    scaling = [keras.layers.Rescaling(1 / 127.5, offset=-1)] if scaled else []
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            *scaling,
            keras.layers.DepthwiseConv2D(3, strides=2, activation="relu"),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(len(LABELS), activation="softmax", kernel_initializer=keras.initializers.RandomNormal(stddev=2)),
        ],
        name=name,
    )


def write_labels(folder: Path, numbered: bool = False) -> None:
    lines = (f"{index} {label}" if numbered else label for index, label in enumerate(LABELS))
    (folder / "labels.txt").write_text("".join(f"{line}\n" for line in lines))


def expected(model: Any, photos: list[Path], scaled: bool) -> FloatArray:
    spec = InputSpec(SIDE, SIDE, 0.0, 1.0) if scaled else InputSpec(SIDE, SIDE, 127.5, 127.5)
    found: FloatArray = model(np.stack([image_from_file(str(photo), spec) for photo in photos]), training=False).numpy()
    return found


def scores(path: Path, photos: list[Path], options: ClassifierOptions) -> FloatArray:
    classifier = open_classifier(str(path), options)
    assert classifier.description.labels == LABELS
    found = np.zeros((len(photos), len(LABELS)), np.float32)
    for indices, rows, _ in score_images(classifier, [str(photo) for photo in photos], {}):
        found[indices] = rows
    return found


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize("scaled", [True, False])
def test_a_keras_file(tmp_path: Path, few_photos: list[Path], ending: str, scaled: bool) -> None:
    model, path = model_of(scaled), tmp_path / f"model.{ending}"
    model.save(path)
    write_labels(tmp_path)
    options = ClassifierOptions() if scaled else TEACHABLE
    np.testing.assert_allclose(scores(path, few_photos, options), expected(model, few_photos, scaled), atol=1e-5)


def test_teachable_machines_file_of_keras_2(tmp_path: Path, few_photos: list[Path]) -> None:
    """It has numbered labels, and depthwise convolutions with groups, which Keras 3 refuses."""
    model, path = model_of(scaled=False), tmp_path / "keras_model.h5"
    model.save(path)
    write_labels(tmp_path, numbered=True)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "DepthwiseConv2D":
                layer["config"]["groups"] = 1
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises((TypeError, ValueError), match="groups"):
        keras.saving.load_model(path, compile=False)
    np.testing.assert_allclose(scores(path, few_photos, TEACHABLE), expected(model, few_photos, False), atol=1e-5)


def test_a_scaling_that_nothing_tells_is_asked_for(tmp_path: Path, few_photos: list[Path], label: Label) -> None:
    path = tmp_path / "keras_model.h5"
    model_of(scaled=False).save(path)
    write_labels(tmp_path)
    answer = label(f"--graph={path}", f"--image={few_photos[0]}")
    assert answer.code == 2
    assert answer.err.startswith(f"error: {path}: The pixel mean and the pixel standard deviation of the input ")
    assert "Set --input_mean and --input_std to what it was trained with: " in answer.err


def test_a_file_that_could_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.layers.Lambda(lambda x: x), keras.layers.Flatten()]).save(path)
    write_labels(tmp_path)
    with pytest.raises(GraphError, match="Lambda"):
        open_classifier(str(path), TEACHABLE)


@pytest.mark.parametrize("how", ["export", "save"])
def test_a_saved_model_with_variables(tmp_path: Path, few_photos: list[Path], how: str) -> None:
    model, path = model_of(scaled=False), tmp_path / "saved"
    if how == "export":
        model.export(path, verbose=False)
    else:
        tf.saved_model.save(model, path)
    write_labels(tmp_path)
    np.testing.assert_allclose(scores(path, few_photos, TEACHABLE), expected(model, few_photos, False), atol=1e-5)


def test_a_saved_model_that_writes_files_is_refused(tmp_path: Path) -> None:
    class Writing(tf.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            self.weight = tf.Variable(tf.ones([3]))

        @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)])  # type: ignore[untyped-decorator]
        def scores(self, images: Any) -> Any:
            tf.io.write_file(str(tmp_path / "written"), "text")
            return tf.reduce_mean(images, [1, 2]) * self.weight

    module = Writing()
    tf.saved_model.save(module, tmp_path / "saved", signatures=module.scores)
    write_labels(tmp_path)
    with pytest.raises(GraphError, match="operations that can read or write files: WriteFile"):
        open_classifier(str(tmp_path / "saved"), TEACHABLE)
    assert not (tmp_path / "written").exists()
