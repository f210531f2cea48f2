"""Costs of real networks: measured once each, with the network alone on one image."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from retrain.arrays import FloatArray
from retrain.backbones.backbone import Backbone
from retrain.backbones.load import load_network
from retrain.config import RetrainConfig
from retrain.sweep.cost import N_MEASURED, N_WARM_UP, NetworkCosts, milliseconds, network_key


@pytest.fixture
def config(small_photos: Path) -> RetrainConfig:
    return RetrainConfig(image_dir=str(small_photos), architecture="pixels_28")


@pytest.fixture
def shown(config: RetrainConfig) -> tuple[Backbone, list[FloatArray]]:
    """Return a network, and the list of the batches that it is run with."""
    backbone, batches = load_network(config), []

    def run(images: FloatArray) -> FloatArray:
        batches.append(images)
        return np.zeros((len(images), 1), np.float32)

    backbone.__dict__["run"] = run  # Where the cached property keeps its value.
    return backbone, batches


def test_a_network_is_measured_once_on_one_image(config: RetrainConfig, shown: tuple[Backbone, list[FloatArray]]) -> None:
    backbone, batches = shown
    costs = NetworkCosts(is_timed=True)
    cost = costs.of(config, backbone)
    assert cost.size == backbone.size
    assert cost.ms is not None and cost.ms > 0
    assert len(batches) == N_WARM_UP + N_MEASURED
    assert {batch.shape for batch in batches} == {(1, 28, 28, 3)}
    assert 0 <= batches[0].min() < batches[0].max() <= 1, "pixels of all grey levels, as this network takes them"
    assert costs.of(dataclasses.replace(config, learning_rate=1.0)) is cost
    assert len(batches) == N_WARM_UP + N_MEASURED


def test_without_times_a_network_is_not_run(config: RetrainConfig, shown: tuple[Backbone, list[FloatArray]]) -> None:
    backbone, batches = shown
    assert NetworkCosts(is_timed=False).of(config, backbone).ms is None
    assert batches == []


def test_a_real_network() -> None:
    backbone = load_network(RetrainConfig(image_dir="photos", architecture="tiny_resnet_128"))
    assert milliseconds(backbone, np.zeros((1, 128, 128, 3), np.float32)) > 0


def test_trials_of_one_network_have_one_key(config: RetrainConfig) -> None:
    assert network_key(dataclasses.replace(config, l2=1.0, bottleneck_dir="elsewhere")) == network_key(config)
    assert network_key(dataclasses.replace(config, architecture="pixels_29")) != network_key(config)
