"""`--tfhub_module`: modules of both formats, from folders, archives and a real server, against calling the module directly."""

import gzip
import hashlib
import io
import os
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from label_image.__main__ import main as label_main
from label_image.config import ClassifierOptions
from label_image.opening import open_classifier
from retrain.__main__ import main
from retrain.backbones.backbone import Backbone
from retrain.backbones.catalog import find_architecture
from retrain.backbones.hub.files import module_folder
from retrain.backbones.hub.module import load_hub_module
from retrain.backbones.load import load_network
from retrain.backbones.published import BUNDLED, BUNDLED_FILE
from retrain.config import RetrainConfig
from retrain.data.decode import image_from_file
from retrain.errors import FlagError, GraphError, ModelUnavailableError, RetrainError
from retrain.graphdef.run import batch_function, parse_graph, read_graph
from retrain.graphdef.tensorflow_form import to_tensorflow
from retrain.options.network import NetworkOptions
from retrain.process.precision import FLOAT32, cache_name
from tests.support.hub_modules import (
    SIDE,
    SIZE,
    InTraining,
    image_size_attachment,
    images,
    vectors,
    write_archive,
    write_saving_module,
    write_signatures,
    write_tf1_module,
    write_tf2_module,
)
from tests.support.stand_ins import FolderServer, serve_folder

FLAGS = NetworkOptions()


@pytest.fixture(scope="module")
def tf2_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tf2_module(tmp_path_factory.mktemp("modules") / "tf2")


@pytest.fixture(scope="module")
def tf1_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tf1_module(tmp_path_factory.mktemp("modules") / "tf1", attachment=image_size_attachment(SIDE, SIDE))


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set an empty TFHUB_CACHE_DIR. The server of these tests stands on this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "hub_cache"
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(folder))
    return folder


@pytest.fixture(scope="module")
def server(tf2_module: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FolderServer]:
    """Serve a module as hubs do (`module`), as a plain archive, cut off in two ways, and a page in its place."""
    folder = tmp_path_factory.mktemp("served")
    whole = write_archive(tf2_module, folder / "module.tar.gz").read_bytes()
    (folder / "module").write_bytes(whole)
    (folder / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "cut_after_a_file.tar.gz").write_bytes(cut_after_a_file(whole))
    (folder / "page.tar.gz").write_text("<html>Sign in to continue</html>")
    (folder / "no_module.tar.gz").write_bytes(archive_of({"README.md": b"nothing"}))
    with serve_folder(folder) as running:
        yield running


def cut_after_a_file(archive: bytes) -> bytes:
    """Return what has been received when a connection ends between two files: the last one is missing, and so is the checksum."""
    unpacked = gzip.decompress(archive)
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        last = [member for member in tar if member.isreg()][-1]
    compressor = zlib.compressobj(wbits=31)  # 16 more than the largest window: with gzip's header.
    return compressor.compress(unpacked[: last.offset]) + compressor.flush(zlib.Z_SYNC_FLUSH)


