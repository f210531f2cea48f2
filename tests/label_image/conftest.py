"""Graphs and photos for the tests of labelling."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrain.backbones.backbone import load_backbone
from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.backbones.published import BUNDLED, INCEPTION
from tests.support.labelling import write_trained
from tests.support.stand_ins import tiny_inception_graph


@pytest.fixture(scope="module")
def bundled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the bundled network with a head. It has a description."""
    architecture = find_architecture(BUNDLED)
    backbone = load_backbone(architecture, read_graph_file(architecture, ""))
    return write_trained(tmp_path_factory.mktemp("bundled"), backbone)


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small Inception with a head. It has a description."""
    backbone = load_backbone(find_architecture(INCEPTION), tiny_inception_graph().SerializeToString())
    return write_trained(tmp_path_factory.mktemp("inception"), backbone)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures of different colours: 0.png, 1.jpg, 2.gif, 3.bmp in a folder below, and 4.JPG."""
    folder = tmp_path_factory.mktemp("to label")
    (folder / "below").mkdir()
    for i, name in enumerate(["0.png", "1.jpg", "2.gif", "below/3.bmp", "4.JPG"]):
        pixels = np.random.default_rng(i).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((60, 45)).save(folder / name)
    return folder
