"""The documentation agrees with the code: its flags, its links, the files and programs that it names."""

import importlib.util
import re
from pathlib import Path

import pytest

from label_image.config import LabelConfig
from retrain.config import RetrainConfig
from retrain.options.flags import flags_of
from retrain.sweep.config import SweepConfig
from scripts.write_docs import FLAGS_FILE, flags_page

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors_of(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", text_of(page))
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_the_page_of_flags_is_up_to_date() -> None:
    assert text_of(FLAGS_FILE) == flags_page(), "run python -m scripts.write_docs"


@pytest.mark.parametrize(
    ("command", "config_class"), [("retrain", RetrainConfig), ("retrain.sweep", SweepConfig), ("label_image", LabelConfig)]
)
def test_the_page_of_flags_has_each_flag_once(command: str, config_class: type) -> None:
    [section] = re.findall(rf"(?ms)^## `python -m {re.escape(command)}`$(.*?)(?=^## |\Z)", flags_page())
    assert sorted(re.findall(r"(?m)^\| `--(\w+)` \|", section)) == sorted(flags_of(config_class))


def test_all_pages_are_found() -> None:
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "flags.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", text_of(page))
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_headings_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]*)#([^)]+)\)", text_of(page))
    assert [
        (target, anchor) for target, anchor in links if anchor not in anchors_of(page.parent / target if target else page)
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_exist(page: Path) -> None:
    # Such as `retrain/pipeline.py`, or `retrain/data/` for a folder.
    paths = re.findall(r"`((?:retrain|label_image|scripts|benchmarks|tests)/[\w./]*)`", text_of(page))
    assert [path for path in paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_programs_that_are_named_exist(page: Path) -> None:
    # The module after `python -m`, if it is of this repository.
    modules = set(re.findall(r"python3? -m ((?:retrain|label_image|scripts|benchmarks|tests)[\w.]*\w)", text_of(page)))
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []
