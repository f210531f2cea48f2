"""docs/api.md: its programs run, one after the other, beside photos."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, RunCli
from tests.support.commands import assert_succeeded

pytestmark = pytest.mark.slow
PAGE = ROOT / "docs" / "api.md"
LABELS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
BLOCK = re.compile(r"(?ms)^```python\n(.*?)^```$")


@pytest.fixture
def here(run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the current folder, with what the page needs: `flowers`, `photos` and `photo.jpg`."""
    monkeypatch.chdir(tmp_path)
    assert_succeeded(run_cli("scripts.make_flowers", "--output_dir", "flowers", "--images_per_class", "25", cwd=tmp_path))
    (tmp_path / "photos").mkdir()
    for photo in sorted(tmp_path.glob("flowers/*/*_000[0-3].jpg")):
        shutil.copy(photo, tmp_path / "photos")
    shutil.copy(tmp_path / "flowers" / "tulips" / "tulips_0004.jpg", tmp_path / "photo.jpg")
    return tmp_path


def test_every_program_of_the_page_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = PAGE.read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for match in BLOCK.finditer(page):
        first_line = page.count("\n", 0, match.start(1))
        exec(compile("\n" * first_line + match[1], str(PAGE), "exec"), names)  # Errors name the line of the page.
    printed = capsys.readouterr().out.splitlines()
    # Of training:
    assert sum(names["result"].n_images.values()) == 125
    assert re.fullmatch(r"\{'training': \d+, 'validation': \d+, 'testing': \d+\}", printed[0])
    assert re.fullmatch(r"\d+\.\d% of the test images are classified correctly", printed[1])
    graphs = [line.split()[-1] for line in printed[2:5]]
    assert [re.sub(r"\d{4}-\d\d-\d\d", "DATE", graph) for graph in graphs] == [
        f"runs/DATE-{number}/retrained_graph.pb" for number in (2, 3, 4)
    ]
    assert printed[5:8] == [
        "None {'daisy': 2}",
        "--dropout must be a number in [0, 1). Got 1.5.",
        "--random_crop must be an integer in [0, 100). Got -1.",
    ]
    assert (here / "weighted.pb").is_file() and (here / "weighted.tflite").is_file()
    assert [line.split()[0] for line in printed[8:13]] == list(LABELS)
    assert printed[13:18] == str(names["result"].test.confusion).splitlines()
    table = names["images"]
    assert list(table.columns) == ["path", "label", "prediction", "score", "correct", *(f"score_{label}" for label in LABELS)]
    assert len(table) == len(names["best"]) == names["result"].n_images["testing"]
    assert set(names["unsure"]) <= set(table["path"])
    progress = [f"{phase}: " for phase in ("bottlenecks", "training", "export")]
    assert [line for line in printed if line.startswith(tuple(progress))] == [
        "bottlenecks: 125 images",
        "training: 4000 steps",
        "export: 5 files",
    ]
    # Of labelling:
    printed = printed[printed.index("export: 5 files") + 1 :]
    assert re.fullmatch(r"tulips \(score=[01]\.\d{5}\)", printed[0])
    assert printed[1:3] == [str(LABELS), "(128, 128)"]
    assert printed[3].startswith('{"image": "photo.jpg", "predictions": [{"label": "tulips", "score": ')
    assert printed[4] == "{'tulips'}"
    assert [line.partition(".jpg ")[0] for line in printed[5:25]] == [
        f"photos/{label}_000{number}" for label in LABELS for number in range(4)
    ]
    assert printed[25:26] == ["photos/damaged.jpg cannot be labelled: it is no image in a known format"]
    assert sum(names["counts"].values()) == 20
    assert len(names["labelled"]) == 20
    assert sum(label == path.name.partition("_")[0] for path, label in names["labelled"].items()) >= 15
