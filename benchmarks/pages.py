"""Pages of the documentation that consist of commands and their output."""

import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.common import ROOT

Commands = Sequence[Sequence[str]]
# Marks for tests/integration/test_docs_blocks.py.
NOT_RUN = "<!-- not run: it takes minutes -->"


def write_page(
    page: Path, introduction: str, parts: Mapping[str, Commands], remarks: Mapping[str, str], only: str | None
) -> None:
    """Run the commands of each part and write the page. It is written after each part, so that an interruption loses no results.

    Args:
        page: a Markdown file.
        introduction: the title and the text before the first part.
        parts: the arguments of `python -m` of each command, by the title of its part; the page shows their stdout.
        remarks: the text at the beginning of a part, by its title.
        only: the title of the one part to run; the others are kept. None runs all.
    """
    sections = _read(page)
    for title, commands in parts.items():
        if only in (None, title):
            sections[title] = _section(title, remarks.get(title, ""), commands)
            text = "\n".join([introduction, *(sections[title] for title in parts if title in sections)])
            page.write_text(text, encoding="utf-8")


def _section(title: str, remark: str, commands: Commands) -> str:
    lines = [f"## {title}", ""]
    lines += [remark, ""] if remark else []
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        lines += [NOT_RUN] if command[0].startswith("benchmarks.") else []
        lines += ["```sh", shlex.join(["python", "-m", *command]), "```", ""]
        lines += [done.stdout] if done.stdout else []
    return "\n".join(lines)


def _read(page: Path) -> dict[str, str]:
    """Return the sections of the existing page by title."""
    if not page.exists():
        return {}
    _, *sections = page.read_text(encoding="utf-8").split("\n## ")
    return {section.split("\n", 1)[0]: f"## {section}" for section in sections}
