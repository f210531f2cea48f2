"""docs/tutorial.ipynb runs from the first cell to the last, and finds what it says it finds."""

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.conftest import ROOT

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"
# After the last cell, what the variables hold.
STATE = """
import json
print(json.dumps({
    "confusion": result.test.confusion.tolist(),
    "labels": result.labels,
    "training": [each.train_accuracy for each in results.values()],
    "chosen": max(each.validation_accuracy for each in results.values()) == result.validation_accuracy,
    "mistakes": [[Path(answer.path).name, answer.label, answer.prediction] for answer in result.report.mistakes],
    "found": found.label,
    "first_label": result.report.answers[0].label,
    "written": sorted(str(path) for path in Path("runs").glob("*/retrained_graph.pb")),
}))
"""


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.mark.slow
def test_it_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = read()
    notebook.cells.append(nbformat.v4.new_code_cell(STATE))
    # As Jupyter does: the notebook's own folder is the current one. An error in a cell raises.
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    state = json.loads(notebook.cells.pop().outputs[-1].text)
    assert state["labels"] == ["daisy", "dandelion", "roses", "sunflowers", "tulips"]
    roses, tulips = 2, 4
    confused = {
        (row, column)
        for row, counts in enumerate(state["confusion"])
        for column, count in enumerate(counts)
        if count and row != column
    }
    assert (roses, tulips) in confused
    assert ["roses", "tulips"] in [mistake[1:] for mistake in state["mistakes"] if mistake[0].startswith("from_tulips_")]
    low, high = state["training"]
    assert low < high and state["chosen"]
    assert state["found"] == state["first_label"]
    assert state["written"] == [f"runs/{name}/retrained_graph.pb" for name in ("first", "rate_0.03", "rate_1e-05")]
    outputs = [[output.output_type for output in cell.outputs] for cell in notebook.cells if cell.cell_type == "code"]
    committed = [[output.output_type for output in cell.outputs] for cell in read().cells if cell.cell_type == "code"]
    assert [each[-1:] for each in outputs] == [each[-1:] for each in committed]


def test_it_is_stored_with_its_output() -> None:
    cells = [cell for cell in read().cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert [cell.source for cell in cells if not cell.outputs and "retrain.run" in cell.source] == []
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert "/tmp" not in text and '"error"' not in text
    assert len(text) < 100_000
