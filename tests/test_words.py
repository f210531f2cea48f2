"""Plain English: phrases that no text of this project uses, and the first words of docstrings.

Each phrase below has no other use in prose like ours; beside it is the standard term to use instead.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# The phrases as regular expressions of whole words; a space also stands for a line break.
PHRASES = {
    "(go|goes|went|gone|going) on": "resume, continue",
    "(find|finds|found|finding) out": "infer, detect",
    "(to|can|cannot|could|may|might) (not )?be had": "available, missing",
    "at hand": "available",
    "anew": "again, from scratch",
    "(pass|passes|passed|passing) over": "skip",
    "what a user sees": "progress, output",
    "(take|takes|took|taken|taking) (it |them )?in": "convert, load",
    "takes the network in": "load",
    "(give|gives|gave|given|giving) the positions?": "return the indices",
    "misfits?": "mismatch",
    "sureness": "temperature",
    "(what|which) (is|was) made small": "loss function",
    "(hand|hands|handed|handing) on": "return, pass",
    "those (that are |which are )?left over": "the rest",
    "what (an image|an image of a class|a photo|a photo of a class) counts": "sample weight, class weight",
    "what a weight's square adds": "L2 penalty",
    "share of the values (left|that each training step leaves) out": "dropout rate",
    "grey levels? (that .{1,50} )?(taken|takes|has) as [01]": "pixel mean, pixel standard deviation",
    "the original's law": "class-balanced sampling",
}
HEADS = ("What", "Whether", "Which", "How")
CHECKED = ("*.py", "*.md", "*.toml", ".ci/run")
NOT_CHECKED = {
    "tests/test_words.py",  # The list itself.
    "benchmarks/same_outputs/intended.py",  # It quotes texts of earlier versions.
    "retrain/backbones/tiny_resnet_128/train.py",  # The record of how the bundled network was trained.
}
# What may stand between two words: a space, or a line break with the quotes or the # of a wrapped sentence.
BETWEEN_WORDS = r"[\s\"'#]+"
PATTERNS = {phrase: re.compile(rf"\b{phrase.replace(' ', BETWEEN_WORDS)}\b", re.IGNORECASE) for phrase in PHRASES}


def checked_files() -> list[str]:
    """Return the paths, relative to the root, of all texts that are checked."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *CHECKED]
    listed = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout.splitlines()
    return sorted(name for name in set(listed) - NOT_CHECKED if (ROOT / name).is_file())


def phrase_hits(name: str, text: str) -> Iterator[str]:
    """Yield `file:line: phrase` for each phrase in a text."""
    for phrase, pattern in PATTERNS.items():
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{name}:{line}: {' '.join(match.group().split())!r}: {PHRASES[phrase]}"


def head_hits(name: str, text: str) -> Iterator[str]:
    """Yield `file:line: sentence` for each docstring that begins with one of HEADS."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node) or ""
            if docstring.split(" ")[0] in HEADS:
                yield f"{name}:{getattr(node, 'lineno', 1)}: {docstring.splitlines()[0]}"


def test_the_search_finds_the_files() -> None:
    names = checked_files()
    assert {"README.md", "setup.py", "pyproject.toml", ".ci/run", "docs/flags.md", "retrain/pipeline.py"} <= set(names)
    assert {"retrain/options/flags.py", "label_image/__main__.py", "scripts/demo.py", "benchmarks/report.py"} <= set(names)
    assert not NOT_CHECKED & set(names)


def test_no_text_uses_these_phrases() -> None:
    hits = [hit for name in checked_files() for hit in phrase_hits(name, (ROOT / name).read_text(encoding="utf-8"))]
    assert not hits, "\n".join(["Use the standard term:", *hits])


def test_no_docstring_begins_with_a_question_word() -> None:
    names = [name for name in checked_files() if name.endswith(".py")]
    hits = [hit for name in names for hit in head_hits(name, (ROOT / name).read_text(encoding="utf-8"))]
    assert not hits, "\n".join(["Begin with a noun phrase or an imperative:", *hits])


@pytest.mark.parametrize(
    "text",
    [
        "The same command goes on with the training.",
        "Run it again to Go On.",
        "What is not given is found out.",
        "No such network is to be had.",
        "A network that cannot be had is an error.",
        "No GPU was at hand.",
        "Its bottlenecks are made anew.",
        "Such lines are passed over.",
        "What a user sees of training.",
        "The network is taken in.",
        "Gives the positions of the images.",
        "A misfit of two shapes.",
        "The sureness of the answers.",
        "The loss is what is made small.",
        "It hands on the config.",
        "Those left over are skipped.",
        "Grey level that the input has as 0.",
        "Share of the values that each training step leaves out.",
    ],
)
def test_a_planted_phrase_is_found(text: str) -> None:
    [hit] = phrase_hits("a.md", f"# A page\n\n{text}\n")
    assert hit.startswith("a.md:3: ")


@pytest.mark.parametrize("wrapped", ["It goes\non.", "# It goes\n# on.", '"It goes "\n    "on."', "    It goes\n    on."])
def test_a_phrase_is_found_across_a_line_break(wrapped: str) -> None:
    [hit] = phrase_hits("a.py", f"\n{wrapped}")
    assert hit.startswith("a.py:2: 'goes")


@pytest.mark.parametrize(
    "text",
    [
        "Give the number to --saved_model_dir, and take one of the places.",
        "The step goes to the next batch. Turn it on.",
        "A photo taken inside; the images of a class are found there.",
        "It has been hard; the file had to be read.",
        "Find the outputs. On the other hand, one misses.",
        "def pass_over(images): ...",
        "They are left over night.",
    ],
)
def test_ordinary_english_is_not_found(text: str) -> None:
    assert list(phrase_hits("a.md", text)) == []


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(
    "code", ['"""{}."""', 'class A:\n    """{}."""', 'def f():\n    """{}."""', 'async def f():\n    """{}."""']
)
def test_a_planted_head_is_found(code: str, head: str) -> None:
    [hit] = head_hits("a.py", code.format(f"{head} a user sees"))
    assert hit == f"a.py:1: {head} a user sees."


def test_other_heads_are_not_found() -> None:
    assert list(head_hits("a.py", '"""Whatever it is."""\ndef f():\n    """Return what it is."""\n    "What is this?"\n')) == []
