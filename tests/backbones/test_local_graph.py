"""`--architecture path/to/graph.pb`: any frozen graph, its input and its bottleneck inferred or named."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from label_image.__main__ import main as label_main
from label_image.config import ClassifierOptions
from label_image.opening import open_classifier
from retrain.__main__ import main
from retrain.backbones.backbone import Backbone
from retrain.backbones.load import load_network
from retrain.backbones.local_graph import FLATTENED
from retrain.backbones.published import BUNDLED, BUNDLED_FILE
from retrain.errors import FlagError, GraphError, RetrainError
from retrain.graphdef.run import batch_function
from retrain.input_spec import InputSpec
from retrain.options.network import NetworkOptions
from retrain.process.precision import FLOAT32, cache_name
from tests.support.commands import bottleneck_counts
from tests.support.stand_ins import run_in_v1_session, tiny_inception_graph

SIDE, WIDTH, CLASSES = 16, 8, 5
RNG = np.random.default_rng(5)
KERNEL = RNG.normal(0, 0.3, (3, 3, 3, WIDTH)).astype(np.float32)
POINTWISE = RNG.normal(0, 1, (1, 1, WIDTH, CLASSES)).astype(np.float32)
v1 = tf.compat.v1


def pooled(images: tf.Tensor) -> tf.Tensor:
    """[N, H, W, 3] → [N, 1, 1, WIDTH]."""
    return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(images, KERNEL, 2, "SAME")), [1, 2], keepdims=True, name="pooled")


def dense_classifier(images: tf.Tensor) -> None:
    """… → `features` → product, sum, softmax."""
    features = tf.reshape(pooled(images), [-1, WIDTH], name="features")
    logits = tf.nn.bias_add(tf.matmul(features, POINTWISE[0, 0], name="product"), np.zeros(CLASSES, np.float32))
    tf.nn.softmax(logits, name="probabilities")


def pointwise_classifier(images: tf.Tensor) -> None:
    """… → `pooled` → 1 × 1 convolution, squeeze, softmax, as MobileNet has it."""
    logits = tf.squeeze(tf.nn.conv2d(pooled(images), POINTWISE, 1, "SAME", name="convolution"), [1, 2])
    tf.nn.softmax(logits, name="probabilities")


def features_only(images: tf.Tensor) -> None:
    tf.squeeze(pooled(images), [1, 2], name="vector")


def attention(images: tf.Tensor) -> tf.Tensor:
    """Return [N, 1, WIDTH] → `attended`: two rounds of attention to the only position, which change nothing."""
    values = tf.reshape(pooled(images), [-1, 1, WIDTH])
    for _ in range(2):
        values = tf.matmul(tf.nn.softmax(tf.matmul(values, values, transpose_b=True)), values)
    return tf.reshape(values, [-1, WIDTH], name="attended")


def attention_features(images: tf.Tensor) -> None:
    tf.identity(attention(images), name="vector")


def attention_classifier(images: tf.Tensor) -> None:
    """Three softmaxes, of which the last one computes the classes."""
    tf.identity(tf.nn.softmax(tf.matmul(attention(images), POINTWISE[0, 0])), name="probabilities")


def two_heads(images: tf.Tensor) -> None:
    """Nobody can tell which of the two is the network's."""
    features = tf.reshape(pooled(images), [-1, WIDTH], name="features")
    tf.nn.softmax(tf.matmul(features, POINTWISE[0, 0], name="first"), name="a")
    tf.nn.softmax(tf.matmul(features * 2, POINTWISE[0, 0], name="second"), name="b")


def write_graph(
    path: Path,
    network: Callable[[tf.Tensor], None],
    name: str = "input",
    shape: tuple[int | None, ...] | None = (None, SIDE, SIDE, 3),
    dtype: tf.DType = tf.float32,
) -> Path:
    with tf.Graph().as_default() as graph:
        network(v1.placeholder(dtype, shape, name=name))
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return path


def load(path: Path | str, **given: object) -> Backbone:
    backbone = load_network(NetworkOptions(architecture=str(path), **given))  # type: ignore[arg-type]
    assert backbone.note == ""
    return backbone