def archive_of(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file.getvalue()


def load(handle: Path | str, given: NetworkOptions = FLAGS) -> Backbone:
    return load_hub_module(str(handle), given)


def assert_computes_vectors(backbone: Backbone, side: int = SIDE) -> None:
    pixels = images(5, side)
    np.testing.assert_allclose(backbone.run(pixels), vectors(pixels), atol=1e-5)


class TestTensorFlow2:
    def test_a_called_module(self, tf2_module: Path) -> None:
        backbone = load(tf2_module)
        pixels = images(5)
        expected = tf.saved_model.load(str(tf2_module))(pixels)
        np.testing.assert_allclose(backbone.run(pixels), expected, atol=1e-5)
        chosen = backbone.architecture
        assert (chosen.name, chosen.input_tensor, chosen.bottleneck_size) == (str(tf2_module), "Placeholder:0", SIZE)
        spec = chosen.input_spec
        assert (spec.height, spec.width, spec.mean, spec.std) == (SIDE, SIDE, 0.0, 255.0)

    def test_nothing_but_plain_operations_is_left(self, tf2_module: Path) -> None:
        graph_def = load(tf2_module).graph_def
        assert not graph_def.library.function
        assert {node.op for node in graph_def.node} >= {"Placeholder", "Conv2D", "MatMul", "Const"}
        assert not [node.op for node in graph_def.node if "Call" in node.op or "Variable" in node.op or "Resource" in node.op]

    def test_a_keras_model(self, tmp_path: Path) -> None:
        """With batch normalisation and dropout, which differ in training."""
        layers = tf.keras.layers
        norm = layers.BatchNormalization()
        model = tf.keras.Sequential(
            [layers.Input((SIDE, SIDE, 3)), layers.Conv2D(4, 3), norm, layers.Dropout(0.5), layers.GlobalAveragePooling2D()]
        )
        norm.set_weights([np.full(4, value, np.float32) for value in (1.5, 0.2, 0.1, 2.0)])
        model.export(str(tmp_path / "keras"), verbose=False)
        np.testing.assert_allclose(load(tmp_path / "keras").run(images(3)), model(images(3), training=False), atol=1e-5)

    @pytest.mark.parametrize("kind", ["value", "tensor"])
    def test_a_module_is_not_called_in_training(self, kind: str, tmp_path: Path) -> None:
        tf.saved_model.save(InTraining(kind), str(tmp_path / "module"))
        assert_computes_vectors(load(tmp_path / "module"))

    @pytest.mark.parametrize("name", ["default", "image_feature_vector", "serving_default", "anything"])
    def test_a_signature_alone(self, name: str, tmp_path: Path) -> None:
        assert_computes_vectors(load(write_signatures(tmp_path / "module", {name: vectors})))

    def test_of_several_signatures_the_default_is_taken(self, tmp_path: Path) -> None:
        signatures = {"serving_default": tf.zeros_like, "default": vectors, "other": tf.zeros_like}
        assert_computes_vectors(load(write_signatures(tmp_path / "module", signatures)))

    def test_of_several_outputs_the_feature_vector_is_taken(self, tmp_path: Path) -> None:
        def network(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"block": pixels, "default": vectors(pixels)}

        assert_computes_vectors(load(write_signatures(tmp_path / "module", {"serving_default": network})))


class TestTensorFlow1:
    @pytest.mark.parametrize("resources", [False, True], ids=["reference variables", "resource variables"])
    def test_a_module(self, resources: bool, tmp_path: Path) -> None:
        module = write_tf1_module(tmp_path / "module", shape=(None, SIDE, SIDE, 3), resources=resources)
        backbone = load(module)
        assert backbone.architecture.input_tensor == "Placeholder:0"
        assert_computes_vectors(backbone)
        loaded = tf.compat.v1.saved_model.load_v2(str(module), tags=[])
        expected = loaded.signatures["default"](tf.constant(images(5)))["default"]
        np.testing.assert_allclose(backbone.run(images(5)), expected, atol=1e-5)

    def test_the_size_that_it_was_trained_for(self, tf1_module: Path) -> None:
        spec = load(tf1_module).architecture.input_spec
        assert (spec.height, spec.width) == (SIDE, SIDE)

    def test_another_size_where_it_takes_any(self, tf1_module: Path) -> None:
        backbone = load(tf1_module, NetworkOptions(input_height=20, input_width=20, input_mean=127.5, input_std=127.5))
        spec = backbone.architecture.input_spec
        assert (spec.height, spec.width, spec.mean, spec.std) == (20, 20, 127.5, 127.5)
        assert_computes_vectors(backbone, 20)

    def test_a_feature_vector_signature(self, tmp_path: Path) -> None:
        module = write_tf1_module(tmp_path / "m", {"image_feature_vector": vectors}, attachment=image_size_attachment(SIDE, SIDE))
        assert_computes_vectors(load(module))

    def test_the_default_signature_goes_first(self, tmp_path: Path) -> None:
        signatures = {"image_feature_vector": lambda pixels: tf.reduce_mean(pixels, [1, 2]), "default": vectors}
        module = write_tf1_module(tmp_path / "module", signatures, (None, SIDE, SIDE, 3))
        assert_computes_vectors(load(module))


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("network", "found"),
        [
            (lambda pixels, kernel, matrix: pixels, "float32 [?, 32, 32, 3]"),
            (lambda pixels, kernel, matrix: tf.reduce_mean(pixels), "float32 []"),
            (lambda pixels, kernel, matrix: tf.argmax(vectors(pixels), 1), "int64 [?]"),
        ],
    )
    def test_what_gives_no_vectors(self, network: object, found: str, tmp_path: Path) -> None:
        module = write_tf2_module(tmp_path / "module", network)  # type: ignore[arg-type]
        sentence = f"--tfhub_module {module}: Its output must be a vector for each image, float32 [N, D]. It is {found}."
        assert refused(module, GraphError) == sentence

    @pytest.mark.parametrize(
        ("shape", "found"),
        [((None, 7), "[?, 7]"), ((None, SIDE, SIDE, 1), "[?, 32, 32, 1]"), ((1, SIDE, SIDE, 3), "[1, 32, 32, 3]")],
    )
    def test_what_takes_no_batches_of_pixels(self, shape: tuple[int | None, ...], found: str, tmp_path: Path) -> None:
        module = write_tf2_module(tmp_path / "module", lambda x, kernel, matrix: x, shape)
        sentence = f"It must take colour images, float32 [N, height, width, 3]. It takes float32 {found}."
        assert refused(module, GraphError) == f"--tfhub_module {module}: {sentence}"

    def test_what_takes_bytes(self, tmp_path: Path) -> None:
        module = write_tf2_module(tmp_path / "module", lambda x, kernel, matrix: vectors(tf.cast(x, tf.float32)), dtype=tf.uint8)
        sentence = "It must take colour images, float32 [N, height, width, 3]. It takes uint8 [?, 32, 32, 3]."
        assert refused(module, GraphError) == f"--tfhub_module {module}: {sentence}"

    def test_a_size_that_is_not_stated(self, tmp_path: Path) -> None:
        module = write_tf2_module(tmp_path / "module", shape=(None, None, None, 3))
        sentence = "The height and width of the input layer images cannot be inferred. Set --input_height and --input_width."
        assert refused(module, GraphError) == f"--tfhub_module {module}: {sentence}"
        assert_computes_vectors(load(module, NetworkOptions(input_height=24, input_width=24)), 24)

    def test_a_size_that_is_not_the_modules(self, tf2_module: Path) -> None:
        with pytest.raises(FlagError) as caught:
            load(tf2_module, NetworkOptions(input_height=96))
        assert str(caught.value) == "--input_height must be 32, the height of the input layer images. Got 96."

    def test_several_signatures_of_unknown_names(self, tmp_path: Path) -> None:
        module = write_signatures(tmp_path / "module", {"b": vectors, "a": vectors})
        sentence = "It has no signature default, image_feature_vector or serving_default. Found: a, b."
        assert refused(module, GraphError) == f"--tfhub_module {module}: {sentence}"

    def test_several_outputs_of_unknown_names(self, tmp_path: Path) -> None:
        module = write_signatures(tmp_path / "module", {"default": lambda x: {"a": vectors(x), "b": vectors(x)}})
        sentence = "A network of images must have exactly one output. Found: a, b."
        assert refused(module, GraphError) == f"--tfhub_module {module}: {sentence}"

    def test_a_module_that_writes_files(self, tmp_path: Path) -> None:
        """It is refused before it is loaded, since loading runs what a module brings along."""
        planted = tmp_path / "planted"

        def network(pixels: tf.Tensor, kernel: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
            with tf.control_dependencies([tf.raw_ops.WriteFile(filename=str(planted), contents="x")]):
                return vectors(pixels, kernel, matrix)

        module = write_tf2_module(tmp_path / "module", network)
        sentence = "It has operations that can read or write files: WriteFile."
        assert refused(module, GraphError) == f"--tfhub_module {module}: {sentence}"
        assert not planted.exists()

    def test_a_module_that_saves_when_it_is_loaded(self, tmp_path: Path) -> None:
        """Every module has operations that save variables; here they run at loading, as TensorFlow itself would run them."""
        module = write_saving_module(tmp_path / "module", tmp_path / "planted")
        assert_computes_vectors(load(module))
        assert list(tmp_path.glob("planted*")) == []
        tf.saved_model.load(str(module))
        assert len(list(tmp_path.glob("planted*"))) == 2

    def test_a_module_of_tensorflow_1_that_reads_files(self, tmp_path: Path) -> None:
        def network(pixels: tf.Tensor) -> tf.Tensor:
            return vectors(pixels) + tf.cast(tf.strings.length(tf.io.read_file("/etc/passwd")), tf.float32)

        module = write_tf1_module(tmp_path / "module", {"default": network}, (None, SIDE, SIDE, 3))
        sentence = "It has operations that can read or write files: ReadFile."
        assert refused(module, GraphError) == f"--tfhub_module {module}: {sentence}"

    def test_a_folder_without_a_module(self, tmp_path: Path) -> None:
        sentence = "it is no module, since it holds no saved_model.pb."
        assert refused(tmp_path, GraphError) == f"--tfhub_module {tmp_path}: {sentence}"

    def test_what_does_not_exist(self) -> None:
        assert refused("no/such/module", FlagError) == (
            "--tfhub_module must be a folder, a .tar.gz archive or an address (https://…). "
            "Got no/such/module, which does not exist."
        )

    @pytest.mark.parametrize("kind", ["tf1_module", "tf2_module"])
    def test_variables_that_are_missing(self, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        module = tmp_path / "module"
        shutil.copytree(request.getfixturevalue(kind), module)
        (module / "variables" / "variables.index").unlink()
        sentence = "Its file variables/variables.index is missing. Get a new copy."
        assert refused(module, GraphError) == f"--tfhub_module {module}: {sentence}"

    @pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"])
    @pytest.mark.parametrize("kind", ["tf1_module", "tf2_module"])
    def test_a_file_that_is_cut_off(self, name: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
        module = tmp_path / "module"
        shutil.copytree(request.getfixturevalue(kind), module)
        data = (module / name).read_bytes()
        (module / name).write_bytes(data[: len(data) // 2])
        message = refused(module, GraphError)
        assert message.startswith(f"--tfhub_module {module}: the module in {module} cannot be loaded (")
        assert message.endswith("). Get a new copy.")


def refused(handle: Path | str, kind: type[RetrainError]) -> str:
    with pytest.raises(kind) as caught:
        load(handle)
    return str(caught.value)


class TestArchivesAndAddresses:
    @pytest.mark.parametrize("below", [".", "some_module"])
    def test_an_archive(self, below: str, tf2_module: Path, tmp_path: Path) -> None:
        archive = write_archive(tf2_module, tmp_path / "module.tar.gz", below)
        backbone = load(archive)
        assert_computes_vectors(backbone)
        assert backbone.fingerprint == load(tf2_module).fingerprint

    def test_an_archive_of_tensorflow_1(self, tf1_module: Path, tmp_path: Path) -> None:
        assert_computes_vectors(load(write_archive(tf1_module, tmp_path / "module.tar.gz")))

    @pytest.mark.parametrize(
        ("name", "asked"), [("module.tar.gz", "/module.tar.gz"), ("module", "/module?tf-hub-format=compressed")]
    )
    def test_an_address(self, name: str, asked: str, server: FolderServer, hub_cache: Path) -> None:
        server.requests.clear()
        assert_computes_vectors(load(server.url + name))
        assert_computes_vectors(load(server.url + name))
        assert server.requests == [asked]

    def test_the_cache_is_tensorflow_hubs(self, server: FolderServer, hub_cache: Path) -> None:
        """The library itself uses what was downloaded here, and the reverse."""
        hub = pytest.importorskip("tensorflow_hub")
        handle, other = server.url + "module", server.url + "module.tar.gz"
        load(handle)
        server.requests.clear()
        assert hub.resolve(handle) == str(hub_cache / hashlib.sha1(handle.encode()).hexdigest())
        assert server.requests == []
        hub.resolve(other)
        assert len(server.requests) == 1
        assert_computes_vectors(load(other))
        assert len(server.requests) == 1

    def test_several_runs_at_once(self, server: FolderServer, hub_cache: Path) -> None:
        def folder_of(_: int) -> str:
            with module_folder(server.url + "module") as folder:
                return folder

        with ThreadPoolExecutor(6) as pool:
            folders = set(pool.map(folder_of, range(12)))
        [folder] = folders
        assert sorted(path.name for path in hub_cache.iterdir()) == [Path(folder).name, f"{Path(folder).name}.descriptor.txt"]
        assert_computes_vectors(load(server.url + "module"))

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("none.tar.gz", "HTTP Error 404: File not found"),
            ("none", "HTTP Error 404: File not found"),
            ("cut.tar.gz", "Compressed file ended before the end-of-stream marker was reached"),
            ("cut_after_a_file.tar.gz", "Compressed file ended before the end-of-stream marker was reached"),
            ("page.tar.gz", "the answer is not a gzip archive; it may be a page that explains why"),
        ],
    )
    def test_a_download_that_fails(self, name: str, reason: str, server: FolderServer, hub_cache: Path) -> None:
        handle = server.url + name
        assert refused(handle, ModelUnavailableError) == (
            f"The module {handle} cannot be downloaded ({reason}). Check the address; or get its archive by hand, and give the "
            "archive's path as --tfhub_module."
        )
        assert list(hub_cache.iterdir()) == []

    def test_the_library_takes_what_was_cut_off_after_a_file(self, server: FolderServer, hub_cache: Path) -> None:
        """Why downloading is not left to it."""
        hub = pytest.importorskip("tensorflow_hub")
        assert os.path.isdir(hub.resolve(server.url + "cut_after_a_file.tar.gz"))

    def test_an_archive_without_a_module(self, server: FolderServer, hub_cache: Path) -> None:
        handle = server.url + "no_module.tar.gz"
        sentence = "the archive is no module, since it holds no saved_model.pb."
        assert refused(handle, GraphError) == f"--tfhub_module {handle}: {sentence}"
        assert list(hub_cache.iterdir()) == []

    def test_a_file_system_of_tensorflows(self, tf2_module: Path) -> None:
        """One in memory, in the place of one that is far away."""
        for path in tf2_module.rglob("*"):
            if path.is_file():
                tf.io.gfile.makedirs(f"ram://module/{path.parent.relative_to(tf2_module)}")
                tf.io.gfile.copy(str(path), f"ram://module/{path.relative_to(tf2_module)}", overwrite=True)
        backbone = load("ram://module")
        assert_computes_vectors(backbone)
        assert (backbone.architecture.name, backbone.fingerprint) == ("ram://module", load(tf2_module).fingerprint)
        assert refused("ram://nothing", ModelUnavailableError).startswith("The module ram://nothing cannot be read (")

    def test_nobody_answers(self, hub_cache: Path) -> None:
        with serve_folder(hub_cache.parent) as gone:
            handle = gone.url + "module"
        assert "Connection refused" in refused(handle, ModelUnavailableError)

    def test_nothing_is_unpacked_outside(self, tf2_module: Path, tmp_path: Path) -> None:
        files = {"saved_model.pb": b"x", "../saved_model.pb": b"x", "variables/../../../evil": b"x", "/tmp/saved_model.pb": b"x"}
        archive = tmp_path / "bad" / "module.tar.gz"
        archive.parent.mkdir()
        archive.write_bytes(archive_of(files))
        refused(archive, GraphError)
        assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["module.tar.gz"]

    def test_a_link_in_an_archive(self, tmp_path: Path) -> None:
        archive = tmp_path / "module.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            member = tarfile.TarInfo("saved_model.pb")
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(member)
        sentence = "the archive cannot be unpacked (saved_model.pb is not a regular file of a plausible size). Get a new copy."
        assert refused(archive, GraphError) == f"--tfhub_module {archive}: {sentence}"


class TestFingerprint:
    def test_the_same_for_the_same_files(self, tf2_module: Path, tmp_path: Path) -> None:
        shutil.copytree(tf2_module, tmp_path / "copy")
        assert load(tmp_path / "copy").fingerprint == load(tf2_module).fingerprint

    def test_another_for_other_weights(self, tf2_module: Path, tmp_path: Path) -> None:
        def doubled(pixels: tf.Tensor, kernel: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
            return vectors(pixels, kernel, matrix * 2)

        assert load(write_tf2_module(tmp_path / "module", doubled)).fingerprint != load(tf2_module).fingerprint

    def test_another_for_another_mean(self, tf2_module: Path) -> None:
        assert load(tf2_module, NetworkOptions(input_mean=1.0)).fingerprint != load(tf2_module).fingerprint


@pytest.mark.parametrize(
    ("handle", "expected"),
    [
        (
            "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/3",
            "https~tfhub.dev~google~imagenet~inception_v3~feature_vector~3",
        ),
        ("C:\\modules\\m", "C~~modules~m"),
        ("/home/me/module", "~home~me~module"),
        ("mobilenet_0.25_128", "mobilenet_0.25_128"),
        ("x" * 200, hashlib.sha256(b"x" * 200).hexdigest()),
    ],
)
def test_names_in_the_cache(handle: str, expected: str) -> None:
    assert cache_name(handle, FLOAT32) == expected


def test_architecture_and_module_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--image_dir=photos", "--architecture=inception_v3", "--tfhub_module=m"]) == 2
    assert capsys.readouterr().err == (
        "error: --architecture and --tfhub_module must not be given together, since each names the network. "
        "Got inception_v3 and m.\n"
    )


def test_a_folder_as_architecture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--image_dir=photos", f"--architecture={tmp_path}"]) == 2
    allowed = "a name, a file or the folder of a SavedModel"
    sentence = f"--architecture must be {allowed}. Got {tmp_path}, a folder without saved_model.pb."
    assert capsys.readouterr().err == f"error: {sentence}\n"


def test_a_folder_or_file_of_an_architectures_name_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inception_v3").mkdir()
    (tmp_path / "pixels_28").write_text("notes")
    for name in ("inception_v3", "pixels_28"):
        assert RetrainConfig(image_dir="photos", architecture=name).architecture == name
    assert load_network(NetworkOptions(architecture="pixels_28")).architecture.bottleneck_size == 784


def test_layers_are_not_for_modules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--image_dir=photos", "--tfhub_module=m", "--input_layer=a", "--bottleneck_layer=b", "--input_mean=0"]) == 2
    assert capsys.readouterr().err == (
        "error: --input_layer is only for a local graph (--architecture path/to/graph.pb): leave it out.\n"
        "--bottleneck_layer is only for a local graph (--architecture path/to/graph.pb): leave it out.\n"
    )


def outputs(folder: Path, **more: object) -> list[str]:
    places = {
        "output_graph": folder / "graph.pb",
        "output_labels": folder / "labels.txt",
        "checkpoint_path": folder / "checkpoint",
        "summaries_dir": folder / "summaries",
        "bottleneck_dir": folder / "bottlenecks",
        "how_many_training_steps": 60,
        "random_seed": 1,
        **more,
    }
    return [f"--{flag}={value}" for flag, value in places.items()]


@pytest.mark.slow
class TestTheWholeCommand:
    def test_from_an_address_to_a_label(
        self, small_photos: Path, server: FolderServer, hub_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        handle = server.url + "module"
        flags = outputs(tmp_path, tfhub_module=handle, saved_model_dir=tmp_path / "saved_model", learning_rate=0.5)
        assert main([f"--image_dir={small_photos}", *flags]) == 0, capsys.readouterr().err
        photo = next((small_photos / "red dots").iterdir())
        cached = tmp_path / "bottlenecks" / "red dots" / f"{photo.name}_{cache_name(handle, FLOAT32)}.txt"
        assert cached.name.endswith(f"_http~127.0.0.1~{handle.split(':')[2].replace('/', '~')}.txt")
        pixels = image_from_file(str(photo), load(handle).architecture.input_spec)[np.newaxis]
        assert pixels.min() >= 0 and pixels.max() <= 1
        np.testing.assert_allclose(np.loadtxt(cached, delimiter=","), np.ravel(vectors(pixels)), atol=1e-5)

        opened = open_classifier(str(tmp_path / "graph.pb"), ClassifierOptions())
        assert (opened.description.input_tensor, opened.description.architecture) == ("Placeholder:0", handle)
        graph_def = read_graph(str(tmp_path / "graph.pb"))
        scores = batch_function(graph_def, "Placeholder:0", "final_result:0")(pixels)
        served = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
        answer = served(image=tf.constant(pixels))
        assert set(answer) == {"prediction"}
        np.testing.assert_allclose(answer["prediction"], scores, atol=1e-5)

        capsys.readouterr()
        assert label_main([f"--graph={tmp_path / 'graph.pb'}", f"--image={photo}"]) == 0
        assert capsys.readouterr().out.splitlines()[2].startswith("red dots (score=")

    def test_the_bundled_network_as_a_module_gives_its_bottlenecks(self, flower_photos: Path, tmp_path: Path) -> None:
        """On real photos: the same resize, the same network, only the range of the input is another."""
        graph_def = parse_graph(BUNDLED_FILE.read_bytes(), "bundled")

        def network(pixels: tf.Tensor, *_: tf.Tensor) -> tf.Tensor:
            feeds = {"input:0": pixels * 2 - 1}
            return tf.graph_util.import_graph_def(to_tensorflow(graph_def), feeds, ["TinyResnet/bottleneck:0"], name="")[0]

        module = write_tf2_module(tmp_path / "module", network, (None, 128, 128, 3))
        ours = load_network(NetworkOptions(tfhub_module=str(module)))
        reference = load_network(NetworkOptions(architecture=BUNDLED))
        photos = [str(path) for path in sorted(flower_photos.rglob("*.jpg"))[::60]]
        assert len(photos) == 10
        found, expected = (
            backbone.run(np.stack([image_from_file(photo, backbone.architecture.input_spec) for photo in photos]))
            for backbone in (ours, reference)
        )
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert find_architecture(BUNDLED).bottleneck_size == ours.architecture.bottleneck_size
