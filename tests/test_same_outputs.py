"""Tests of `benchmarks.same_outputs`: what it reports, and what it leaves out."""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from benchmarks.same_outputs.cases import all_cases
from benchmarks.same_outputs.compare import FILES, Comparison, compare_folders
from benchmarks.same_outputs.describe import Side
from benchmarks.same_outputs.intended import TABLE, Intended

LOG = "2026-01-02 03:04:05.678901: Step 10: Train accuracy = 97.0%\nTime: bottlenecks 2.192 s (137 images/s), export 24 ms.\n"
EVENTS = "summaries/train/events.out.tfevents.0"
Sides = tuple[Side, Side]


def write_events(folder: Path, accuracy: float = 0.5, largest: float = 3.0, name: str = "1", wall_time: float = 1.0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    values = [
        Summary.Value(tag="accuracy_1", simple_value=accuracy),
        Summary.Value(tag="activations", histo=HistogramProto(max=largest, bucket_limit=[largest], bucket=[2])),
    ]
    with open(folder / f"events.out.tfevents.{name}.host", "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(step=10, wall_time=wall_time, summary=Summary(value=values)).SerializeToString())
        writer.flush()


def write_checkpoint(prefix: Path, weight: float = 0.25) -> None:
    prefix.parent.mkdir(parents=True, exist_ok=True)
    weights = np.arange(12, dtype=np.float32)
    weights[7] = weight
    tensors = {"weights": weights, "global_step": np.int64(60)}
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=["", ""],
        tensors=[tf.constant(t) for t in tensors.values()],
    )


def write_graph(path: Path, value: float = 1.0, text: str = "{}") -> None:
    with tf.Graph().as_default() as graph:
        tf.constant(np.full(100, value, np.float32), name="weights")
        tf.constant(text, name="description")
    path.write_bytes(graph.as_graph_def().SerializeToString(deterministic=True))


@pytest.fixture
def sides(tmp_path: Path) -> Sides:
    """Two checkouts' outputs that are the same, but for names of event files, times and paths."""
    made = tuple(Side(tmp_path / name / "case", tmp_path / f"checkout_{name}") for name in ("old", "new"))
    for number, side in enumerate(made):
        (side.folder / "logs").mkdir(parents=True)
        (side.folder / "empty").mkdir()
        log = f"{LOG}Read from {side.folder}/bottlenecks by {side.checkout}/retrain.\n"
        (side.folder / "logs" / "00_first.stderr").write_text(log.replace("2.192", f"{number}.5").replace("137", str(number)))
        (side.folder / "labels.txt").write_text("daisy\nroses\n")
        (side.folder / "graph.tflite").write_bytes(bytes(range(200)))
        (side.folder / "sweep.csv").write_text(f"trial,training_seconds,test_accuracy\n0,{number}.25,0.5\n")
        (side.folder / "times.json").write_text(json.dumps({"count": 3, "seconds": number + 0.125, "per_second": 7.0}, indent=1))
        (side.folder / "bottleneck.txt").write_text(",".join(str(value / 7) for value in range(500)))
        write_graph(side.folder / "graph.pb")
        write_checkpoint(side.folder / "checkpoint" / "head")
        write_events(side.folder / "summaries" / "train", name=str(number), wall_time=number)
    return made[0], made[1]


def compared(sides: Sides, table: Sequence[Intended] = ()) -> Comparison:
    return compare_folders("case", *sides, table)


def replace(path: Path, pattern: str, replacement: str) -> None:
    before = path.read_text()
    after = re.sub(pattern, replacement, before, count=1)
    assert after != before
    path.write_text(after)


def test_times_paths_and_names_of_event_files_are_no_difference(sides: Sides) -> None:
    comparison = compared(sides)
    assert comparison.differences == {}
    assert comparison.n_files == 11


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("graph.tflite", lambda path: path.write_bytes(bytes([*range(199), 0]))),
        ("labels.txt", lambda path: replace(path, "roses", "rose")),
        ("labels.txt", lambda path: path.write_text("daisy\nroses")),
        ("bottleneck.txt", lambda path: replace(path, "0.142857", "0.142858")),
        ("sweep.csv", lambda path: replace(path, "0.5$", "0.6")),
        ("times.json", lambda path: replace(path, '"count": 3', '"count": 4')),
        ("logs/00_first.stderr", lambda path: replace(path, "97.0%", "97.1%")),
        ("logs/00_first.stderr", lambda path: replace(path, "Read from", "Taken from")),
        ("graph.pb", lambda path: write_graph(path, value=1.0000001)),
        ("graph.pb", lambda path: write_graph(path, text="{ }")),
        ("checkpoint/head.index", lambda path: write_checkpoint(path.with_suffix(""), weight=0.25000003)),
        (EVENTS, lambda path: write_events(path.parent, accuracy=0.50000006)),
        (EVENTS, lambda path: write_events(path.parent, largest=3.0000000000000004)),
    ],
)
def test_a_changed_value_is_reported(sides: Sides, file: str, change: Callable[[Path], None]) -> None:
    change(sides[1].folder / file)
    differences = compared(sides).differences
    assert file in differences
    assert set(differences) <= {file, "checkpoint/head.data-00000-of-00001"}


