"""Records of the fault tests, and the page made of them."""

from dataclasses import dataclass, field

INTRODUCTION = """# Reliability

Made by `python -m tests.reliability`: each row is a fault that a test in [tests/reliability](../tests/reliability) really brings
about, on real files, processes, disks and servers; how many times it was tried, and what happened. Every check in the test held,
or there would be no row. The same tests run, with fewer tries, in `python3 -m scripts.check`.

"Byte for byte" holds for trainings on the same bottlenecks. A run that was stopped while it made bottlenecks makes the rest in
other batches, and on some processors, such as those with AVX2 alone, the last bits of a bottleneck depend on its index in the
batch. Such bottlenecks agree to 1e-6 of their largest value, weights trained on them to 1e-5 of the largest, scores to 1e-5.
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
        """Return the text of docs/reliability.md; sections of which nothing was tried stay as in the `earlier` text."""
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
