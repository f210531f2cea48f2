"""Keras files from strangers: nothing in them is run, nothing else is read, and each fault is one sentence.

The files are real ones. `control` tests show that they would do harm without the checks.
"""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest

from retrain.__main__ import main
from retrain.backbones.keras.files import checked_copy
from retrain.backbones.load import load_network
from retrain.errors import GraphError, RetrainError
from retrain.options.network import NetworkOptions
from tests.support.commands import Outputs

CURE = "If you trust it, load it in Keras, write it with model.export(FOLDER), and name that folder."
layers = keras.layers


def small_model(*more: Any) -> Any:
    images = keras.Input((8, 8, 3), name="images")
    values = layers.Rescaling(1 / 255)(images)
    for layer in more:
        values = layer(values)
    return keras.Model(images, layers.Dense(2, activation="softmax", name="classes")(layers.GlobalAveragePooling2D()(values)))


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good.keras"
    small_model().save(path)
    return path


def with_lambda(path: Path, marker: Path) -> Path:
    """Save a model whose Lambda layer, as bytecode in the file, creates the marker."""
    function = eval(f"lambda values: (open({str(marker)!r}, 'w').close(), values)[1]")
    small_model(layers.Lambda(function, output_shape=(8, 8, 3), name="harmless")).save(path)
    marker.unlink(missing_ok=True)  # Saving runs the layer.
    return path


def edited(good: Path, change: Callable[[Any], Any], name: str = "evil.keras") -> Path:
    """Return a copy of a .keras file whose configuration is changed."""
    path = good.with_name(name)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.namelist():
            data = source.read(member)
            if member == "config.json":
                config = json.loads(data)
                change(config)
                data = json.dumps(config).encode()
            target.writestr(member, data)
    return path


def edited_hdf5(good: Path, change: Callable[[h5py.File], None]) -> Path:
    """Return a copy of a .keras file whose weights are changed."""
    path = good.with_name("evil.keras")
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.namelist():
            data = source.read(member)
            if member == "model.weights.h5":
                buffer = io.BytesIO(data)
                with h5py.File(buffer, "r+") as file:
                    change(file)
                data = buffer.getvalue()
            target.writestr(member, data)
    return path


def rescaling(config: Any) -> Any:
    """Return the configuration of the second layer."""
    return config["config"]["layers"][1]


def reason(path: Path) -> str:
    """Return what loading says, without the file's name."""
    with pytest.raises(GraphError) as caught:
        load_network(NetworkOptions(architecture=str(path)))
    message, prefix = str(caught.value), f"--architecture {path}: "
    assert message.startswith(prefix) and "\n" not in message
    return message.removeprefix(prefix)