def test_the_tensor_that_changed_is_named(sides: Sides) -> None:
    write_checkpoint(sides[1].folder / "checkpoint" / "head", weight=9.0)
    diff = "\n".join(compared(sides).differences["checkpoint/head.index"])
    assert "-tensor weights: float32" in diff and "tensor global_step: int64 () 60" in diff


@pytest.mark.parametrize("place", [0, 1])
def test_a_file_that_only_one_side_has_is_reported(sides: Sides, place: int) -> None:
    (sides[place].folder / "labels.txt").unlink()
    [line] = [line for line in compared(sides).differences[FILES] if "labels.txt" in line]
    assert line == "+-"[place] + "labels.txt"


def test_a_missing_event_file_and_an_empty_folder_are_reported(sides: Sides) -> None:
    next((sides[1].folder / "summaries" / "train").iterdir()).unlink()
    (sides[1].folder / "empty").rmdir()
    lines = compared(sides).differences[FILES]
    assert {f"-{EVENTS}", "-empty/", "+summaries/train/"} <= set(lines)


def test_a_reworded_line_is_explained_and_counted(sides: Sides) -> None:
    replace(sides[1].folder / "logs" / "00_first.stderr", "Read from", "Loaded from")
    table = (
        Intended("never", "there", "unused"),
        Intended("^Read from", "Loaded from", "rewording", file="logs/*"),
        Intended("^Step", "Schritt", "for another case", case="other"),
    )
    comparison = compared(sides, table)
    assert comparison.differences == {}
    assert {place: count for place, count in comparison.explained.items() if count} == {1: 1}


def test_a_rule_does_not_hide_another_difference_of_its_line(sides: Sides) -> None:
    replace(sides[1].folder / "logs" / "00_first.stderr", "Read from <?", "Loaded from all of ")
    table = [Intended("^Read from", "Loaded from", "rewording")]
    assert list(compared(sides, table).differences) == ["logs/00_first.stderr"]


def test_lines_and_files_that_are_left_out_on_both_sides(sides: Sides) -> None:
    log = sides[1].folder / "logs" / "00_first.stderr"
    log.write_text("A new line.\n" + log.read_text())
    (sides[1].folder / "report.html").write_text("new")
    table = [Intended("^A new line", None, "new line"), Intended(r"^report\.html$", None, "new file", file=FILES)]
    comparison = compared(sides, table)
    assert comparison.differences == {}
    assert comparison.explained == {0: 1, 1: 1}


def test_only_help_and_the_replaced_network_are_left_out_altogether() -> None:
    left_out = [(rule.case, rule.file) for rule in TABLE if re.search(rule.old, "any line at all") and rule.new is None]
    replaced = ("logs/21_default_network.*", "default_network/*")
    assert left_out == [("help", "logs/*"), *(("wrong_commands", file) for file in replaced)]


def test_names_of_cases_and_of_their_commands_differ() -> None:
    cases = all_cases(with_mobilenet=True)
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        names = [command.name for command in case.commands]
        assert len(set(names)) == len(names) or case.name == "caches"
