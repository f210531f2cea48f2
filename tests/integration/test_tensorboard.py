"""A real TensorBoard on the summaries of a real run: what it serves, and what a browser shows of it."""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import tensorflow as tf
from google.protobuf import text_format

from tests.integration.conftest import InceptionRun
from tests.support.browser import chromium
from tests.support.commands import read_graph, step_lines
from tests.support.tensorboard import HISTOGRAMS, SCALARS, serving_tensorboard, wait_for, wait_for_page

pytestmark = pytest.mark.slow

N_CLASSES, BATCH = 3, 100


@pytest.fixture(scope="module")
def tensorboard(inception_run: InceptionRun, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the address of `tensorboard --logdir …` on the run's summaries, ending in a slash."""
    log = tmp_path_factory.mktemp("tensorboard") / "log.txt"
    with serving_tensorboard(inception_run.training.outputs.summaries, log) as url:
        wait_for(lambda: _get(url, "scalars/tags").keys() >= {"train", "validation"}, log)
        yield url


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium without a window, with a profile of its own, driven through selenium."""
    with chromium(tmp_path_factory.mktemp("chromium")) as window:
        yield window


class TestServer:
    def test_has_both_sets_with_the_originals_scalars(self, tensorboard: str) -> None:
        tags = _get(tensorboard, "scalars/tags")
        assert {run: set(tags[run]) for run in ("train", "validation")} == {"train": SCALARS, "validation": SCALARS}
        assert sorted(tags) == ["test", "test_classes", "train", "validation"]

    def test_serves_the_accuracies_that_the_log_says(self, tensorboard: str, inception_run: InceptionRun) -> None:
        for run, measure in (("train", "train"), ("validation", "validation")):
            served = _get(tensorboard, "scalars/scalars", run=run, tag="accuracy_1")
            logged = [(line.step, line.value) for line in step_lines(inception_run.training.log) if line.measure == measure]
            assert [step for _, step, _ in served] == [0, 10, 20, 24]
            assert [(step, round(100 * value, 1)) for _, step, value in served] == logged

    def test_serves_the_cross_entropy_that_the_log_says(self, tensorboard: str, inception_run: InceptionRun) -> None:
        served = _get(tensorboard, "scalars/scalars", run="train", tag="cross_entropy_1")
        logged = [line.value for line in step_lines(inception_run.training.log) if line.measure == "entropy"]
        assert [value for _, _, value in served] == pytest.approx(logged, abs=1e-6)

    def test_measures_of_the_head_move_as_it_learns(self, tensorboard: str) -> None:
        """Biases begin at zero, and gradient descent on the cross entropy keeps their sum there."""
        prefix = "final_training_ops/biases/summaries"
        series = {name: _get(tensorboard, "scalars/scalars", run="train", tag=f"{prefix}/{name}_1") for name in ("max", "mean")}
        assert series["max"][-1][2] > 0
        assert [value for _, _, value in series["mean"]] == pytest.approx([0] * 4, abs=1e-6)

    def test_has_the_originals_histograms(self, tensorboard: str) -> None:
        tags = _get(tensorboard, "histograms/tags")
        assert {run: set(of_run) for run, of_run in tags.items()} == {"train": HISTOGRAMS, "validation": HISTOGRAMS}

    @pytest.mark.parametrize(
        ("tag", "count"),
        [
            ("final_training_ops/weights/summaries/histogram", 2048 * N_CLASSES),
            ("final_training_ops/biases/summaries/histogram", N_CLASSES),
            ("final_training_ops/Wx_plus_b/pre_activations", BATCH * N_CLASSES),
            ("activations", BATCH * N_CLASSES),
        ],
    )
    def test_histograms_count_every_value(self, tensorboard: str, tag: str, count: int) -> None:
        served = _get(tensorboard, "histograms/histograms", run="train", tag=tag)
        assert [step for _, step, _ in served] == [0, 10, 20, 24]
        for _, _, buckets in served:
            assert sum(number for _, _, number in buckets) == pytest.approx(count)

    def test_activations_are_probabilities(self, tensorboard: str) -> None:
        for _, _, buckets in _get(tensorboard, "histograms/histograms", run="validation", tag="activations"):
            assert buckets[0][0] >= 0 and buckets[-1][1] <= 1 + 1e-6

    def test_serves_the_exported_graph_without_its_weights(self, tensorboard: str, inception_run: InceptionRun) -> None:
        served = _fetch(tensorboard, "data/plugin/graphs/graph", run="train")
        shown = text_format.Parse(served, tf.compat.v1.GraphDef())
        exported = read_graph(inception_run.training.outputs.graph)
        names = [node.name for node in shown.node]
        assert [name for name in ("Mul", "pool_3/_reshape", "final_result") if name not in names] == []
        assert [(node.name, list(node.input)) for node in shown.node] == [(node.name, list(node.input)) for node in exported.node]
        assert shown.ByteSize() < exported.ByteSize() / 5  # The file is nearly all weights.


class TestBrowser:
    def test_draws_the_graph(self, browser: Any, tensorboard: str, tmp_path: Path) -> None:
        browser.get(f"{tensorboard}#graphs")
        wait_for_page(browser, {"final_result", "final_training_ops", "pool_3", "Mul"}, 0, tmp_path / "graphs.png")

    def test_plots_the_accuracy(self, browser: Any, tensorboard: str, tmp_path: Path) -> None:
        browser.get(f"{tensorboard}#scalars")
        browser.refresh()  # A change of the address's fragment alone loads no page.
        # In each of the two first plots a line for each set, as it is and smoothed; the axis of steps reaches the last one.
        texts = {"accuracy_1", "cross_entropy_1", "train", "validation", "24"}
        wait_for_page(browser, texts, 8, tmp_path / "scalars.png")


def _get(url: str, route: str, **query: str) -> Any:
    return json.loads(_fetch(url, f"data/plugin/{route}", **query))


def _fetch(url: str, route: str, **query: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}{route}?{urlencode(query)}", timeout=30) as response:
        return str(response.read().decode())
