"""TensorBoard summaries, read with TensorBoard's own reader."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.summary.writer.record_writer import RecordWriter

from retrain.arrays import FloatArray, IndexArray
from retrain.errors import OutputError
from retrain.evaluation.metrics import softmax
from retrain.head.model import SoftmaxHead
from retrain.head.monitor import Monitor, head_histograms, head_measures
from retrain.options.head import HeadOptions
from retrain.process.timing import Timings
from retrain.tensorboard.events import (
    PROJECTOR_FILES,
    PROJECTOR_MARK,
    SummaryWriter,
    clear_summaries_dir,
    histogram,
    record,
    without_large_constants,
)
from tests.support.stand_ins import tiny_inception_graph
from tests.support.tensorboard import HISTOGRAMS, SCALARS

N_CLASSES, SIZE, N_IMAGES = 3, 7, 20


@pytest.fixture
def head() -> SoftmaxHead:
    rng = np.random.default_rng(0)
    head = SoftmaxHead(SIZE, N_CLASSES, rng)
    head.biases[...] = rng.normal(size=N_CLASSES)
    return head


@pytest.fixture
def batch() -> tuple[FloatArray, IndexArray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(N_IMAGES, SIZE)).astype(np.float32), rng.integers(N_CLASSES, size=N_IMAGES)


def events_in(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"histograms": 0, "scalars": 0})
    events.Reload()
    return events


def write_run(folder: Path, head: SoftmaxHead, batch: tuple[FloatArray, IndexArray], n_steps: int, interval: int) -> None:
    with Monitor(head, lambda: batch, str(folder), Timings()) as monitor:
        monitor.add_graph(tiny_inception_graph())
        for step in range(n_steps):
            if HeadOptions(eval_step_interval=interval, how_many_training_steps=n_steps).is_evaluated(step):
                monitor.evaluate(step, *batch)


@given(st.lists(st.binary(max_size=300), max_size=4))
@settings(max_examples=50, deadline=None)
def test_records_are_those_of_tensorboards_own_writer(contents: list[bytes]) -> None:
    file = io.BytesIO()
    writer = RecordWriter(file)
    for data in contents:
        writer.write(data)
    assert b"".join(record(data) for data in contents) == file.getvalue()


def test_tensorflow_reads_the_records(tmp_path: Path) -> None:
    """It checks both checksums of each."""
    contents = [b"", b"event", bytes(range(256)) * 300]
    (tmp_path / "events").write_bytes(b"".join(record(data) for data in contents))
    assert [each.numpy() for each in tf.data.TFRecordDataset(str(tmp_path / "events"))] == contents


def test_all_of_the_originals_tags_are_there(tmp_path: Path, head: SoftmaxHead, batch: tuple[FloatArray, IndexArray]) -> None:
    write_run(tmp_path, head, batch, n_steps=25, interval=10)
    for folder in ("train", "validation"):
        events = events_in(tmp_path / folder)
        assert set(events.Tags()["scalars"]) == SCALARS
        assert set(events.Tags()["histograms"]) == HISTOGRAMS
        for tag in SCALARS:
            assert [event.step for event in events.Scalars(tag)] == [0, 10, 20, 24]
        for tag in HISTOGRAMS:
            assert [event.step for event in events.Histograms(tag)] == [0, 10, 20, 24]
    assert events_in(tmp_path / "train").Tags()["graph"]


def test_scalars_have_the_values_of_the_head(tmp_path: Path, head: SoftmaxHead, batch: tuple[FloatArray, IndexArray]) -> None:
    write_run(tmp_path, head, batch, n_steps=1, interval=1)
    events = events_in(tmp_path / "train")
    bottlenecks, classes = batch
    probabilities = softmax(bottlenecks @ head.weights + head.biases)
    expected = {
        "accuracy_1": (probabilities.argmax(axis=1) == classes).mean(),
        "cross_entropy_1": -np.log(probabilities[np.arange(N_IMAGES), classes]).mean(),
        "final_training_ops/weights/summaries/mean_1": head.weights.mean(),
        "final_training_ops/weights/summaries/stddev_1": head.weights.std(),
        "final_training_ops/biases/summaries/max_1": head.biases.max(),
        "final_training_ops/biases/summaries/min_1": head.biases.min(),
    }
    found = {tag: events.Scalars(tag)[0].value for tag in expected}
    assert found == pytest.approx(expected, rel=1e-5)
    assert head_measures(head).keys() == SCALARS - {"accuracy_1", "cross_entropy_1"}


def test_histograms_count_every_value(tmp_path: Path, head: SoftmaxHead, batch: tuple[FloatArray, IndexArray]) -> None:
    write_run(tmp_path, head, batch, n_steps=1, interval=1)
    events = events_in(tmp_path / "train")
    counts = {tag: sum(events.Histograms(tag)[0].histogram_value.bucket) for tag in HISTOGRAMS}
    assert counts == {
        "final_training_ops/weights/summaries/histogram": SIZE * N_CLASSES,
        "final_training_ops/biases/summaries/histogram": N_CLASSES,
        "final_training_ops/Wx_plus_b/pre_activations": N_IMAGES * N_CLASSES,
        "activations": N_IMAGES * N_CLASSES,
    }
    activations = events.Histograms("activations")[0].histogram_value
    assert activations.sum == pytest.approx(N_IMAGES, rel=1e-5), "each image's probabilities sum to 1"
    assert 0 <= activations.min <= activations.max <= 1


@given(arrays(np.float32, array_shapes(max_dims=2), elements=st.floats(-(2.0**40), 2.0**40, width=32)))
@settings(deadline=None)
def test_a_histogram_adds_up(values: FloatArray) -> None:
    found, flat = histogram(values), values.astype(np.float64).ravel()
    assert sum(found.bucket) == found.num == values.size
    assert len(found.bucket) == len(found.bucket_limit)
    assert list(found.bucket_limit) == sorted(found.bucket_limit)
    assert (found.min, found.max) == (flat.min(), flat.max())
    assert found.bucket_limit[-1] >= found.max
    assert found.sum == pytest.approx(flat.sum(), rel=1e-9, abs=1e-9 * np.abs(flat).sum())
    assert found.sum_squares == pytest.approx((flat**2).sum(), rel=1e-9)


def test_a_histogram_puts_values_into_their_buckets() -> None:
    values = np.repeat(np.array([0, 1, 3], np.float32), [5, 2, 1])  # 30 buckets of width 0.1
    found = histogram(values)
    limits = {round(limit, 6): count for limit, count in zip(found.bucket_limit, found.bucket, strict=True) if count}
    assert limits == {0.1: 5, 1.1: 2, 3.0: 1}


def test_a_head_that_diverged_can_still_be_shown(head: SoftmaxHead) -> None:
    head.weights[0, 0] = np.inf
    head.weights[1, 1] = np.nan
    assert sum(head_histograms(head)["final_training_ops/weights/summaries/histogram"].bucket) <= SIZE * N_CLASSES


# The graph


def test_the_graph_is_shown_without_its_weights(tmp_path: Path) -> None:
    graph = tiny_inception_graph()
    before = graph.SerializeToString(deterministic=True)
    writer = SummaryWriter(str(tmp_path))
    writer.add_graph(graph)
    writer.close()
    shown = GraphDef.FromString(events_in(tmp_path).Graph().SerializeToString())
    assert [(node.name, node.op, list(node.input)) for node in shown.node] == [
        (node.name, node.op, list(node.input)) for node in graph.node
    ]
    assert len(before) > 100_000
    assert shown.ByteSize() < 20_000
    assert graph.SerializeToString(deterministic=True) == before


def test_small_constants_keep_their_values_and_large_ones_their_shapes() -> None:
    shown = {node.name: node.attr["value"].tensor for node in without_large_constants(tiny_inception_graph()).node}
    assert tf.make_ndarray(shown["ResizeBilinear/size"]).tolist() == [299, 299]
    assert tf.make_ndarray(shown["Sub/y"]) == 128
    kernel = shown["conv/conv2d_params"]
    assert [dim.size for dim in kernel.tensor_shape.dim] == [5, 5, 3, 8]
    assert (kernel.dtype, kernel.tensor_content, list(kernel.float_val)) == (tf.float32.as_datatype_enum, b"", [])


# The folder


def write_events(folder: Path, names: tuple[str, ...] = ("events.out.tfevents.1500000000.host",)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"events")


def all_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_event_files_of_an_earlier_run_are_removed(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    for folder in ("train", "validation"):
        write_events(logs / folder, ("events.out.tfevents.1500000000.host", "events.out.tfevents.1700000000.host.17.0.v2"))
    clear_summaries_dir(str(logs))
    assert logs.is_dir()
    assert all_below(logs) == []


def test_what_a_run_wrote_is_removed_by_the_next(tmp_path: Path, head: SoftmaxHead, batch: tuple[FloatArray, IndexArray]) -> None:
    write_run(tmp_path / "logs", head, batch, n_steps=1, interval=1)
    assert len(all_below(tmp_path / "logs")) == 2  # A file for each set.
    clear_summaries_dir(str(tmp_path / "logs"))
    assert all_below(tmp_path / "logs") == []


@pytest.mark.parametrize("existing", [False, True])
def test_a_new_folder_is_made_and_an_empty_one_kept(existing: bool, tmp_path: Path) -> None:
    logs = tmp_path / "new" / "logs"
    if existing:
        logs.mkdir(parents=True)
    clear_summaries_dir(str(logs))
    assert logs.is_dir()


@pytest.mark.parametrize("foreign", ["thesis.doc", "train/notes.txt", "deep/er/still/model.pb", "tfevents", ".hidden"])
def test_a_folder_with_a_foreign_file_is_refused_and_left_alone(foreign: str, tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    write_events(logs / "train")
    write_events(logs / "validation")
    (logs / foreign).parent.mkdir(parents=True, exist_ok=True)
    (logs / foreign).write_bytes(b"dear to someone")
    before = all_below(tmp_path)
    with pytest.raises(OutputError) as caught:
        clear_summaries_dir(str(logs))
    assert str(caught.value) == (
        f"--summaries_dir {logs} would be emptied, but holds a file that is not TensorBoard's: {logs / foreign}. "
        "Give another folder."
    )
    assert caught.value.exit_code == 2
    assert all_below(tmp_path) == before
    assert (logs / foreign).read_bytes() == b"dear to someone"


def write_projector_files(folder: Path, first_line: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in PROJECTOR_FILES:
        (folder / name).write_text(f"{first_line}\n")


def test_the_projectors_files_of_an_earlier_run_are_removed(tmp_path: Path) -> None:
    write_projector_files(tmp_path / "logs" / "test", PROJECTOR_MARK)
    write_events(tmp_path / "logs" / "test")
    clear_summaries_dir(str(tmp_path / "logs"))
    assert all_below(tmp_path / "logs") == []


@pytest.mark.parametrize("case", ["another's configuration", "no configuration", "another file beside ours"])
def test_the_projectors_files_of_others_are_left_alone(case: str, tmp_path: Path) -> None:
    folder = tmp_path / "logs" / "test"
    write_projector_files(folder, PROJECTOR_MARK if case == "another file beside ours" else "embeddings {")
    if case == "no configuration":
        (folder / "projector_config.pbtxt").unlink()
    if case == "another file beside ours":
        (folder / "checkpoint").write_text("dear to someone")
    before = all_below(tmp_path)
    with pytest.raises(OutputError, match="would be emptied, but holds a file that is not TensorBoard's"):
        clear_summaries_dir(str(tmp_path / "logs"))
    assert all_below(tmp_path) == before


def test_what_links_in_the_folder_lead_to_is_left_alone(tmp_path: Path) -> None:
    write_events(tmp_path / "elsewhere")
    write_events(tmp_path / "logs" / "train")
    os.symlink(tmp_path / "elsewhere", tmp_path / "logs" / "linked")
    clear_summaries_dir(str(tmp_path / "logs"))
    assert all_below(tmp_path / "logs") == []
    assert len(all_below(tmp_path / "elsewhere")) == 1


def test_a_file_in_the_folders_place_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "logs").write_bytes(b"")
    with pytest.raises(OutputError) as caught:
        clear_summaries_dir(str(tmp_path / "logs"))
    assert str(caught.value) == f"--summaries_dir {tmp_path}/logs cannot be emptied and made (File exists)."


def test_a_link_in_the_folders_place_leads_to_the_folder_that_is_emptied(tmp_path: Path) -> None:
    write_events(tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", tmp_path / "logs")
    clear_summaries_dir(str(tmp_path / "logs"))
    assert all_below(tmp_path / "elsewhere") == []
    assert (tmp_path / "logs").is_dir()


@pytest.mark.parametrize("kind", ["normal", "whole numbers", "edges", "far from zero"])
@pytest.mark.parametrize("seed", range(20))
def test_the_buckets_are_those_of_numpy(kind: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(2, 300))
    values = {
        "normal": rng.normal(size=size) * 10.0 ** rng.integers(-20, 20),
        "whole numbers": rng.integers(-5, 6, size),
        "edges": rng.integers(0, 31, size) / 30 * rng.normal(),
        "far from zero": rng.random(size) + 10.0 ** rng.integers(0, 6),
    }[kind].astype(np.float32)
    counts, edges = np.histogram(values.astype(np.float64), bins=30)
    found = histogram(values)
    assert list(found.bucket) == counts.tolist()
    assert list(found.bucket_limit) == edges[1:].tolist()