def refused(kind: type[RetrainError], path: Path | str, **given: object) -> str:
    with pytest.raises(kind) as caught:
        load(path, **given)
    return str(caught.value)


def pixels(count: int = 4, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(count).uniform(-1, 1, (count, side, side, 3)).astype(np.float32)


def expected_features(images: np.ndarray) -> np.ndarray:
    return np.reshape(pooled(images), (len(images), WIDTH))


class TestWhatIsInferred:
    @pytest.mark.parametrize(
        ("network", "layer", "bottleneck"),
        [
            (dense_classifier, "features:0", "features:0"),
            (pointwise_classifier, "pooled:0", f"{FLATTENED}:0"),
            (features_only, "vector:0", "vector:0"),
            (attention_features, "vector:0", "vector:0"),
            (attention_classifier, "attended:0", "attended:0"),
        ],
    )
    def test_the_layer_before_the_last(
        self, network: Callable[[tf.Tensor], None], layer: str, bottleneck: str, tmp_path: Path
    ) -> None:
        backbone = load(write_graph(tmp_path / "graph.pb", network))
        chosen = backbone.architecture
        assert (chosen.input_tensor, chosen.batch_tensor, chosen.bottleneck_tensor) == ("input:0", layer, bottleneck)
        spec = chosen.input_spec
        assert (spec.height, spec.width, spec.mean, spec.std, chosen.bottleneck_size) == (SIDE, SIDE, 127.5, 127.5, WIDTH)
        np.testing.assert_allclose(backbone.run(pixels()), expected_features(pixels()), atol=1e-5)
        through_the_export = batch_function(backbone.graph_def, "input:0", bottleneck)(pixels())
        np.testing.assert_allclose(through_the_export, expected_features(pixels()), atol=1e-5)

    def test_the_network_of_2015(self, tmp_path: Path) -> None:
        """Its input is no placeholder, and its batch is frozen at one image."""
        graph = tiny_inception_graph()
        (tmp_path / "classify_image_graph_def.pb").write_bytes(graph.SerializeToString())
        backbone = load(tmp_path / "classify_image_graph_def.pb")
        chosen = backbone.architecture
        assert (chosen.input_tensor, chosen.bottleneck_tensor, chosen.bottleneck_size) == ("Mul:0", "pool_3/_reshape:0", 2048)
        assert chosen.input_spec == InputSpec(299, 299, 128.0, 128.0, exif_orientation="apply")
        images = pixels(3, 299)
        expected = np.concatenate(
            [run_in_v1_session(graph, {"Mul:0": image[np.newaxis]}, "pool_3/_reshape:0") for image in images]
        )
        np.testing.assert_allclose(backbone.run(images), expected, atol=1e-4)

    def test_the_bundled_network_gives_its_own_bottlenecks(self) -> None:
        ours, named = load(BUNDLED_FILE), load_network(NetworkOptions(architecture=BUNDLED))
        np.testing.assert_array_equal(ours.run(pixels(2, 128)), named.run(pixels(2, 128)))

    def test_the_published_mobilenet(self, mobilenet_model_dir: Path) -> None:
        name = "mobilenet_0.25_128"
        named = load_network(NetworkOptions(architecture=name, model_dir=str(mobilenet_model_dir)))
        ours = load(mobilenet_model_dir / "mobilenet_v1_0.25_128" / "frozen_graph.pb")
        assert ours.architecture.bottleneck_tensor == "MobilenetV1/Predictions/Reshape:0"
        assert ours.architecture.input_spec == dataclasses.replace(named.architecture.input_spec, exif_orientation="apply")
        np.testing.assert_array_equal(ours.run(pixels(2, 128)), named.run(pixels(2, 128)))

    def test_a_graph_from_earlier_retraining(self, small_photos: Path, tmp_path: Path) -> None:
        """Its description says what its input is; the old head is left behind, and its name is free."""
        train(small_photos, tmp_path / "first", architecture="pixels_12", final_tensor_name="final_result")
        first = str(tmp_path / "first" / "graph.pb")
        train(small_photos, tmp_path / "second", architecture=first)
        opened = open_classifier(str(tmp_path / "second" / "graph.pb"), ClassifierOptions())
        about = opened.description
        assert (about.architecture, about.input_height, about.input_mean, about.input_std) == (first, 12, 0.0, 255.0)
        bottlenecks = [sorted((tmp_path / run / "bottlenecks").rglob("*.txt")) for run in ("first", "second")]
        assert len(bottlenecks[0]) == 75
        assert [path.read_bytes() for path in bottlenecks[0]] == [path.read_bytes() for path in bottlenecks[1]]


class TestWhatIsGiven:
    def test_layers(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "graph.pb", two_heads, name="x")
        backbone = load(path, input_layer="x:0", bottleneck_layer="first", input_mean=0, input_std=1)
        np.testing.assert_allclose(backbone.run(pixels()), expected_features(pixels()) @ POINTWISE[0, 0], atol=1e-5)

    def test_sizes_mean_and_std(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "graph.pb", dense_classifier, shape=None)
        chosen = load(path, input_height=20, input_width=24, input_mean=1, input_std=2.5).architecture
        assert chosen.input_spec == InputSpec(20, 24, 1, 2.5, exif_orientation="apply")

    def test_each_layer_has_a_cache_of_its_own(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "graph.pb", dense_classifier)
        names = [load(path, **given).architecture.name for given in ({}, {"bottleneck_layer": "product:0"})]
        assert [cache_name(name, FLOAT32).removeprefix(str(tmp_path).replace("/", "~")) for name in names] == [
            "~graph.pb",
            "~graph.pb~product",
        ]

    def test_they_are_part_of_the_fingerprint(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "graph.pb", dense_classifier)
        first = load(path)
        assert load(path).fingerprint == first.fingerprint
        assert load(path, input_mean=1).fingerprint != first.fingerprint
        assert load(path, bottleneck_layer="product").fingerprint != first.fingerprint
        path.write_bytes(write_graph(tmp_path / "other.pb", features_only).read_bytes())
        assert load(path, bottleneck_layer="vector").fingerprint != first.fingerprint


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("given", "sentence"),
        [
            ({"input_layer": "inptu"}, "--input_layer: the model has no layer named inptu. It could be: input."),
            (
                {"bottleneck_layer": "zzz"},
                "--bottleneck_layer: the model has no layer named zzz. scripts.count_ops lists its operations.",
            ),
            (
                {"bottleneck_layer": "Relu"},
                "Its layer Relu:0 must be a vector for each image, float32 [2, D] for two images. It is float32 [2, 8, 8, 8]: "
                "name another one with --bottleneck_layer.",
            ),
            ({"input_layer": "Relu", "bottleneck_layer": "Conv2D"}, "Its layer Conv2D is not computed from its input Relu."),
        ],
    )
    def test_layers_that_do_not_fit(self, given: dict[str, str], sentence: str, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "graph.pb", dense_classifier)
        assert refused(GraphError, path, **given) == f"--architecture {path}: {sentence}"

    def test_a_second_output(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "graph.pb", dense_classifier)
        sentence = "--bottleneck_layer must be the first output of an operation. Got features:1."
        assert refused(FlagError, path, bottleneck_layer="features:1") == sentence

    def test_a_size_that_is_not_the_graphs(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "graph.pb", dense_classifier)
        sentence = "--input_width must be 16, the width of the input layer input. Got 20."
        assert refused(FlagError, path, input_width=20) == sentence

    def test_a_bottleneck_that_is_not_clear(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "graph.pb", two_heads)
        assert refused(GraphError, path) == (
            f"--architecture {path}: The model's bottleneck cannot be inferred. "
            "It could be: pooled, features, first, a, mul, second, b. Name it with --bottleneck_layer."
        )

    def test_an_input_that_is_not_clear(self, tmp_path: Path) -> None:
        def network(images: tf.Tensor) -> None:
            dense_classifier(images + v1.placeholder(tf.float32, (None, SIDE, SIDE, 3), name="noise"))

        path = write_graph(tmp_path / "graph.pb", network, name="images")
        sentence = "It could be: images, noise. Name it with --input_layer."
        assert refused(GraphError, path) == (f"--architecture {path}: The model's input cannot be inferred. {sentence}")
        message = refused(GraphError, path, input_layer="images", input_mean=0, input_std=1)
        assert message == (
            f"--architecture {path}: It does not run with two images of 16 × 16 pixels at its input images:0: You must feed a "
            "value for placeholder tensor 'noise' with dtype float and shape [?,16,16,3]"
        )

    def test_an_input_of_bytes(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "graph.pb", lambda x: dense_classifier(tf.cast(x, tf.float32)), dtype=tf.uint8)
        sentence = "It has no placeholder for pixels, float32 [N, H, W, 3]. Name it with --input_layer."
        assert refused(GraphError, path) == (f"--architecture {path}: The model's input cannot be inferred. {sentence}")

    @pytest.mark.parametrize(
        ("missing", "words"),
        [
            ("input_height", "height"),
            ("input_width", "width"),
            ("input_mean", "pixel mean"),
            ("input_std", "pixel standard deviation"),
        ],
    )
    def test_an_input_that_says_too_little(self, missing: str, words: str, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "graph.pb", dense_classifier, name="images", shape=None)
        given = {"input_height": 16, "input_width": 16, "input_mean": 0, "input_std": 1}
        del given[missing]
        sentence = f"The {words} of the input layer images cannot be inferred. Set --{missing}."
        assert refused(GraphError, path, **given) == f"--architecture {path}: {sentence}"

    def test_a_graph_that_reads_files(self, tmp_path: Path) -> None:
        def network(images: tf.Tensor) -> None:
            dense_classifier(images + tf.cast(tf.strings.length(tf.io.read_file("/etc/passwd")), tf.float32))

        path = write_graph(tmp_path / "graph.pb", network)
        sentence = "It has operations that can read or write files: ReadFile."
        assert refused(GraphError, path) == f"--architecture {path}: {sentence}"

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            (b"\x80no graph at all", "it is not a frozen TensorFlow graph (a GraphDef in binary form), or is damaged."),
            (b"no graph at all", "it is a text file, not a frozen TensorFlow graph (a GraphDef in binary form)."),
            (b"\x22\x02\x08\x01", "it holds no graph: no node was found in it."),  # Versions alone.
        ],
    )
    def test_what_is_no_graph(self, content: bytes, sentence: str, tmp_path: Path) -> None:
        path = tmp_path / "graph.pb"
        path.write_bytes(content)
        assert refused(GraphError, path) == f"--architecture {path}: {sentence}"

    def test_the_file_of_a_saved_model(self, tmp_path: Path) -> None:
        path = tmp_path / "saved_model.pb"
        path.write_bytes(b"\x08\x01\x12\x00")
        assert refused(GraphError, path) == (f"--architecture {path} is a part of a SavedModel. Give its folder: {tmp_path}")

    def test_a_file_that_does_not_exist(self) -> None:
        assert refused(GraphError, "no/such.pb") == (
            "--architecture no/such.pb: the file cannot be read (No such file or directory)."
        )


