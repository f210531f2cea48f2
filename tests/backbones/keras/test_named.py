"""Networks of `keras.applications` by name: random weights in files as they are published, from a real server."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

from label_image.config import LabelConfig
from label_image.imagenet import open_architecture
from retrain.backbones.backbone import Backbone
from retrain.backbones.catalog import find_architecture
from retrain.backbones.imagenet import imagenet_labels
from retrain.backbones.keras import records
from retrain.backbones.keras.records import KerasRecord, find_keras_record, keras_names, keras_version
from retrain.backbones.load import load_network
from retrain.errors import FlagError, ModelError, ModelUnavailableError
from retrain.graphdef.description import read_description
from retrain.graphdef.run import batch_function, parse_graph
from retrain.options.network import NetworkOptions
from scripts.write_keras_records import record_of
from tests.support.commands import DEAD_URL
from tests.support.keras_models import file_hash, randomise, write_weights
from tests.support.servers import answering, sending
from tests.support.stand_ins import FolderServer, serve_folder

SMALL = "keras_mobilenet_v2"  # Of the preprocessing to -1..1; the smallest whose features Keras gives with `pooling="avg"`.
OTHER_KINDS = {"keras_efficientnet_v2_b0": "built_in", "keras_resnet50": "caffe", "keras_densenet121": "torch"}
# Of the largest value. On other processors random weights alone, with the same preprocessing, gave differences up to 1.2e-4;
# a preprocessing whose mean is wrong by one grey level gives 0.01 and more.
TOLERANCE = 1e-3


class Published(NamedTuple):
    """Weights as if published: Keras' own model with its classes, its record, the folder of the file, and a server of it."""

    model: Any
    record: KerasRecord
    folder: Path
    server: FolderServer

    @property
    def file(self) -> Path:
        return self.folder / self.record.file_name

    def load(self, model_dir: Path) -> Backbone:
        return load_network(self.options(model_dir))

    def options(self, model_dir: Path) -> NetworkOptions:
        return NetworkOptions(architecture=self.record.name, model_dir=str(model_dir), model_url_base=self.server.url)


def images(record: KerasRecord, seed: int = 0) -> Any:
    """Return three images of random grey levels, float32 [3, height, width, 3]."""
    return np.random.default_rng(seed).uniform(0, 255, (3, record.height, record.width, 3)).astype(np.float32)


def preprocessed(record: KerasRecord, levels: Any) -> Any:
    return getattr(keras.applications, record.module).preprocess_input(levels.copy())


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect to servers on this machine directly, whatever the environment says of proxies."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def publish(name: str, folder: Path) -> Iterator[Published]:
    """Serve a network with random weights. Its record has the digest of the file in place of the real one."""
    original = find_keras_record(name)
    assert original is not None
    model = getattr(keras.applications, original.constructor)(weights=None)
    randomise(model, preprocessed(original, images(original, seed=1)))
    digest = file_hash(write_weights(model, folder / original.file_name))
    record = dataclasses.replace(original, hash=digest)
    with serve_folder(folder) as server, pytest.MonkeyPatch.context() as patch:
        patch.setitem(records._records(), name, record)
        yield Published(model, record, folder, server)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    yield from publish(SMALL, tmp_path_factory.mktemp("published"))


def without_classes(published: Published) -> Any:
    """Return Keras' own network without classes, with the same weights."""
    shape = (published.record.height, published.record.width, 3)
    constructor = getattr(keras.applications, published.record.constructor)
    features = constructor(weights=None, include_top=False, pooling="avg", input_shape=shape)
    features.set_weights(published.model.get_weights()[: len(features.get_weights())])
    return features


def check_against_keras(published: Published, features: Any, model_dir: Path) -> None:
    """Check bottlenecks against `features`, and probabilities against Keras' own network, with its own preprocessing."""
    levels = images(published.record)
    model, inputs = published.model, preprocessed(published.record, levels)
    expected = np.asarray(features(inputs, training=False))
    backbone = published.load(model_dir)
    found = backbone.run(levels)
    assert found.shape == (3, published.record.bottleneck_size) and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())
    assert np.std(expected, axis=0).max() > 0.01 * np.abs(expected).max(), "the images differ in what the network sees"
    probabilities = np.asarray(model(inputs, training=False))
    labelled = batch_function(backbone.graph_def, "input:0", "probabilities:0")(levels)
    np.testing.assert_allclose(labelled, probabilities, rtol=0, atol=TOLERANCE * probabilities.max())


