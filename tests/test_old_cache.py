"""A cache written by an earlier version is read by this one: the text behind a network's fingerprint never changes.

`tests/old_cache/` was written in November 2026, before the packages were arranged by stage. `photos/` holds six drawn pictures,
`network.pb` a graph trained on `pixels_8`, `module/` a TensorFlow Hub module, and `cache/` the bottlenecks of all of them.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest

import retrain

OLD = Path(__file__).parent / "old_cache"


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy, so that nothing in the repository changes, and the current folder: the names in the cache are relative."""
    shutil.copytree(OLD, tmp_path / "old", copy_function=shutil.copyfile)
    monkeypatch.chdir(tmp_path / "old")
    return tmp_path / "old"


@pytest.mark.parametrize(
    "network",
    [
        {"architecture": "pixels_8"},
        {"architecture": "tiny_resnet_128"},
        {"architecture": "network.pb"},
        {
            "architecture": "network.pb",
            "input_layer": "input",
            "bottleneck_layer": "flattened_pixels",
            "input_mean": 1.0,
            "input_std": 100.0,
        },
        {"tfhub_module": "module"},
    ],
    ids=["pixels", "bundled", "local graph", "local graph with flags", "module"],
)
def test_every_bottleneck_is_read(old: Path, network: dict[str, Any]) -> None:
    result = retrain.run(
        retrain.RetrainConfig(
            image_dir="photos",
            bottleneck_dir="cache",
            testing_percentage=0,
            validation_percentage=0,
            how_many_training_steps=1,
            output_graph="out/graph.pb",
            output_labels="out/labels.txt",
            summaries_dir="out/summaries",
            checkpoint_path="out/checkpoint",
            **network,
        )
    )
    assert (result.n_bottlenecks_made, result.n_bottlenecks_read) == (0, 6)
