"""Differences that are meant: the table to edit when a change alters a text on purpose."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Intended:
    """A rule that explains lines in which the two checkouts differ.

    Rules are applied, in order, only to lines that differ; what still differs after that is a failure.

    Attributes:
        old: regular expression, searched in a line.
        new: if a text, each match in a line of the OLD checkout is replaced with it, as `re.sub` does; the result must be the
            line of the NEW checkout. If None, matching lines of both checkouts are left out of the comparison.
        reason: why the difference is meant; printed with the number of lines that the rule explained.
        file: pattern of the files, relative to a case's folder, that the rule is for, such as `logs/*.stderr`. The list of the
            files themselves has the name `FILES`; its lines are paths.
        case: pattern of the names of the cases that the rule is for.
    """

    old: str
    new: str | None
    reason: str
    file: str = "*"
    case: str = "*"

    def is_for(self, case: str, file: str) -> bool:
        """Return True if the rule is for this file of this case."""
        return fnmatch.fnmatchcase(case, self.case) and fnmatch.fnmatchcase(file, self.file)

    def apply(self, line: str, of_old: bool) -> str | None:
        """Return the line as the rule leaves it, or None if it is left out."""
        if self.new is None:
            return None if re.search(self.old, line) else line
        return re.sub(self.old, self.new, line) if of_old else line


REPLACED = "EfficientNet-Lite0 replaces Inception where that is not available"
LOGS = "logs/*.stderr"
TABLES = "logs/*.stdout"
EVALUATIONS = "logs/*evaluate*.stdout"
RECORD = "every run writes the record of its split, and the metadata has its digest"
MISTAKES = "the end of a run and evaluations have a table of the classes, and the mistakes"
WARNINGS = "warnings of few test images, of overfitting, and of photos that are left out"
REPORT = "every run writes a report"
PICTURES = "TensorBoard shows pictures of the test, and the bottlenecks"
WORDS = "messages in the singular, and reworded ones"
LEFT_OUT = "evaluations leave out the photos of the training"
OWN_GRAPH = "a graph is known by its content, with its metadata"
COSTS = "sweeps of several networks show times and the Pareto front"

# A line for each difference that is meant.
TABLE: Sequence[Intended] = (
    Intended(r"", None, "texts of --help", case="help", file="logs/*"),
    Intended(r"^Network .*: input .*; bottleneck .*\)\.$", None, "the log says which network is used", LOGS),
    # One cache for one module, by whatever path it is named.
    Intended(r"bottlenecks/.*networks~module_2\.tar\.gz", None, "one module has one cache", "FILES", "hub_modules"),
    Intended(r"bottlenecks made", None, "one module has one cache", "logs/01_archive.stderr", "hub_modules"),
    # Sweeps.
    Intended(r"'n_steps'\]$", "'n_steps', 'network_ms', 'bottleneck_ms', 'pareto_front']", COSTS, "*sweep.csv"),
    Intended(r"(\d)'\]$", r"\1', '<number>', '<number>', '<number>']", COSTS, "*sweep.csv"),
    Intended(r"'2398213'", "'2386737'", "the size is that of the network, not of the exported graph", "alone/sweep.csv"),
    Intended(r"network_bytes", None, "the size is that of the network, not of the exported graph", "alone/summaries/*"),
    Intended(r"network_ms|bottleneck_ms|pareto_front", None, COSTS, "*/summaries/*", "mobilenet"),
    Intended(r"^\|", None, COSTS, TABLES, "mobilenet"),
    Intended(r"--(dropout|optimizer) must be", None, "wrong values are reported together", LOGS, "sweep"),
    # Reworded errors.
    Intended(r"or use inception_v3", "or use efficientnet_lite0, inception_v3", "another network to name", LOGS, "label_image"),
    Intended(r"onnx\. Got", "onnx, separated by spaces or commas. Got", "the separators are named", LOGS, "wrong_commands"),
    Intended(r"unrecognized arguments: (--\w+)=1", r"\1 is no flag", "an unknown flag is named alone", LOGS, "wrong_commands"),
    # The record of the split.
    Intended(r"/\w+_split\.csv$", None, RECORD, "FILES"),
    Intended(r"^(graph: )?retrain_description (split_digest|training_photos): ", None, RECORD),
    Intended(r"^\d+ bytes, SHA-256", None, RECORD, "*.pb"),
    Intended(r"^\d+ bytes, SHA-256", None, RECORD, "*.tflite"),
    Intended(r"^\d+ bytes, SHA-256", None, RECORD, "*.onnx"),
    Intended(r'^\["', None, "the content of bottlenecks without a record is noted", "reference/*/.index_*", "mobilenet"),
    Intended(r'^\["', None, OWN_GRAPH, "bottlenecks/*/.index_own~graph.pb.jsonl", "local_graph"),
    Intended(r"^\d+ bytes, SHA-256|^tensor retrain/identity", None, OWN_GRAPH, "of_own/checkpoint/*", "local_graph"),
    Intended(r"^The set of each image is in ", None, RECORD, LOGS),
    Intended(r"^WARNING: --split_by: not used, since the model's own record", None, RECORD, LOGS),
    # Pages for a person.
    Intended(r"graph_report(\.html$|/)", None, REPORT, "FILES"),
    Intended(r"summaries/test(_classes)?/|(^|/)\.thumbnails\.jpg$", None, PICTURES, "FILES"),
    # Messages in the singular, and reworded ones.
    Intended(r"1 images lie (directly in .*): they are", r"1 image lies \1: it is", WORDS, LOGS),
    Intended(r"^(\d+) of (\d+) photos are turned upright, as their", r"Of \2 photos, \1 are turned upright, as the", WORDS, LOGS),
    Intended(r"^error: Training needs at least two classes\.", None, WORDS, LOGS, "wrong_commands"),
    Intended(
        r"^error: --export tflite would|^--export tflite would|^error: --output_graph is", None, WORDS, LOGS, "wrong_commands"
    ),
    Intended(r"; those (after|of) ", r"; the weights \1 ", WORDS, LOGS),
    Intended(r"^\d+ trainings in ", None, WORDS, LOGS),
    # What the log and evaluations tell of the test.
    Intended(r"^WARNING: (With \d+ test|The head fits|The validation cross|\d+ images are left out)", None, WARNINGS, LOGS),
    Intended(r"^ +images  recall  precision$|^(daisy|dandelion|roses|sunflowers|tulips) +\S", None, MISTAKES, LOGS),
    Intended(r"^label +prediction|^\d+ mistakes?\b|^and \d+ more; ", None, MISTAKES, LOGS),
    Intended(r"^(Accuracy|Cross entropy) =", None, LEFT_OUT, "logs/02_evaluate.stdout", "default"),
    Intended(r"^(Accuracy|Cross entropy) =", None, LEFT_OUT, "logs/12_evaluate.stdout", "label_image"),
    Intended(r"^$|^Confusion matrix|^ +daisy|^(daisy|dandelion|roses|sunflowers|tulips) +", None, MISTAKES, EVALUATIONS),
    Intended(r"^label +prediction|^\d+ mistakes?\b", None, MISTAKES, EVALUATIONS),
    # Another network replaces Inception where that is not available.
    Intended(r"", None, REPLACED, "logs/21_default_network.*", "wrong_commands"),
    Intended(r"", None, REPLACED, "default_network/*", "wrong_commands"),
    Intended(r"^(bottlenecks|models)/", None, REPLACED, "FILES", "wrong_commands"),
)