def test_bottlenecks_and_classes_are_those_of_keras(small: Published, tmp_path: Path) -> None:
    assert small.record.preprocessing == "-1..1"
    check_against_keras(small, without_classes(small), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), list(OTHER_KINDS.items()))
def test_each_kind_of_preprocessing(name: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "published").mkdir()
    for published in publish(name, tmp_path / "published"):
        assert published.record.preprocessing == kind
        pooled = keras.Model(published.model.inputs, published.model.get_layer("avg_pool").output)
        check_against_keras(published, pooled, tmp_path / "models")


def test_a_pixel_in_each_kind_of_preprocessing() -> None:
    """Values worked out by hand: the level 255 of red alone, in the order that the network takes."""
    from retrain.backbones.keras.published_network import preprocessed

    red = np.array([[[[255, 0, 0]]]], np.float32)
    values = {kind: np.asarray(preprocessed(red, kind)).reshape(3) for kind in ("built_in", "-1..1", "caffe", "torch")}
    np.testing.assert_allclose(values["built_in"], [255, 0, 0])
    np.testing.assert_allclose(values["-1..1"], [1, -1, -1])
    np.testing.assert_allclose(values["caffe"], [-103.939, -116.779, 255 - 123.68], rtol=1e-6)
    np.testing.assert_allclose(values["torch"], [0.515 / 0.229, -0.456 / 0.224, -0.406 / 0.225], rtol=1e-6)


