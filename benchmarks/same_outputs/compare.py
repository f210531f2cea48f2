"""Comparison of two folders, file by file, with what is meant to differ taken out."""

import difflib
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.same_outputs.describe import Side, describe
from benchmarks.same_outputs.intended import Intended

FILES = "FILES"
LONGEST_SHOWN = 300  # Characters of a line in a report.


@dataclass
class Comparison:
    """Result of comparing a case.

    Attributes:
        differences: for each file that differs in what no rule explains, a unified diff.
        explained: for each rule, by its place in the table, the number of lines that it explained.
        n_files: files that were compared.
    """

    differences: dict[str, list[str]] = field(default_factory=dict)
    explained: Counter[int] = field(default_factory=Counter)
    n_files: int = 0


def compare_folders(case: str, old: Side, new: Side, table: Sequence[Intended]) -> Comparison:
    """Compare all that two runs of a case wrote: which files there are, and what each holds."""
    result = Comparison()
    files = [_files(side.folder) for side in (old, new)]
    both = [name for name in files[0] if name in files[1]]
    result.n_files = len(both)
    _compare_lines(case, FILES, (list(files[0]), list(files[1])), table, result)
    for name in sorted(both, key=lambda name: (not name.startswith("logs/"), name)):  # What was printed says most.
        paths = files[0][name], files[1][name]
        if name.endswith("/"):
            continue
        lines = describe(paths[0], old), describe(paths[1], new)
        _compare_lines(case, name, lines, table, result)
    return result


def _files(folder: Path) -> dict[str, Path]:
    """Return all files, and folders that are empty, by their relative path; event files are numbered within their folder."""
    found: dict[str, Path] = {}
    for parent, folders, names in os.walk(folder):
        folders.sort()
        count = 0
        for name in sorted(names):
            shown = name
            if ".tfevents." in name:
                shown, count = f"events.out.tfevents.{count}", count + 1
            found[(Path(parent) / shown).relative_to(folder).as_posix()] = Path(parent) / name
        if not names and not folders:
            found[Path(parent).relative_to(folder).as_posix() + "/"] = Path(parent)
    return found


def _compare_lines(
    case: str, file: str, lines: tuple[list[str], list[str]], table: Sequence[Intended], result: Comparison
) -> None:
    old, new = lines
    if old == new:
        return
    differing: tuple[set[int], set[int]] = (set(), set())
    for kind, *ends in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            differing[0].update(range(ends[0], ends[1]))
            differing[1].update(range(ends[2], ends[3]))
    rules = {place: rule for place, rule in enumerate(table) if rule.is_for(case, file)}
    left = [_applied(lines[side], differing[side], rules, side == 0, result) for side in (0, 1)]
    if left[0] != left[1]:
        diff = difflib.unified_diff(left[0], left[1], "old", "new", n=1, lineterm="")
        result.differences[file] = [_shortened(line) for line in diff]


def _applied(
    lines: Sequence[str], differing: set[int], rules: dict[int, Intended], of_old: bool, result: Comparison
) -> list[str]:
    kept = []
    for number, before in enumerate(lines):
        line: str | None = before
        for place, rule in rules.items() if number in differing else ():
            after = rule.apply(line, of_old) if line is not None else None
            result.explained[place] += after != line
            line = after
        if line is not None:
            kept.append(line)
    return kept


def _shortened(line: str) -> str:
    line = re.sub(r"[\x00-\x08\x0b-\x1f]", "?", line)
    return line if len(line) <= LONGEST_SHOWN else line[:LONGEST_SHOWN] + " …"
