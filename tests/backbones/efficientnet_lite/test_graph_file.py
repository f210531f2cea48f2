"""The frozen graph in the model folder."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from retrain.backbones.efficientnet_lite.graph_file import graph_bytes, made_graph
from retrain.backbones.efficientnet_lite.variants import VARIANTS
from retrain.errors import ModelUnavailableError

LITE0 = VARIANTS["efficientnet_lite0"]
NOT_INSTALLED = dataclasses.replace(LITE0, package="no_such_package")


@pytest.fixture(scope="module")
def graph() -> bytes:
    return made_graph(LITE0)


def test_the_graph_is_kept_and_then_needs_no_package(graph: bytes, tmp_path: Path) -> None:
    models = tmp_path / "new" / "models"
    assert graph_bytes(LITE0, str(models)) == graph
    assert [path.name for path in models.iterdir()] == ["efficientnet_lite0.pb"]
    assert (models / "efficientnet_lite0.pb").read_bytes() == graph
    assert graph_bytes(NOT_INSTALLED, str(models)) == graph


def flipped(data: bytes) -> bytes:
    return data[:-1000] + bytes([data[-1000] ^ 1]) + data[-999:]


@pytest.mark.parametrize("damage", [flipped, lambda data: data[:-1], lambda data: b""], ids=["a bit", "cut off", "empty"])
def test_a_damaged_file_is_replaced(graph: bytes, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    kept = tmp_path / "efficientnet_lite0.pb"
    kept.write_bytes(damage(graph))
    with pytest.raises(ModelUnavailableError, match="which is not installed"):
        graph_bytes(NOT_INSTALLED, str(tmp_path))
    assert graph_bytes(LITE0, str(tmp_path)) == graph
    assert kept.read_bytes() == graph


def test_a_folder_that_cannot_be_written_to(graph: bytes, tmp_path: Path, logged: list[str]) -> None:
    (tmp_path / "models").write_text("a file")
    assert graph_bytes(LITE0, str(tmp_path / "models")) == graph
    assert logged == [f"DEBUG: {tmp_path / 'models' / 'efficientnet_lite0.pb'} is not kept (File exists)."]


def test_a_folder_in_the_place_of_the_file(graph: bytes, tmp_path: Path) -> None:
    (tmp_path / "efficientnet_lite0.pb").mkdir()
    assert graph_bytes(LITE0, str(tmp_path)) == graph
