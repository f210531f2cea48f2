"""`--architecture model.keras`, `model.h5` and a SavedModel's folder: where they are cut, and the input settings."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from retrain.__main__ import main
from retrain.arrays import FloatArray
from retrain.backbones.backbone import Backbone
from retrain.backbones.keras.files import is_keras_file
from retrain.backbones.load import load_network
from retrain.errors import FlagError, GraphError, RetrainError
from retrain.input_spec import InputSpec
from retrain.options.network import NetworkOptions
from tests.support.commands import Outputs
from tests.support.keras_models import randomise

SIDE = 16
IMAGES = np.random.default_rng(0).uniform(0, 255, (6, SIDE, SIDE, 3)).astype(np.float32)
GREY_LEVELS = InputSpec(SIDE, SIDE, 0.0, 1.0, exif_orientation="apply")
MEAN_AND_STD_ADVICE = (
    "cannot be inferred, and a wrong guess costs accuracy. Set --input_mean and --input_std to what it was trained with: 0 and 1 "
    "for grey levels from 0 to 255, 0 and 255 for pixels from 0 to 1, 127.5 and 127.5 for pixels from -1 to 1."
)
layers = keras.layers


def body(scaling: Any = None) -> tuple[Any, Any]:
    """Return the input of a small network and the values of its layer `maps`, [N, 8, 8, 12]."""
    images = keras.Input((SIDE, SIDE, 3), name="images")
    values = images if scaling is None else scaling(images)
    values = layers.Conv2D(12, 3, strides=2, padding="same", name="convolution")(values)
    values = layers.BatchNormalization(name="normalized")(values)
    return images, layers.ReLU(name="maps")(values)


def rescaling() -> Any:
    return layers.Rescaling(1 / 127.5, -1, name="scaled")


def classifier() -> Any:
    images, values = body(rescaling())
    values = layers.GlobalAveragePooling2D(name="pooled")(values)
    values = layers.Dropout(0.5, name="dropout")(values)
    return keras.Model(images, layers.Dense(5, activation="softmax", name="classes")(values))


def separate_activation() -> Any:
    images, values = body(rescaling())
    values = layers.GlobalAveragePooling2D(name="pooled")(values)
    return keras.Model(images, layers.Softmax()(layers.Dense(5, name="classes")(values)))


def pointwise_classifier() -> Any:
    """As MobileNet has it."""
    images, values = body(rescaling())
    values = layers.GlobalAveragePooling2D(keepdims=True, name="pooled")(values)
    values = layers.Conv2D(5, 1, name="classes")(layers.Dropout(0.1)(values))
    return keras.Model(images, layers.Activation("softmax")(layers.Flatten()(values)))


def nested_classifier() -> Any:
    """Return a network inside a network, with a head that is a network too."""
    images, values = body(rescaling())
    inner = keras.Model(images, layers.GlobalAveragePooling2D(name="pooled")(values), name="inner")
    head = keras.Sequential(
        [keras.Input((12,)), layers.Dropout(0.5), layers.Dense(5, activation="sigmoid", name="scores")], name="head"
    )
    return keras.Sequential([keras.Input((SIDE, SIDE, 3)), layers.RandomFlip(), inner, head])


def features() -> Any:
    images, values = body(rescaling())
    return keras.Model(images, layers.GlobalAveragePooling2D(name="pooled")(values))


def maps() -> Any:
    return keras.Model(*body(rescaling()))


def unscaled() -> Any:
    images, values = body()
    return keras.Model(images, layers.GlobalAveragePooling2D(name="pooled")(values))


def saved(path: Path, build: Callable[[], Any]) -> tuple[Path, Any]:
    model = build()
    inner = [layer for layer in model.layers if layer.name == "inner"]
    for each in inner or [model]:
        randomise(each, IMAGES)
    model.save(path)
    return path, model


def pooled(model: Any, images: FloatArray = IMAGES) -> FloatArray:
    """Return the values of the layer `pooled`, by Keras."""
    owner = next((layer for layer in model.layers if layer.name == "inner"), model)
    values = keras.Model(owner.inputs[0], owner.get_layer("pooled").output)(images, training=False)
    return np.asarray(values).reshape(len(images), -1)


def load(path: Path | str, **given: object) -> Backbone:
    return load_network(NetworkOptions(architecture=str(path), **given))  # type: ignore[arg-type]


def refused(kind: type[RetrainError], path: Path | str, **given: object) -> str:
    with pytest.raises(kind) as caught:
        load(path, **given)
    message = str(caught.value)
    assert "\n" not in message
    return message


class TestTheBottleneck:
    @pytest.mark.parametrize("ending", ["keras", "h5"])
    @pytest.mark.parametrize("build", [classifier, separate_activation, pointwise_classifier, nested_classifier, features])
    def test_the_layer_before_the_last(self, build: Callable[[], Any], ending: str, tmp_path: Path) -> None:
        path, model = saved(tmp_path / f"model.{ending}", build)
        backbone = load(path)
        chosen = backbone.architecture
        assert (chosen.name, chosen.bottleneck_size, chosen.input_spec) == (str(path), 12, GREY_LEVELS)
        assert (chosen.input_tensor, chosen.bottleneck_tensor) == ("input:0", "bottleneck:0")
        np.testing.assert_allclose(backbone.run(IMAGES), pooled(model), rtol=0, atol=1e-5)
        np.testing.assert_allclose(backbone.run(IMAGES[:1]), pooled(model)[:1], rtol=0, atol=1e-5)

    def test_the_layer_is_logged(self, tmp_path: Path, logged: list[str]) -> None:
        path, _ = saved(tmp_path / "model.keras", classifier)
        load(path)
        assert f"INFO: The bottleneck is the layer pooled of {path}: 12 values." in logged

    def test_named_and_inferred_it_shares_the_cache(self, tmp_path: Path) -> None:
        """A name of a layer that only works in training means the one before it."""
        path, _ = saved(tmp_path / "model.keras", classifier)
        inferred = load(path)
        for name in ("pooled", "dropout"):
            named = load(path, bottleneck_layer=name)
            assert (named.architecture.name, named.fingerprint) == (inferred.architecture.name, inferred.fingerprint)

    def test_another_layer_has_a_cache_of_its_own(self, tmp_path: Path) -> None:
        path, model = saved(tmp_path / "model.keras", classifier)
        named = load(path, bottleneck_layer="classes")
        assert (named.architecture.name, named.architecture.bottleneck_size) == (f"{path}:classes", 5)
        assert named.fingerprint != load(path).fingerprint
        np.testing.assert_allclose(named.run(IMAGES), np.asarray(model(IMAGES, training=False)), rtol=0, atol=1e-5)

    @pytest.mark.parametrize(
        ("build", "layer", "bottleneck"),
        [(classifier, "classes", "pooled"), (nested_classifier, "scores", "pooled"), (classifier, "pooled", None)],
    )
    def test_a_layer_after_the_bottleneck_is_warned_of(
        self, build: Callable[[], Any], layer: str, bottleneck: str | None, tmp_path: Path, logged: list[str]
    ) -> None:
        path, _ = saved(tmp_path / "model.keras", build)
        load(path, bottleneck_layer=layer)
        warnings = [line for line in logged if line.startswith("WARNING: ")]
        assert warnings == [
            f"WARNING: --bottleneck_layer {layer} comes after the layer {bottleneck}: it holds scores of the network's own "
            "classes, and a classifier trained on these is usually less accurate. Leave --bottleneck_layer out to use "
            f"{bottleneck}."
        ] * (bottleneck is not None)

    def test_a_layer_inside_a_model_inside(self, tmp_path: Path) -> None:
        path, model = saved(tmp_path / "model.keras", nested_classifier)
        np.testing.assert_allclose(load(path, bottleneck_layer="pooled").run(IMAGES), pooled(model), rtol=0, atol=1e-5)

    def test_maps_are_refused(self, tmp_path: Path) -> None:
        path, _ = saved(tmp_path / "model.keras", maps)
        assert refused(GraphError, path) == (
            f"--architecture {path}: Its layer maps must compute a vector for each image, float32 [N, D]. It computes "
            "[?, 8, 8, 12]: name another layer with --bottleneck_layer, or end the model with GlobalAveragePooling2D."
        )

    def test_a_wrong_name(self, tmp_path: Path) -> None:
        path, _ = saved(tmp_path / "model.keras", classifier)
        assert refused(GraphError, path, bottleneck_layer="poled") == (
            f"--architecture {path}: --bottleneck_layer: the model has no layer named poled. "
            "It could be: pooled, dropout, classes."
        )

    def test_the_fingerprint_is_of_the_file_and_the_precision(self, tmp_path: Path) -> None:
        path, _ = saved(tmp_path / "model.keras", classifier)
        copy = shutil.copyfile(path, tmp_path / "copy.keras")
        assert load(path).fingerprint == load(copy).fingerprint != load(path, precision="bfloat16").fingerprint


class TestTheInput:
    @pytest.mark.parametrize(
        ("scaling", "mean", "std"),
        [
            (layers.Rescaling(1 / 255), 0, 1),
            (layers.Normalization(mean=[123.0, 117, 104], variance=[3400.0, 3300, 3300]), 0, 1),
            (layers.Normalization(mean=[123.68, 116.779, 103.939], variance=[1.0, 1, 1]), 0, 1),
            (keras.applications.vgg16.preprocess_input, 0, 1),
            (keras.applications.mobilenet_v2.preprocess_input, 0, 1),
            (layers.Rescaling(2, -1), 0, 255),
            (layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.05, 0.05, 0.05]), 0, 255),
        ],
    )
    def test_it_is_what_the_first_layers_scale(self, scaling: Any, mean: float, std: float, tmp_path: Path) -> None:
        images, values = body(scaling)
        path = tmp_path / "model.keras"
        keras.Model(images, layers.GlobalAveragePooling2D()(values)).save(path)
        assert load(path).architecture.input_spec == InputSpec(SIDE, SIDE, mean, std, exif_orientation="apply")

    @pytest.mark.parametrize("scaling", [None, layers.Rescaling(1.0), layers.RandomFlip(), layers.Rescaling(1 / 4000)])
    def test_without_them_it_is_an_error(self, scaling: Any, tmp_path: Path) -> None:
        images, values = body(scaling)
        path = tmp_path / "model.keras"
        keras.Model(images, layers.GlobalAveragePooling2D()(values)).save(path)
        advice = f"The pixel mean and the pixel standard deviation of the input images {MEAN_AND_STD_ADVICE}"
        assert refused(GraphError, path) == f"--architecture {path}: {advice}"
        assert refused(GraphError, path, input_mean=127.5) == f"--architecture {path}: {advice}"

    def test_the_options_come_first(self, tmp_path: Path) -> None:
        path, model = saved(tmp_path / "model.keras", unscaled)
        backbone = load(path, input_mean=100.0, input_std=50.0)
        assert backbone.architecture.input_spec == InputSpec(SIDE, SIDE, 100, 50, exif_orientation="apply")
        np.testing.assert_allclose(backbone.run(IMAGES), pooled(model), rtol=0, atol=2e-4)
        path, _ = saved(tmp_path / "scaled.keras", classifier)
        assert load(path, input_mean=3.0).architecture.input_spec == InputSpec(SIDE, SIDE, 3, 1, exif_orientation="apply")

    def test_another_size_than_the_models(self, tmp_path: Path) -> None:
        path, _ = saved(tmp_path / "model.keras", classifier)
        message = refused(FlagError, path, input_height=32)
        assert message == "--input_height must be 16, the height of the input layer images. Got 32."

    def test_a_free_size_must_be_given(self, tmp_path: Path) -> None:
        images = keras.Input((None, None, 3), name="images")
        path = tmp_path / "model.keras"
        keras.Model(images, layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(images))).save(path)
        assert refused(GraphError, path) == (
            f"--architecture {path}: The height and width of the input layer images cannot be inferred. "
            "Set --input_height and --input_width."
        )
        found = load(path, input_height=7, input_width=9).architecture.input_spec
        assert found == InputSpec(7, 9, 0, 1, exif_orientation="apply")

    def test_grey_images_are_refused(self, tmp_path: Path) -> None:
        images = keras.Input((SIDE, SIDE, 1))
        path = tmp_path / "model.keras"
        keras.Model(images, layers.GlobalAveragePooling2D()(images)).save(path)
        assert refused(GraphError, path) == (
            f"--architecture {path}: It must take colour images, float32 [N, height, width, 3]. It takes float32 [?, 16, 16, 1]."
        )


class TestRecognition:
    @pytest.mark.parametrize("ending", ["keras", "h5"])
    def test_by_content(self, ending: str, tmp_path: Path) -> None:
        path, model = saved(tmp_path / f"model.{ending}", features)
        renamed = path.rename(tmp_path / "network.bin")
        assert is_keras_file(str(renamed))
        np.testing.assert_allclose(load(renamed).run(IMAGES), pooled(model), rtol=0, atol=1e-5)

    def test_other_files(self, tmp_path: Path) -> None:
        (tmp_path / "text").write_text("PK")
        shutil.make_archive(str(tmp_path / "other"), "zip", tmp_path, "text")
        assert not any(is_keras_file(str(tmp_path / name)) for name in ("text", "other.zip", "missing", "."))

    def test_a_missing_file(self, tmp_path: Path) -> None:
        path = tmp_path / "model.keras"
        assert refused(GraphError, path) == f"--architecture {path}: the file cannot be read (No such file or directory)."

    def test_text_with_a_keras_files_ending(self, tmp_path: Path) -> None:
        path = tmp_path / "model.keras"
        path.write_text("no model")
        message = "It is a text file, not a Keras file (.keras or HDF5)."
        assert refused(GraphError, path) == f"--architecture {path}: {message}"

    def test_other_bytes_with_a_keras_files_ending(self, tmp_path: Path) -> None:
        path = tmp_path / "model.keras"
        path.write_bytes(b"\x80no model")
        message = "It is no Keras file (.keras or HDF5), or is damaged (File is not a zip file). Get a new copy."
        assert refused(GraphError, path) == f"--architecture {path}: {message}"

    def test_a_zip_archive_with_a_keras_files_ending(self, tmp_path: Path) -> None:
        path = tmp_path / "model.keras"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("photo.jpg", b"")
        assert refused(GraphError, path) == f"--architecture {path}: It is no Keras file, since it holds no config.json."

    def test_weights_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "model.weights.h5"
        features().save_weights(path)
        assert refused(GraphError, path) == (
            f"--architecture {path}: It holds weights alone, without the model's configuration (model_config). "
            "Save the whole model with model.save(FILE)."
        )


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    folder = tmp_path_factory.mktemp("saved")
    _, model = saved(folder / "model.keras", classifier)
    model.export(folder / "model", verbose=False)
    return folder / "model", model


class TestASavedModel:
    def test_it_is_cut_before_its_last_layer(self, exported: tuple[Path, Any]) -> None:
        path, model = exported
        backbone = load(path, input_mean=0.0, input_std=1.0)
        assert (backbone.architecture.name, backbone.architecture.input_spec) == (str(path), GREY_LEVELS)
        np.testing.assert_allclose(backbone.run(IMAGES), pooled(model), rtol=0, atol=1e-5)
        assert backbone.fingerprint == load(path, input_mean=0.0, input_std=1.0).fingerprint

    def test_its_mean_must_be_given(self, exported: tuple[Path, Any]) -> None:
        path, _ = exported
        what = "The pixel mean and the pixel standard deviation of a SavedModel's input"
        assert refused(GraphError, path) == f"--architecture {path}: {what} {MEAN_AND_STD_ADVICE}"

    def test_a_damaged_one(self, exported: tuple[Path, Any], tmp_path: Path) -> None:
        shutil.copytree(exported[0], tmp_path / "model")
        (tmp_path / "model" / "saved_model.pb").write_bytes(b"no graph")
        message = refused(GraphError, tmp_path / "model", input_mean=0.0, input_std=1.0)
        assert message.startswith(f"--architecture {tmp_path / 'model'}: the SavedModel cannot be loaded (")


def test_training_on_it(small_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, _ = saved(tmp_path / "model.keras", classifier)
    flags = ["--image_dir", str(small_photos), "--architecture", str(path), "--how_many_training_steps=2"]
    main([*flags, *Outputs(tmp_path).flags()])
    log = capsys.readouterr().err
    assert f"Network {path}: input input:0, 16 × 16 pixels (squash), mean 0, standard deviation 1; bottleneck bottleneck:0" in log
    assert "mean, standard deviation inferred from the model's first layers; resize by default)." in log
    assert "Final test accuracy = " in log
