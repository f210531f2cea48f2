"""Fenced blocks of the documentation: the kind of each, the commands in it, and the output that it shows."""

import functools
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"(?ms)^ *```([^\n]*)\n(.*?)^ *```$")
MARK = re.compile(r"<!-- ((?:(?!-->).)*) -->\n\Z", re.DOTALL)
COMMANDS, OUTPUTS, PYTHON, TEXT = "sh", "console", "python", "text"
NOT_RUN = "not run: "
REAL_PHOTOS = "compared with real photos only"
NOT_COMPARED = "not compared: "
PROMPT, ANY_LINES = "$ ", "…"
# Numbers, or `-` for one that there is not, and the blanks and rules that make columns of them as wide as the longest.
VARYING = (re.compile(r"\d(?:[\d,]*\d)?(?:\.\d+)?%?|(?<!\S)-(?!\S)"), re.compile(r"-{3,}"), re.compile(r" {2,}"))
WARNING = "WARNING: "
LOOKS_LIKE_A_COMMAND = re.compile(r"(?m)^(?:\$|python3?|pip|retrain|label_image) .*$")
OWN = ("retrain", "label_image", "scripts", "benchmarks")


@dataclass(frozen=True)
class Command:
    """A command line.

    Attributes:
        line: the command, with continued lines joined.
        output: the lines that the page shows below it; None if it shows none.
    """

    line: str
    output: tuple[str, ...] | None = None

    @property
    def words(self) -> list[str]:
        """The words of the command, as a shell splits it."""
        return shlex.split(self.line, comments=True)

    @property
    def module(self) -> str:
        """The module of this project that the command runs; empty if it is none."""
        words = self.words
        is_own = words[:1] in (["python"], ["python3"]) and words[1:2] == ["-m"] and words[2].partition(".")[0] in OWN
        return words[2] if is_own else ""

    @property
    def arguments(self) -> list[str]:
        """The arguments of the module."""
        return self.words[3:]

    def has(self, name: str) -> bool:
        """Return True if the flag is among the arguments."""
        return any(word == f"--{name}" or word.startswith(f"--{name}=") for word in self.arguments)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: path of the page, relative to the root of the repository.
        line: number of the line of its fence.
        kind: the word after the fence.
        text: its lines.
        mark: the comment directly before the fence; empty if there is none.
    """

    page: str
    line: int
    kind: str
    text: str
    mark: str

    @property
    def is_run(self) -> bool:
        """True if the block has to run."""
        return self.kind != TEXT and not self.mark.startswith(NOT_RUN)

    @property
    def commands(self) -> list[Command]:
        """The commands of a block of commands, in order."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        if self.kind == COMMANDS:
            return [Command(line) for line in joined.splitlines() if line.strip() and not line.startswith("#")]
        if self.kind != OUTPUTS:
            return []
        parts = re.split(r"(?m)^\$ ", joined)[1:]
        return [Command(line, tuple(output.splitlines())) for line, _, output in (part.partition("\n") for part in parts)]

    @property
    def problem(self) -> str:
        """The fault of the block, in a sentence that says how to mend it; empty if there is none."""
        return f"{self.page}:{self.line}: {found}" if (found := self._problem()) else ""

    def _problem(self) -> str:
        if self.kind not in (COMMANDS, OUTPUTS, PYTHON, TEXT):
            return f"write ```sh, ```console, ```python or ```text, not ```{self.kind}."
        if self.mark.startswith(NOT_RUN) and len(self.mark) < len(NOT_RUN) + 10:
            return "the comment has to say why the block is not run."
        if self.kind == TEXT and self.mark:
            return "a text is never run or compared; leave out the comment."
        if self.kind == TEXT and (found := LOOKS_LIKE_A_COMMAND.search(self.text)):
            return f"a text with a command, {found[0]!r}: make it a block of ```sh or ```console."
        if self.kind == COMMANDS and re.search(r"(?m)^\$ ", self.text):
            return "commands with a prompt: make it a block of ```console."
        no_prompt = self.kind == OUTPUTS and not self.text.startswith(PROMPT)
        return "a block of ```console begins with `$ ` and a command." if no_prompt else ""


def blocks_of(page: Path, root: Path) -> list[Block]:
    """Return all fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return blocks_in(text, page.relative_to(root).as_posix())


def blocks_in(text: str, name: str) -> list[Block]:
    """Return all fenced blocks of the text of the page `name`."""
    found = []
    for match in FENCE.finditer(text):
        mark = MARK.search(text[: match.start()])
        words = " ".join(mark[1].split()) if mark else ""
        known = words.startswith((NOT_RUN, NOT_COMPARED)) or words == REAL_PHOTOS
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(name, line, match[1].strip(), match[2], words if known else ""))
    return found


def n_fences(text: str) -> int:
    """Return the number of lines that begin or end a block, in any form that Markdown knows."""
    return len(re.findall(r"(?m)^\s*(?:>\s*)*(?:```|~~~)", text))


def form(line: str) -> str:
    """Return a line of output with what differs between two runs replaced: numbers, and the blanks and rules of columns."""
    number, rule, blanks = VARYING
    return blanks.sub(" ", rule.sub("---", number.sub("0", line))).rstrip()


def differs(expected: Sequence[str], found: Sequence[str]) -> str:
    """Return the first expected line that the output does not have in its place; empty if it has the form of what is expected.

    `…` stands for any number of lines. Warnings that the page does not show are allowed anywhere, since few photos cause some.
    """
    wanted = [line if line == ANY_LINES else form(line) for line in expected]
    lines = [form(line) for line in found]
    furthest = 0

    @functools.cache
    def fits(at: int, line: int) -> bool:
        nonlocal furthest
        furthest = max(furthest, at)
        if at == len(wanted):
            return all(each.startswith(WARNING) or not each for each in lines[line:])
        if wanted[at] == ANY_LINES:
            return fits(at + 1, line) or (line < len(lines) and fits(at, line + 1))
        if line == len(lines):
            return not wanted[at] and fits(at + 1, line)
        if wanted[at] in (lines[line], lines[line].removeprefix(WARNING)) and fits(at + 1, line + 1):
            return True
        return lines[line].startswith(WARNING) and fits(at, line + 1)

    if fits(0, 0):
        return ""
    return expected[furthest] if furthest < len(expected) else "the end"
