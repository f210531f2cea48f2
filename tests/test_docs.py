"""The documentation says what the code does."""

import re
from pathlib import Path

import pytest

from scripts.write_docs import FLAGS_FILE, flags_page

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def test_the_page_of_flags_is_up_to_date() -> None:
    assert FLAGS_FILE.read_text(encoding="utf-8") == flags_page(), "run python -m scripts.write_docs"


def test_all_pages_are_found() -> None:
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "flags.md"} <= {page.name for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