class TestCode:
    @pytest.mark.parametrize("ending", ["keras", "h5"])
    def test_control(self, ending: str, marker: Path, tmp_path: Path) -> None:
        model = keras.saving.load_model(with_lambda(tmp_path / f"evil.{ending}", marker), safe_mode=False)
        model(np.zeros((1, 8, 8, 3), np.float32))
        assert marker.exists()

    @pytest.mark.parametrize("ending", ["keras", "h5"])
    def test_a_lambda_is_not_run(
        self, ending: str, marker: Path, tmp_path: Path, small_photos: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = with_lambda(tmp_path / f"evil.{ending}", marker)
        code = main(["--image_dir", str(small_photos), "--architecture", str(path), *Outputs(tmp_path).flags()])
        expected = "Its configuration uses Lambda, which can run code from the file, and is not loaded."
        assert (code, capsys.readouterr().err.splitlines()[-1]) == (2, f"error: --architecture {path}: {expected} {CURE}")
        assert not marker.exists()

    def test_a_lambda_in_a_model_inside(self, marker: Path, tmp_path: Path) -> None:
        inner = keras.Sequential([keras.Input((8, 8, 3)), layers.Lambda(lambda values: values, output_shape=(8, 8, 3))])
        path = tmp_path / "evil.keras"
        small_model(inner).save(path)
        assert reason(path).startswith("Its configuration uses Lambda, which can run code")

    @pytest.mark.parametrize(
        ("module", "name", "expected"),
        [
            ("os", "system", "os.system, which is not built into Keras."),
            ("builtins", "eval", "builtins.eval, which is not built into Keras."),
            ("keras.utils", "get_file", "keras.utils.get_file, which is not built into Keras."),
            ("keras.src.utils.file_utils", "get_file", "keras.src.utils.file_utils.get_file, which is not built into Keras."),
            ("keras.saving", "load_model", "keras.saving.load_model, which is not built into Keras."),
            ("keras.layers", "TFSMLayer", "TFSMLayer, which can run code from the file, and is not loaded."),
            ("keras.layers", "TorchModuleWrapper", "TorchModuleWrapper, which can run code from the file, and is not loaded."),
            ("keras.layers", "StringLookup", "StringLookup, which can open files, and is not loaded."),
            ("keras.layers", "TextVectorization", "TextVectorization, which can open files, and is not loaded."),
            ("keras.layers", "evil>Dense", "keras.layers.evil>Dense, which is not built into Keras."),
            (None, "SomeLayer", "SomeLayer, which is not built into Keras."),
        ],
    )
    def test_a_class(self, module: str | None, name: str, expected: str, good: Path) -> None:
        path = edited(good, lambda config: rescaling(config).update(module=module, class_name=name))
        assert reason(path) == f"Its configuration uses {expected} {CURE}"

    def test_a_registered_name(self, good: Path) -> None:
        path = edited(good, lambda config: rescaling(config).update(registered_name="package>Rescaling"))
        assert reason(path) == f"Its configuration uses keras.layers.package>Rescaling, which is not built into Keras. {CURE}"

    @pytest.mark.parametrize(
        ("module", "name"), [("os", "system"), ("builtins", "eval"), ("keras.saving", "load_model"), ("keras.activations", "get")]
    )
    def test_a_function(self, module: str, name: str, good: Path) -> None:
        function = {"module": module, "class_name": "function", "config": name, "registered_name": name}
        path = edited(good, lambda config: config["config"]["layers"][-1]["config"].update(activation=function))
        assert reason(path) == f"Its configuration calls the function {module}.{name}, which is no activation. {CURE}"

    def test_a_name_that_is_no_text(self, good: Path) -> None:
        path = edited(good, lambda config: rescaling(config).update(class_name=7))
        assert reason(path) == "Its configuration has a class whose name is no text. Get a new copy."

    def test_python_code_in_a_setting(self, good: Path) -> None:
        code = {"class_name": "__lambda__", "config": {"value": "4wAAAA=="}}
        path = edited(good, lambda config: rescaling(config)["config"].update(scale=code))
        assert reason(path).startswith("Its configuration uses __lambda__, which can run code from the file")

    def test_the_settings_of_training_are_not_loaded(self, good: Path) -> None:
        """They could name losses and metrics of a stranger's; the network needs none."""
        evil: dict[str, Any] = {"optimizer": {"module": "os", "class_name": "system", "config": {}, "registered_name": None}}
        path = edited(good, lambda config: config.update(compile_config=evil))
        assert load_network(NetworkOptions(architecture=str(path))).architecture.bottleneck_size == 3


class TestOtherFiles:
    """An HDF5 file can point into any other file of the machine."""

    @pytest.fixture
    def secret(self, tmp_path: Path) -> Path:
        path = tmp_path / "secret.h5"
        with h5py.File(path, "w") as file:
            file["kernel"] = np.ones((3, 2), np.float32)
        return path

    def test_external_links(self, good: Path, secret: Path) -> None:
        def link(file: h5py.File) -> None:
            file["layers"]["evil"] = h5py.ExternalLink(str(secret), "/kernel")

        expected = "Its HDF5 data have an external link '/layers/evil', which could read other files; Keras writes none."
        assert reason(edited_hdf5(good, link)) == expected

    def test_soft_links(self, good: Path) -> None:
        def link(file: h5py.File) -> None:
            file["evil"] = h5py.SoftLink("/layers")

        assert reason(edited_hdf5(good, link)) == (
            "Its HDF5 data have a soft link '/evil', which could read other files; Keras writes none."
        )

    def test_external_storage(self, good: Path, secret: Path) -> None:
        def store(file: h5py.File) -> None:
            file.create_dataset("evil", (4,), np.float32, external=[(str(secret), 0, 16)])

        assert reason(edited_hdf5(good, store)) == "Its HDF5 data '/evil' lie in other files; Keras writes none of that kind."

    def test_virtual_datasets(self, good: Path, secret: Path) -> None:
        def store(file: h5py.File) -> None:
            layout = h5py.VirtualLayout((3, 2), np.float32)
            layout[:] = h5py.VirtualSource(str(secret), "kernel", (3, 2))
            file.create_virtual_dataset("evil", layout)

        assert reason(edited_hdf5(good, store)) == "Its HDF5 data '/evil' lie in other files; Keras writes none of that kind."

    def test_a_dataset_of_a_terabyte_in_a_small_file(self, good: Path) -> None:
        def store(file: h5py.File) -> None:
            file.create_dataset("evil", (1 << 38,), np.float32, chunks=(1 << 10,))

        expected = "Its HDF5 data declare more than 8589934592 bytes, which no network here has."
        assert reason(edited_hdf5(good, store)) == expected

    def test_texts(self, good: Path) -> None:
        def store(file: h5py.File) -> None:
            file["evil"] = "text"

        assert reason(edited_hdf5(good, store)) == "Its HDF5 data '/evil' are no numbers (object); Keras writes nothing else."

    def test_a_group_that_contains_itself(self, good: Path) -> None:
        def link(file: h5py.File) -> None:
            file["layers"]["again"] = file["layers"]

        assert load_network(NetworkOptions(architecture=str(edited_hdf5(good, link)))).architecture.bottleneck_size == 3


class TestTheArchive:
    def test_other_members(self, good: Path) -> None:
        with zipfile.ZipFile(good, "a") as archive:
            archive.writestr("assets/../../../evil.txt", "words")
        assert reason(good) == (
            "It holds a member 'assets/../../../evil.txt' beside config.json, metadata.json and model.weights.h5: files of "
            "layers that look up words, or something that Keras does not write. It is not loaded."
        )

    def test_two_members_of_one_name(self, good: Path) -> None:
        with pytest.warns(UserWarning), zipfile.ZipFile(good, "a") as archive:
            archive.writestr("config.json", "{}")
        assert reason(good) == "It holds two members of the same name. Get a new copy."

    def test_a_zip_bomb(self, good: Path) -> None:
        path = good.with_name("evil.keras")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            with archive.open("config.json", "w") as member:
                for _ in range(80):
                    member.write(b" " * (1 << 20))
            archive.writestr("model.weights.h5", b"")
        assert reason(path) == "Its config.json has more than 67108864 bytes, which no network's has."

    @pytest.mark.parametrize("missing", ["config.json", "model.weights.h5"])
    def test_a_missing_member(self, missing: str, good: Path) -> None:
        path = good.with_name("evil.keras")
        with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
            for member in set(source.namelist()) - {missing}:
                target.writestr(member, source.read(member))
        assert reason(path) == f"It is no Keras file, since it holds no {missing}."

    @pytest.mark.parametrize(
        "text", ["[" * 100_000, '{"a":' * 100_000, "[]", "null", '"text"', "{}", '{"class_name": {}}', "nonsense"]
    )
    def test_nonsense_as_configuration(self, text: str, good: Path) -> None:
        path = good.with_name("evil.keras")
        with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w") as target:
            for member in source.namelist():
                target.writestr(member, text if member == "config.json" else source.read(member))
        assert len(reason(path)) < 500

    def test_keras_gets_a_copy(self, good: Path) -> None:
        """A file that is replaced after the check is not loaded, and the copy is private."""
        with checked_copy(str(good)) as checked:
            good.write_bytes(b"another")
            assert zipfile.ZipFile(checked.path).testzip() is None
            assert Path(checked.path).parent.stat().st_mode & 0o077 == 0
        assert not Path(checked.path).exists()


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_damaged_files(ending: str, tmp_path: Path) -> None:
    """Bytes changed, or the end missing: a sentence, or a network of numbers."""
    path = tmp_path / f"model.{ending}"
    small_model().save(path)
    original = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for turn in range(60):
        data = bytearray(original[: rng.integers(len(original))] if turn % 4 == 0 else original)
        for place in rng.integers(len(data), size=rng.integers(1, 20)) if data and turn % 4 else ():
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            load_network(NetworkOptions(architecture=str(path)))
        except RetrainError as error:
            refused += 1
            assert "\n" not in str(error), str(error)
    assert refused >= 20
