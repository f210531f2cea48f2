"""Facts about a classifier for GET /model."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from label_image.opening import Classifier
from label_image.serve.about import about
from tests.support.serving import colours_classifier, mean_colour

LIMITS = {"image_bytes": 33554432, "request_bytes": 67108864, "images": 64}
FACTS: dict[str, Any] = {
    "name": "graph.pb",
    "network": None,
    "labels": ("red", "green", "blue"),
    "multi_label": False,
    "input": {"height": 4, "width": 4},
    "top_k": 5,
    "limits": LIMITS,
}
METRICS: dict[str, Any] = {
    "output_graph": "elsewhere/graph.pb",
    "labels": ["red", "green", "blue"],
    "test": {"accuracy": 0.75, "count": 40},
}


def changed(**changes: Any) -> Classifier:
    classifier = colours_classifier()
    return dataclasses.replace(classifier, description=dataclasses.replace(classifier.description, **changes))


def test_facts_of_a_file(tmp_path: Path) -> None:
    assert about(colours_classifier(), str(tmp_path / "graph.pb"), 5) == FACTS
    assert about(colours_classifier(), f"{tmp_path}/saved/", 1) == {**FACTS, "name": "saved", "top_k": 1}


def test_facts_of_a_network() -> None:
    facts = about(changed(architecture="inception_v3", thresholds=(0.5, 0.5, 0.5)), None, 5)
    assert facts == {**FACTS, "name": "inception_v3", "network": "inception_v3", "multi_label": True}


def test_a_graph_that_decodes_files_has_no_input_size() -> None:
    classifier = dataclasses.replace(colours_classifier(), file_network=lambda: lambda content: mean_colour)  # type: ignore[arg-type, return-value]
    assert about(classifier, "graph.pb", 5) == {**FACTS, "input": None}


def test_the_accuracy_is_that_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    tested = {"test_accuracy": 0.75, "test_images": 40}
    assert about(colours_classifier(), str(tmp_path / "graph.pb"), 5) == {**FACTS, **tested}
    assert about(colours_classifier(), str(tmp_path / "other.pb"), 5) == {**FACTS, "name": "other.pb"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        "[]",
        json.dumps({**METRICS, "labels": ["red", "green", "other"]}),
        json.dumps({**METRICS, "test": None}),
        json.dumps({**METRICS, "test": {"accuracy": "good", "count": 40}}),
        json.dumps({**METRICS, "test": {"accuracy": float("nan"), "count": 40}}),
        json.dumps({**METRICS, "test": {"accuracy": 7.5, "count": 40}}),
        json.dumps({**METRICS, "output_graph": 7}),
    ],
    ids=range(9),
)
def test_measures_of_another_kind_are_ignored(text: str, tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(text)
    assert about(colours_classifier(), str(tmp_path / "graph.pb"), 5) == FACTS