class TestFiles:
    def test_weights_are_downloaded_once_and_the_graph_is_kept(self, small: Published, tmp_path: Path) -> None:
        first = small.load(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == [f"{SMALL}.pb", small.record.file_name]
        (tmp_path / small.record.file_name).unlink()
        small.server.requests.clear()
        again = small.load(tmp_path)
        assert small.server.requests == []
        assert again.fingerprint == first.fingerprint
        np.testing.assert_array_equal(again.run(images(small.record)), first.run(images(small.record)))

    def test_weights_put_there_by_hand(self, small: Published, tmp_path: Path) -> None:
        (tmp_path / small.record.file_name).write_bytes(small.file.read_bytes())
        options = NetworkOptions(architecture=SMALL, model_dir=str(tmp_path), model_url_base=DEAD_URL)
        assert load_network(options).architecture == find_architecture(SMALL)

    def test_the_kept_graph_is_made_again_from_other_weights(
        self, small: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first = small.load(tmp_path)
        randomise(other := keras.applications.MobileNetV2(weights=None), images(small.record), seed=5)
        file = write_weights(other, tmp_path / small.record.file_name)
        monkeypatch.setitem(records._records(), SMALL, dataclasses.replace(small.record, hash=file_hash(file)))
        again = small.load(tmp_path)
        assert again.fingerprint != first.fingerprint
        assert np.abs(again.run(images(small.record)) - first.run(images(small.record))).max() > 0.01

    def test_a_damaged_kept_graph_is_made_again(self, small: Published, tmp_path: Path) -> None:
        first = small.load(tmp_path)
        kept = tmp_path / f"{SMALL}.pb"
        kept.write_bytes(kept.read_bytes()[:-1000])
        assert small.load(tmp_path).fingerprint == first.fingerprint

    def test_the_kept_graph_tells_its_input(self, small: Published, tmp_path: Path) -> None:
        """Used as any graph, it takes grey levels, not values from -1 to 1, as the name of its input would suggest."""
        named = small.load(tmp_path)
        local = load_network(NetworkOptions(architecture=str(tmp_path / f"{SMALL}.pb")))
        assert local.architecture.input_spec == named.architecture.input_spec
        assert (local.architecture.input_spec.mean, local.architecture.input_spec.std) == (0.0, 1.0)
        levels = images(small.record)
        np.testing.assert_allclose(local.run(levels), named.run(levels), rtol=0, atol=1e-5)
        description = read_description(parse_graph((tmp_path / f"{SMALL}.pb").read_bytes(), "it"))
        assert description is not None and description.labels == imagenet_labels()

    def test_labelling_with_imagenets_classes(self, small: Published, tmp_path: Path) -> None:
        config = LabelConfig(architecture=SMALL, model_dir=str(tmp_path), model_url_base=small.server.url, image=("photo.jpg",))
        classifier = open_architecture(config)
        assert classifier.description.labels == imagenet_labels()
        assert classifier.description.input_spec.resize == "crop"


def error_of(options: NetworkOptions, kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        load_network(options)
    return str(caught.value)


class TestErrors:
    @pytest.mark.parametrize(("status", "reason"), [(403, "Forbidden"), (404, "Not Found")])
    def test_a_refusing_server(self, status: int, reason: str, small: Published, tmp_path: Path) -> None:
        with answering(lambda request: request.send_error(status)) as url:
            options = NetworkOptions(architecture=SMALL, model_dir=str(tmp_path / "models"), model_url_base=url)
            message = error_of(options, ModelUnavailableError)
        file = small.record.file_name
        assert message == (
            f"The network cannot be downloaded from {url}/{file} (HTTP Error {status}: {reason}). Get {file} by hand, put it "
            f"into {tmp_path / 'models'} (--model_dir), and run again."
        )
        assert list(tmp_path.glob("models/*")) == []

    def test_a_page_instead_of_the_weights(self, tmp_path: Path) -> None:
        with answering(sending(b"<html>Sign in</html>")) as url:
            message = error_of(
                NetworkOptions(architecture=SMALL, model_dir=str(tmp_path / "models"), model_url_base=url), ModelUnavailableError
            )
        assert "(the answer is not an HDF5 file; it may be a page that explains why)" in message
        assert list(tmp_path.glob("models/*")) == []

    def test_a_download_with_another_digest(self, small: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The published weights have an MD5 in Keras' source: other contents are not kept."""
        record = dataclasses.replace(small.record, hash="0" * 32)
        monkeypatch.setitem(records._records(), SMALL, record)
        found = file_hash(small.file, "md5")
        message = error_of(small.options(tmp_path / "models"), ModelUnavailableError)
        assert f"(its MD5 must be {'0' * 32}. It is {found}). Get {record.file_name} by hand" in message
        assert list(tmp_path.glob("models/*")) == []

    def test_a_file_with_another_digest(self, small: Published, tmp_path: Path) -> None:
        path = tmp_path / small.record.file_name
        path.write_bytes(small.file.read_bytes()[:-1])
        assert error_of(small.options(tmp_path), ModelError) == (
            f"The file {path} is damaged, or is not the published one: its SHA-256 must be {small.record.hash}. "
            f"It is {file_hash(path)}. Delete it, and run again to download it; weights of your own can be used as a whole "
            "model, --architecture path/to/model.keras."
        )

    @pytest.mark.parametrize("content", ["another network's", "cut off"])
    def test_weights_without_a_digest_that_do_not_fit(
        self, content: str, small: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Keras states no digest for some networks: what does not fit is refused all the same."""
        monkeypatch.setitem(records._records(), SMALL, dataclasses.replace(small.record, hash=None))
        path = tmp_path / small.record.file_name
        if content == "cut off":
            path.write_bytes(small.file.read_bytes()[:100_000])
        else:
            write_weights(keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]), path)
        message = error_of(small.options(tmp_path), ModelError)
        assert message.startswith(f"The file {path} {'cannot be used' if content == 'cut off' else f'does not fit {SMALL} ('}")
        assert message.endswith("Delete it, and run again to download it.")
        assert "\n" not in message

    def test_a_name_that_resembles_others(self) -> None:
        with pytest.raises(FlagError, match=r"Did you mean keras_mobilenet_v3_large or keras_mobilenet_v3_small\? "):
            find_architecture("keras_mobilenet_v3")


class TestRecords:
    def test_names(self) -> None:
        assert len(keras_names()) == 40
        assert {"keras_mobilenet_v3_small", "keras_efficientnet_v2_b0", "keras_convnext_tiny", "keras_vgg16"} <= set(
            keras_names()
        )

    def test_every_network_is_in_the_installed_keras(self) -> None:
        for name in keras_names():
            record = find_keras_record(name)
            assert record is not None and callable(getattr(keras.applications, record.constructor))

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["keras_mobilenet_v3_small", "keras_mobilenet_v2"])
    def test_a_record_is_what_keras_says(self, name: str) -> None:
        if keras.__version__ != keras_version():
            pytest.skip(f"the records are of Keras {keras_version()}, and {keras.__version__} is installed")
        stored = {each["name"]: each for each in json.loads(records.RECORDS.read_text())["networks"]}[name]
        assert record_of(stored["constructor"]) == stored
