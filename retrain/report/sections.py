"""The sections of a report: each function makes one, and the template of the same name shows it."""

import dataclasses
import importlib.metadata
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from retrain.backbones.architecture import Architecture
from retrain.config import RetrainConfig
from retrain.evaluation.answers import COLUMNS, Report
from retrain.evaluation.intervals import wilson_interval
from retrain.evaluation.metrics import Evaluation
from retrain.options.command_line import command_line
from retrain.options.images import SPLITS
from retrain.process.timing import machine
from retrain.report.curves import accuracy_chart, loss_chart
from retrain.report.page import Section
from retrain.report.pictures import data_uris
from retrain.result import RetrainResult

# What a page shows at most; the lists in the CSV files are complete.
MOST_MISTAKES, MOST_SKIPPED, MOST_CLASSES, WIDEST_MATRIX, MOST_PAIRS = 60, 100, 200, 30, 30
PACKAGES = ("retrain", "tensorflow", "ai-edge-litert", "numpy", "pillow")
UNITS = {"accuracy": "accuracy", "mAP": "mean average precision"}


def sections_of(config: RetrainConfig, result: RetrainResult, network: Architecture) -> list[Section]:
    """Return all sections of a run's report, in their order; those without content are left out."""
    return [section for section in _all(config, result, network) if section]


def _all(config: RetrainConfig, result: RetrainResult, network: Architecture) -> Iterator[Section | None]:
    yield overview(result)
    if result.report:
        yield mistakes(result.report, config.images_root)
        yield classes(result.report)
        yield confusion(result.report)
    yield learning_curves(result)
    yield skipped(result)
    yield network_section(network, result)
    yield settings(config, result)


def overview(result: RetrainResult) -> Section:
    """Return the accuracy, its interval, and the number of images."""
    values: dict[str, Any] = {
        "result": result,
        "splits": SPLITS,
        "measures": result.test,
        "interval": None,
        "is_multi_label": False,
    }
    if isinstance(result.test, Evaluation):
        values["interval"] = wilson_interval(result.test.n_correct, result.test.count)
    elif result.test:
        values["is_multi_label"] = True
    few = result.report.few_images_warning if result.report else ""
    values["warnings"] = [*filter(None, [few]), *result.warnings]
    return Section("overview", "Result", values)


def mistakes(report: Report, images_root: str) -> Section:
    """Return the misclassified test images as pictures, the worst first, with their paths in `images_root`."""
    found = report.mistakes
    pictures = data_uris([each.path for each in found[:MOST_MISTAKES]])
    paths = [os.path.relpath(each.path, images_root) for each in found[:MOST_MISTAKES]]
    rows = [COLUMNS[:-1], *([each.path, each.label, each.prediction, f"{each.score:.5f}"] for each in found)]
    values = {"shown": list(zip(found, paths, pictures, strict=False)), "count": len(found), "tested": report.measures.count}
    return Section("mistakes", "Misclassified test images", values, {"mistakes": rows})


def classes(report: Report) -> Section:
    """Return number of images, recall and precision of each class; of several labels F1 and average precision too."""
    table = report.class_rows()
    columns = [name for name in table[0] if name != "label"]
    values = {"columns": columns, "rows": report.class_rows(MOST_CLASSES), "count": len(table)}
    rows = [["label", *columns], *([row[name] for name in ("label", *columns)] for row in table)]
    return Section("classes", "Each class", values, {"classes": rows})


def confusion(report: Report) -> Section | None:
    """Return the confusion matrix; of many classes, the pairs that are confused most. None for several labels."""
    measures = report.measures
    if not isinstance(measures, Evaluation):
        return None
    counts, labels = measures.confusion, report.labels
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    pairs = [(labels[row], labels[column], count) for row, column, count in measures.confused_pairs]
    matrix = []
    if len(labels) <= WIDEST_MATRIX:
        matrix = [list(zip(row, share, strict=True)) for row, share in zip(counts.tolist(), shares.tolist(), strict=True)]
    values = {"labels": labels, "matrix": matrix, "pairs": pairs[:MOST_PAIRS], "n_pairs": len(pairs)}
    return Section("confusion", "What is confused", values, {"confusion": [["label", "prediction", "images"], *pairs]})


def learning_curves(result: RetrainResult) -> Section | None:
    """Return the curves of the evaluations during training; None if there were fewer than two."""
    charts = [chart for chart in (accuracy_chart(result.history), loss_chart(result.history)) if chart]
    if not charts:
        return None
    names = [field.name for field in dataclasses.fields(result.history[0])]
    rows = [names, *(["" if value is None else value for value in dataclasses.astuple(each)] for each in result.history)]
    return Section("learning_curves", "Learning curves", {"charts": charts}, {"learning_curves": rows})


def skipped(result: RetrainResult) -> Section | None:
    """Return the images that could not be decoded, with the reasons; None if all could."""
    found = list(result.skipped.items())
    if not found:
        return None
    values = {"shown": found[:MOST_SKIPPED], "count": len(found)}
    return Section("skipped", "Skipped images", values, {"skipped": [["path", "reason"], *found]})


def network_section(network: Architecture, result: RetrainResult) -> Section:
    """Return the pretrained network, where it comes from, and its licence."""
    return Section("network", "Network", {"network": network, "provenance": network.provenance, "result": result})


def settings(config: RetrainConfig, result: RetrainResult) -> Section:
    """Return the command line, the files that were written, the times, the machine and the versions."""
    written = result.files | {"TensorBoard": result.summaries_dir, "bottlenecks": result.bottleneck_dir}
    values = {
        "command": command_line("retrain", config),
        "label": result.labelling_command,
        "written": written,
        "seconds": result.seconds,
        "machine": machine(),
        "versions": _versions(),
    }
    return Section("settings", "How it was made", values)


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def title_of(labels: Sequence[str]) -> str:
    """Return the title of the page."""
    return f"Classifier of {len(labels)} classes"
