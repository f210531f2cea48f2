"""The default architecture: a stand-in with the awkward parts of the 2015 archive, from a server, to a labelled photo."""

import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.conftest import SMALL_CLASSES, RunCli
from tests.integration.conftest import InceptionRun
from tests.support.commands import (
    FINAL_WEIGHTS,
    assert_succeeded,
    bottleneck_counts,
    constant,
    final_test_accuracy,
    read_graph,
    step_lines,
)
from tests.support.stand_ins import ARCHIVE, BOTTLENECK_SIZE, GRAPH_FILE, run_in_v1_session, tiny_inception_graph

pytestmark = pytest.mark.slow

# What the original's users have to pass for its Inception graphs.
ORIGINAL_FLAGS = (
    "--input_layer=Mul",
    "--output_layer=final_result",
    "--input_height=299",
    "--input_width=299",
    "--input_mean=128",
    "--input_std=128",
)


@pytest.fixture(scope="module")
def photo(small_photos: Path) -> Path:
    return sorted((small_photos / "green rings").iterdir())[0]


@pytest.fixture(scope="module")
def bare_labelling(inception_run: InceptionRun, photo: Path, run_cli: RunCli) -> str:
    """Return the output of the shortest of all commands."""
    return _label(run_cli, inception_run, photo)


class TestTraining:
    def test_completes_in_the_originals_form(self, inception_run: InceptionRun) -> None:
        log = inception_run.training.log
        assert bottleneck_counts(log) == (75, 0)
        assert [line.step for line in step_lines(log) if line.measure == "train"] == [0, 10, 20, 24]
        assert final_test_accuracy(log)[1] == 9
        [warning] = [line for line in log.splitlines() if line.startswith("WARNING")]
        assert warning.startswith("WARNING: With 9 test images, the accuracy on other images lies between ")

    def test_caches_2048_values_for_each_photo(self, inception_run: InceptionRun) -> None:
        files = list(inception_run.training.outputs.bottlenecks.glob("*/*_inception_v3.txt"))
        assert len(files) == 75
        assert {len(path.read_text(encoding="ascii").split(",")) for path in files} == {BOTTLENECK_SIZE}

    def test_bottlenecks_are_those_that_the_archives_graph_gives_one_by_one(
        self, inception_run: InceptionRun, photo: Path
    ) -> None:
        """The graph itself decodes and resizes, in a session with its batch of 1, as the original's users run it."""
        path = inception_run.training.outputs.bottlenecks / photo.parent.name / f"{photo.name}_inception_v3.txt"
        cached = np.array(path.read_text(encoding="ascii").split(","), np.float32)
        feeds = {"DecodeJpeg/contents:0": photo.read_bytes()}
        expected = run_in_v1_session(tiny_inception_graph(), feeds, "pool_3/_reshape:0")[0]
        np.testing.assert_allclose(cached, expected, rtol=0, atol=1e-4)

    def test_same_seed_gives_the_same_head(self, inception_run: InceptionRun) -> None:
        graphs = [read_graph(run.outputs.graph) for run in (inception_run.training, inception_run.again)]
        first, second = (constant(graph, FINAL_WEIGHTS) for graph in graphs)
        assert first.tobytes() == second.tobytes()


class TestArchive:
    def test_is_fetched_once_for_two_runs(self, inception_run: InceptionRun) -> None:
        assert inception_run.requests == (f"/{ARCHIVE}",)
        line = f"Downloading {inception_run.url}{ARCHIVE} to {inception_run.model_dir / ARCHIVE}\n"
        assert inception_run.training.log.startswith(line)
        assert "Downloading" not in inception_run.again.log

    def test_only_the_graph_is_unpacked(self, inception_run: InceptionRun) -> None:
        assert {path.name for path in inception_run.model_dir.rglob("*")} == {ARCHIVE, GRAPH_FILE}


