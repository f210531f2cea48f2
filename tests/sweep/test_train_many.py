"""Heads trained side by side are those of the command, to the last bit."""

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import retrain
from retrain.backbones.load import load_network
from retrain.bottlenecks.extract import load_bottlenecks
from retrain.config import RetrainConfig
from retrain.data.image_lists import create_image_lists
from retrain.sweep.train_many import SavedBottlenecks, TrainedHead, train_side_by_side
from tests.conftest import ROOT
from tests.support.commands import Outputs

pytestmark = pytest.mark.slow

OPTIONS: list[dict[str, Any]] = [
    {},
    {"learning_rate": 1.0, "l2": 0.001},
    {"optimizer": "adam", "hidden_units": (16,), "dropout": 0.2, "learning_rate_schedule": "cosine"},
    {"early_stopping": 2, "learning_rate": 0.5},
    {"optimizer": "lbfgs", "early_stopping": 3},
]


@pytest.fixture(scope="module")
def config(small_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> RetrainConfig:
    settings = Outputs(tmp_path_factory.mktemp("side_by_side")).settings()
    return RetrainConfig(
        image_dir=str(small_photos),
        architecture="tiny_resnet_128",
        how_many_training_steps=45,
        random_seed=5,
        validation_batch_size=4,
        **settings,
    )


@pytest.fixture(scope="module")
def saved(config: RetrainConfig, tmp_path_factory: pytest.TempPathFactory) -> SavedBottlenecks:
    images = create_image_lists(config, config.like_original)
    bottlenecks = load_bottlenecks(config, images, load_network(config), range(len(images.images)))
    path = tmp_path_factory.mktemp("shared") / "bottlenecks.npy"
    np.save(path, bottlenecks.values)
    return SavedBottlenecks(str(path), images, dict(bottlenecks.failed))


@pytest.fixture(scope="module")
def heads(config: RetrainConfig, saved: SavedBottlenecks) -> list[TrainedHead]:
    options = [dataclasses.replace(config, **changes) for changes in OPTIONS[:-1]]
    together = train_side_by_side(saved, 5, options)
    lbfgs = dataclasses.replace(config, **OPTIONS[-1])
    return [*together, *train_side_by_side(saved, 5, [lbfgs, lbfgs])[1:]]


@pytest.mark.parametrize("place", range(len(OPTIONS)), ids=map(str, OPTIONS))
def test_a_head_is_that_of_the_command(config: RetrainConfig, heads: list[TrainedHead], place: int) -> None:
    if OPTIONS[place].get("optimizer") == "lbfgs":
        pytest.importorskip("scipy", reason="SciPy is not installed")
    result = retrain.run(dataclasses.replace(config, **OPTIONS[place]))
    graph = tf.compat.v1.GraphDef.FromString(Path(result.output_graph).read_bytes())
    constants = [node for node in graph.node if node.op == "Const" and node.name.startswith("final_training_ops/")]
    expected = {tf.make_ndarray(node.attr["value"].tensor).tobytes() for node in constants}
    assert {variable.tobytes() for variable in heads[place].variables} == expected
    test = heads[place].test
    assert test is not None
    assert test.accuracy == result.test_accuracy
    assert heads[place].size == result.n_trained_numbers


def test_heads_differ_and_know_how_long_they_were_trained(heads: list[TrainedHead]) -> None:
    assert len({head.variables[0].tobytes() for head in heads}) == len(OPTIONS)
    assert [head.n_steps for head in heads[:3]] == [45, 45, 45]
    assert 21 <= heads[3].n_steps <= 45
    assert all(head.seconds > 0 for head in heads)
    assert heads[2].size == 512 * 16 + 16 + 16 * 3 + 3


def test_workers_need_no_tensorflow() -> None:
    program = "import sys, retrain.sweep.train_many; print('tensorflow' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
