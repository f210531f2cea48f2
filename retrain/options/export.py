"""Options of the files that a run writes."""

import os
import re
from dataclasses import dataclass
from typing import Any

from retrain.options.export_formats import EXPORTS, export_problems
from retrain.options.flags import Options, cross_check, flag
from retrain.options.groups import ADVANCED, OUTPUT

# TensorFlow's own rule for names of operations, without the backslash, which it refuses when it loads the graph.
NODE_NAME_PATTERN = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_./-]*")
# Endings by which other programs, and label_image, know other kinds of models; and the format of --export, if there is one.
NO_GRAPHS = {".tflite": "tflite", ".onnx": "onnx", ".keras": "", ".h5": "", ".hdf5": ""}
AUTO_RUN_DIR, RUNS_DIR = "auto", "runs"  # The latter is where the former makes a folder.


def _same(path: str, other: str) -> bool:
    return os.path.abspath(path) == os.path.abspath(other)


def _is_path_or_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and "\0" not in value)


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Options, group=OUTPUT):
    """Options of the files that a run writes: the graph, the labels, and the formats for other runtimes."""

    run_dir: str | None = flag(
        "New folder for everything that the run writes: graph, labels, report, metrics, settings, summaries, checkpoint; auto "
        "makes runs/<date>-<number>, and a file that has a flag of its own, such as --output_graph, goes where that says.",
        None,
        empty_is_none=True,
        shown_default="each file at its own place",
        path="FOLDER",
    )
    output_graph: str = flag("Where to write the trained graph.", "/tmp/output_graph.pb", path="FILE")
    output_labels: str = flag("Where to write the labels, one per line.", "/tmp/output_labels.txt", path="FILE")
    final_tensor_name: str = flag("Name of the output in the exported graph.", "final_result", group=ADVANCED)
    intermediate_output_graphs_dir: str = flag(
        "Where to write the intermediate graphs.", "/tmp/intermediate_graph/", path="FOLDER", group=ADVANCED
    )
    intermediate_store_frequency: int = flag(
        "Write an intermediate graph every this many steps; 0 writes none.", 0, low=0, group=ADVANCED
    )
    saved_model_dir: str | None = flag(
        "Where to write a SavedModel too: a folder that does not exist yet.",
        None,
        empty_is_none=True,
        shown_default="no SavedModel",
        path="FOLDER",
    )
    export: tuple[str, ...] = flag(
        "More formats to write beside --output_graph, for other runtimes, each compared with the graph.",
        (),
        choices=EXPORTS,
        shown_default="none",
    )

    report: str | None = flag(
        "Where to write the report of the run, a page with accuracy, mistakes as pictures, curves and settings, and its lists "
        "as CSV in a folder of the same name; an empty text writes none.",
        None,
        is_allowed=_is_path_or_empty,
        range_text="a path, or an empty text",
        shown_default="beside the graph: flowers_report.html of flowers.pb",
        path="FILE",
    )

    @property
    def output_split(self) -> str:
        """Where the record of the split is written: beside the graph, as `retrained_split.csv` of `retrained_graph.pb`."""
        return f"{self._beside_the_graph}_split.csv"

    @property
    def output_report(self) -> str | None:
        """Where the report is written: beside the graph if it is placed nowhere else; None if it is not wanted."""
        return f"{self._beside_the_graph}_report.html" if self.report is None else self.report or None

    @property
    def _beside_the_graph(self) -> str:
        return os.path.splitext(self.output_graph)[0].removesuffix("_graph")

    @cross_check("final_tensor_name")
    def _final_tensor_name_is_a_node_name(self) -> str | None:
        if NODE_NAME_PATTERN.fullmatch(self.final_tensor_name):
            return None
        return (
            "--final_tensor_name must be letters, digits and _ . - / and begin with a letter, a digit or a dot. "
            f"Got {self.final_tensor_name}."
        )

    @cross_check("output_graph")
    def _graph_is_named_as_one(self) -> str | None:
        ending = os.path.splitext(self.output_graph)[1].lower()
        if ending not in NO_GRAPHS:
            return None
        cure = (
            f"add --export {NO_GRAPHS[ending]} to write such a file beside it"
            if NO_GRAPHS[ending]
            else "such a file is not written"
        )
        return f"--output_graph is a frozen graph, and must not end in {ending}: {cure}. Got {self.output_graph}."

    @cross_check("output_graph", "output_labels")
    def _graph_and_labels_are_two_files(self) -> str | None:
        if self.output_graph != self.output_labels:
            return None
        return f"--output_graph and --output_labels must be different files. Got {self.output_graph} for both."

    @cross_check("output_graph", "output_labels")
    def _split_and_labels_are_two_files(self) -> str | None:
        if self.output_split != self.output_labels:
            return None
        return f"--output_labels must be another file than {self.output_split}, where the split is written beside --output_graph."

    @cross_check("output_graph", "output_labels", "report")
    def _report_is_a_file_of_its_own(self) -> str | None:
        others = {"output_graph": self.output_graph, "output_labels": self.output_labels}
        same = [name for name, path in others.items() if self.output_report and _same(path, self.output_report)]
        return f"--report and --{same[0]} must be different files. Got {self.output_report} for both." if same else None

    @cross_check("export", "output_graph", "output_labels")
    def _exports_overwrite_nothing(self) -> str | None:
        return export_problems(self.export, self.output_graph, self.output_labels)