class TestGraph:
    def test_keeps_the_places_to_feed(self, inception_run: InceptionRun) -> None:
        names = [node.name for node in read_graph(inception_run.training.outputs.graph).node]
        wanted = ["DecodeJpeg/contents", "Mul", "pool_3/_reshape", "input/BottleneckInputPlaceholder", "final_result"]
        assert [name for name in wanted if name not in names] == []

    def test_holds_the_archives_nodes_unchanged_but_not_its_classifier(self, inception_run: InceptionRun) -> None:
        exported, archive = read_graph(inception_run.training.outputs.graph), tiny_inception_graph()
        ours = {node.name: node for node in exported.node}
        network = [node for node in archive.node if not node.name.startswith("softmax")]
        assert all(
            ours[node.name].SerializeToString(deterministic=True) == node.SerializeToString(deterministic=True)
            for node in network
        )
        assert not any(name.startswith("softmax") for name in ours)
        assert exported.versions.producer == archive.versions.producer == 8
        # `softmax`, its MatMul and BiasAdd are gone; the head's own three operations and its reads are there.
        assert Counter(node.op for node in exported.node)["Softmax"] == 1

    def test_describes_itself(self, inception_run: InceptionRun) -> None:
        described = _description(inception_run)
        assert described["labels"] == sorted(SMALL_CLASSES)
        assert (described["architecture"], described["note"]) == ("inception_v3", "")
        assert (described["input_tensor"], described["output_tensor"]) == ("Mul:0", "final_result:0")
        assert [described[name] for name in ("input_height", "input_width", "input_mean", "input_std")] == [299, 299, 128, 128]


class TestLabelling:
    def test_prints_the_originals_lines(self, bare_labelling: str) -> None:
        assert re.fullmatch(r"Evaluation time \(1-image\): \d+\.\d{3}s\n\n([a-z ]+ \(score=\d\.\d{5}\)\n){3}", bare_labelling)
        scores = _scores(bare_labelling)
        assert scores.keys() == SMALL_CLASSES.keys()
        assert list(scores.values()) == sorted(scores.values(), reverse=True)
        assert sum(scores.values()) == pytest.approx(1, abs=3e-5)
        assert max(scores.values()) - min(scores.values()) > 0.01  # The next tests compare something.

    def test_the_originals_flags_print_the_same_scores(
        self, bare_labelling: str, inception_run: InceptionRun, photo: Path, run_cli: RunCli
    ) -> None:
        printed = _label(run_cli, inception_run, photo, *ORIGINAL_FLAGS)
        assert printed.splitlines()[1:] == bare_labelling.splitlines()[1:]  # All but the time.

    def test_the_graphs_own_decoder_gives_the_same_scores(
        self, bare_labelling: str, inception_run: InceptionRun, photo: Path, run_cli: RunCli
    ) -> None:
        scores = _scores(_label(run_cli, inception_run, photo, "--input_layer", "DecodeJpeg/contents"))
        assert scores == pytest.approx(_scores(bare_labelling), abs=1e-4)

    def test_another_mean_gives_other_scores(
        self, bare_labelling: str, inception_run: InceptionRun, photo: Path, run_cli: RunCli
    ) -> None:
        """So that the agreement above says something; and a flag that is given wins, 0 too."""
        scores = _scores(_label(run_cli, inception_run, photo, "--input_mean=0"))
        assert scores != pytest.approx(_scores(bare_labelling), abs=1e-3)


def _description(run: InceptionRun) -> dict[str, object]:
    [node] = [node for node in read_graph(run.training.outputs.graph).node if node.name == "retrain_description"]
    described: dict[str, object] = json.loads(tf.make_ndarray(node.attr["value"].tensor).item())
    return described


def _label(run_cli: RunCli, run: InceptionRun, photo: Path, *more: str) -> str:
    process = run_cli("label_image", "--graph", run.training.outputs.graph, "--image", photo, *more)
    assert_succeeded(process)
    assert process.stderr == ""
    return process.stdout


def _scores(printed: str) -> dict[str, float]:
    return {label: float(score) for label, score in re.findall(r"(?m)^(.+) \(score=(\d\.\d{5})\)$", printed)}