@pytest.mark.parametrize("architecture", [[], ["--architecture=mobilenet_1.0_224"]])
def test_flags_that_would_have_no_effect(architecture: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--image_dir=photos", *architecture, "--input_layer=a", "--input_mean=0", "--input_height=3"]) == 2
    local, both = "a local graph (--architecture path/to/graph.pb)", " or a module (--tfhub_module)"
    assert capsys.readouterr().err == (
        f"error: --input_layer is only for {local}: leave it out.\n"
        f"--input_height is only for {local}{both}: leave it out.\n"
        f"--input_mean is only for {local}{both}: leave it out.\n"
    )


def train(photos: Path, folder: Path, **flags: object) -> None:
    folder.mkdir()
    places = {
        "image_dir": photos,
        "output_graph": folder / "graph.pb",
        "output_labels": folder / "labels.txt",
        "checkpoint_path": folder / "checkpoint",
        "summaries_dir": folder / "summaries",
        "bottleneck_dir": folder / "bottlenecks",
        "how_many_training_steps": 40,
        "learning_rate": 0.5,
        "random_seed": 1,
    }
    assert main([f"--{flag}={value}" for flag, value in {**places, **flags}.items()]) == 0


@pytest.mark.parametrize("network", [dense_classifier, pointwise_classifier])
def test_the_whole_command(
    network: Callable[[tf.Tensor], None],
    small_photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkdir("networks")
    write_graph(Path("networks", "mine.pb"), network)
    train(small_photos, tmp_path / "run", architecture="networks/mine.pb", saved_model_dir=tmp_path / "saved_model")
    photo = next((small_photos / "red dots").iterdir())
    cached = tmp_path / "run" / "bottlenecks" / "red dots" / f"{photo.name}_networks~mine.pb.txt"
    assert len(cached.read_text().split(",")) == WIDTH
    capsys.readouterr()
    assert label_main([f"--graph={tmp_path / 'run' / 'graph.pb'}", f"--image={photo}"]) == 0
    assert capsys.readouterr().out.splitlines()[2].startswith("red dots (score=")
    served = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    assert served(image=tf.constant(pixels()))["prediction"].shape == (4, 3)


class TestOneCacheForOneNetwork:
    """Whatever path or layer a network is named by, its bottlenecks are made once."""

    def counts(self, photos: Path, folder: Path, capsys: pytest.CaptureFixture[str], **flags: object) -> tuple[int, int]:
        train(photos, folder, bottleneck_dir=folder.parent / "bottlenecks", **flags)
        return bottleneck_counts(capsys.readouterr().err)

    def test_two_paths(
        self, small_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        path = write_graph(tmp_path / "mine.pb", dense_classifier)
        assert self.counts(small_photos, tmp_path / "first", capsys, architecture="mine.pb") == (75, 0)
        assert self.counts(small_photos, tmp_path / "second", capsys, architecture=path) == (0, 75)
        assert self.counts(small_photos, tmp_path / "third", capsys, architecture="./mine.pb") == (0, 75)
        os.rename("mine.pb", "moved.pb")
        assert self.counts(small_photos, tmp_path / "fourth", capsys, architecture="moved.pb") == (0, 75)
        assert {name.rpartition("_")[2] for name in os.listdir("bottlenecks/red dots") if name.endswith(".txt")} == {
            "mine.pb.txt"
        }

    def test_a_layer_named_and_inferred(self, small_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = write_graph(tmp_path / "mine.pb", dense_classifier)
        named = self.counts(small_photos, tmp_path / "named", capsys, architecture=path, bottleneck_layer="features")
        inferred = self.counts(small_photos, tmp_path / "inferred", capsys, architecture=path)
        other = self.counts(small_photos, tmp_path / "other", capsys, architecture=path, bottleneck_layer="product")
        assert (named, inferred, other) == ((75, 0), (0, 75), (75, 0))

    def test_another_graph_at_the_same_path(self, small_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = write_graph(tmp_path / "mine.pb", dense_classifier)
        self.counts(small_photos, tmp_path / "first", capsys, architecture=path)
        write_graph(path, features_only)
        assert self.counts(small_photos, tmp_path / "second", capsys, architecture=path) == (75, 0)


class TestWhatTheLogSays:
    def test_where_each_setting_comes_from(self, tmp_path: Path) -> None:
        path = write_graph(tmp_path / "mine.pb", dense_classifier)
        assert str(load(path)) == (
            f"{path}: input input:0, 16 × 16 pixels (squash), mean 127.5, standard deviation 127.5; "
            "bottleneck features:0, 8 values (input layer, bottleneck inferred; height, width from the input's shape; "
            "mean, standard deviation inferred from the input's name; resize by default)"
        )
        assert str(load(path, input_layer="input", bottleneck_layer="features", input_mean=0, input_std=1, resize="crop")) == (
            f"{path}:features: input input:0, 16 × 16 pixels (crop), mean 0, standard deviation 1; "
            "bottleneck features:0, 8 values (input layer, bottleneck, mean, standard deviation, resize given; "
            "height, width from the input's shape)"
        )

    def test_a_layer_after_the_bottleneck_is_warned_of(self, tmp_path: Path, logged: list[str]) -> None:
        path = write_graph(tmp_path / "mine.pb", dense_classifier)
        load(path, bottleneck_layer="features")
        assert logged == []
        load(path, bottleneck_layer="product")
        assert logged == [
            "WARNING: --bottleneck_layer product comes after the layer features: it holds scores of the network's own classes, "
            "and a classifier trained on these is usually less accurate. Leave --bottleneck_layer out to use features."
        ]
