"""What the tests of faults note down, and the page made of it."""

from dataclasses import dataclass, field

INTRODUCTION = """# Reliability

Made by `python -m tests.reliability`: each row is a fault that a test in [tests/reliability](../tests/reliability) really brings
about, on real files, processes, disks and servers; how many times it was tried, and what happened. Every check in the test held,
or there would be no row. The same tests run, with fewer tries, in `python3 -m scripts.check`.
"""
NOTHING = "nothing"


@dataclass(frozen=True)
class Fault:
    """One row: `group` is the page's section."""

    group: str
    fault: str
    tried: int
    happened: str
    lost: str


@dataclass
class Faults:
    """The rows noted so far."""

    rows: list[Fault] = field(default_factory=list)

    def page(self, earlier: str = "") -> str:
        """The text of docs/reliability.md; sections of which nothing was tried now stay as they were in an `earlier` text."""
        _, *sections = earlier.split("\n## ")
        parts = {section.split("\n", 1)[0]: f"## {section.rstrip()}\n" for section in sections}
        for group in {row.group for row in self.rows}:
            lines = [f"## {group}", "", "| fault | tried | what happened | lost |", "|---|---|---|---|"]
            for row in self.rows:
                if row.group == group:
                    lines.append(f"| {_cell(row.fault)} | {row.tried:,} | {_cell(row.happened)} | {_cell(row.lost)} |")
            parts[group] = "\n".join([*lines, ""])
        return "\n".join([INTRODUCTION, *(parts[group] for group in sorted(parts))])


def _cell(text: str) -> str:
    return text.strip().replace("|", "\\|").replace("\n", "<br>")
