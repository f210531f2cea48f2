"""Rules for the tests themselves."""

import ast
from pathlib import Path

import pytest

from scripts.check import selections
from tests.conftest import ROOT

MODULES = sorted((ROOT / "tests").rglob("*.py"))


def imported_from(path: Path) -> set[str]:
    """Return the names of all modules that a file imports from."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_imports_from_another(path: Path) -> None:
    """Shared helpers belong to tests/support."""
    assert {name for name in imported_from(path) if name.startswith("tests.") and ".test_" in name} == set()


def test_the_log_is_captured_in_one_way() -> None:
    """By the fixture `logged`: pytest's own misses the log after a command has taken it for itself."""
    assert [path.name for path in MODULES if "cap" + "log" in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], [["-m", "not slow"], ["-m", "slow"]]),
        (["--fast"], [["-m", "not slow"]]),
        (["--fast", "-k", "cache"], [["-m", "not slow", "-k", "cache"]]),
        (["-k", "cache"], [["-k", "cache"]]),
    ],
)
def test_what_the_check_runs(arguments: list[str], expected: list[list[str]]) -> None:
    assert selections(arguments) == expected
