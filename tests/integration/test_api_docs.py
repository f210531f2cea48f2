"""docs/api.md: its programs run, one after the other, beside a trained graph and photos."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, RunCli
from tests.support.commands import assert_succeeded
from tests.support.shared import made_once

pytestmark = pytest.mark.slow
PAGE = ROOT / "docs" / "api.md"
BLOCK = re.compile(r"(?ms)^```python\n(.*?)^```$")


@pytest.fixture(scope="session")
def trained_flowers(tmp_path_factory: pytest.TempPathFactory, run_cli: RunCli) -> Path:
    """Train on drawn flowers; return a folder with `flowers.pb`, its labels, `photo.jpg` and `photos`."""

    def train(folder: Path) -> Path:
        training = ["--image_dir=flowers", "--architecture=tiny_resnet_128", "--how_many_training_steps=200", "--random_seed=1"]
        outputs = ["--output_graph=flowers.pb", "--output_labels=flowers.txt", "--bottleneck_dir=cache", "--summaries_dir=logs"]
        assert_succeeded(run_cli("scripts.make_flowers", "--output_dir", "flowers", "--images_per_class", "25", cwd=folder))
        assert_succeeded(run_cli("retrain", *training, *outputs, cwd=folder))
        (folder / "photos").mkdir()
        for photo in sorted(folder.glob("flowers/*/*_000[0-3].jpg")):
            shutil.copy(photo, folder / "photos")
        shutil.copy(folder / "flowers" / "tulips" / "tulips_0004.jpg", folder / "photo.jpg")
        return folder

    return made_once(tmp_path_factory, "trained_flowers", train)


def test_every_program_of_the_page_runs(
    trained_flowers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(trained_flowers, tmp_path / "here"))
    monkeypatch.chdir(folder)
    page = PAGE.read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for match in BLOCK.finditer(page):
        first_line = page.count("\n", 0, match.start(1))
        exec(compile("\n" * first_line + match[1], str(PAGE), "exec"), names)  # Errors name the line of the page.
    printed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"tulips \(score=[01]\.\d{5}\)", printed[0])
    assert printed[1:3] == ["('daisy', 'dandelion', 'roses', 'sunflowers', 'tulips')", "(128, 128)"]
    assert printed[3].startswith('{"image": "photo.jpg", "predictions": [{"label": "tulips", "score": ')
    assert printed[4] == "{'tulips'}"
    assert [line.partition(".jpg ")[0] for line in printed[5:25]] == [
        f"photos/{kind}_000{number}" for kind in ("daisy", "dandelion", "roses", "sunflowers", "tulips") for number in range(4)
    ]
    assert printed[25:26] == ["photos/damaged.jpg cannot be labelled: it is no image in a known format"]
    assert sum(names["counts"].values()) == 20
    assert len(names["labelled"]) == 20
    assert sum(label == path.name.partition("_")[0] for path, label in names["labelled"].items()) >= 15
