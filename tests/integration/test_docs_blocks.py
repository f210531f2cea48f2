"""The fenced blocks of all pages: each runs as it stands there, or says why not; what it prints has the form that the page shows.

A page's blocks run in order in a folder of their own, as in a fresh clone whose `flower_photos` have been fetched: `prepared`
makes that folder. `Shortened` is all that differs from what a reader types.
"""

import argparse
import dataclasses
import functools
import importlib
import multiprocessing
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from label_image.config import IMAGE_ARGUMENTS, LabelConfig
from retrain.config import RetrainConfig
from retrain.options.command_line import Parser, build_parser, from_namespace
from retrain.options.images import FOLDER_ARGUMENT
from retrain.sweep.__main__ import build_sweep_parser
from retrain.sweep.config import SweepConfig
from retrain.sweep.plan import read_sweep
from tests.conftest import MOBILENET_ARCHIVE, ROOT
from tests.integration.conftest import InceptionRun
from tests.support.commands import DIRECT
from tests.support.docs_blocks import NOT_COMPARED, PYTHON, REAL_PHOTOS, Block, Command, blocks_in, blocks_of, differs, n_fences
from tests.support.page_programs import run_program
from tests.support.shared import made_once
from tests.support.stand_ins import ARCHIVE as INCEPTION_ARCHIVE

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
BLOCKS = [block for page in PAGES for block in blocks_of(page, ROOT)]
RUN_ELSEWHERE = {("docs/api.md", PYTHON): "tests/integration/test_api_docs.py"}
RUN_HERE = [block for block in BLOCKS if block.is_run and (block.page, block.kind) not in RUN_ELSEWHERE]
PAGES_TO_RUN = sorted({block.page for block in RUN_HERE})
NEED_DATA = ("mobilenet_",)  # Networks whose archive is not in the repository; a test downloads nothing.
CLASSES = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
PER_CLASS = 8
TEMPORARY = "/tmp/"


@dataclasses.dataclass(frozen=True)
class Shortened:
    """Differences of a command from what the page says, so that it ends soon and writes nothing outside its folder.

    Attributes:
        values: flags that are added, or replace those of the page.
        replaced: flags that are added only where the page has a certain one, by its name.
        paths: configuration whose paths below /tmp, the defaults, become paths below the page's folder.
    """

    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    replaced: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    paths: type | None = None

    def flags(self, command: Command) -> list[str]:
        """Return the flags that are added to a command."""
        values = dict(self.values)
        for name, replaced in self.replaced.items():
            values |= replaced if command.has(name) else {}
        paths = {name: path for name, path in temporary_paths(self.paths).items() if not command.has(name)}
        if command.has("run_dir"):
            paths = {name: path for name, path in paths.items() if name in ("bottleneck_dir", "model_dir")}
        return [f"--{name}={value}" for name, value in {**paths, **values}.items()]


def temporary_paths(config_class: type | None) -> dict[str, str]:
    """Return the paths of flags whose default is below /tmp, but in the page's folder."""
    fields = dataclasses.fields(config_class) if config_class else ()
    found = {field.name: field.default for field in fields if isinstance(field.default, str)}
    paths = {name: path.replace(TEMPORARY, "tmp/") for name, path in found.items() if path.startswith(TEMPORARY)}
    return {**paths, "model_dir": "models"} if "model_dir" in paths else paths


def bottlenecks_too(config_class: type) -> type:
    """Return a class with the paths of a sweep: its own, and the two of training that a sweep takes."""
    fields = {field.name: field for field in dataclasses.fields(RetrainConfig)}
    taken = [(name, str, fields[name].default) for name in ("bottleneck_dir", "model_dir")]
    return dataclasses.make_dataclass("SweepPaths", taken, bases=(config_class,), frozen=True, kw_only=True)


TRAINING = Shortened(
    {"how_many_training_steps": 40}, {"fine_tune_steps": {"fine_tune_steps": 2, "fine_tune_batch_size": 4}}, RetrainConfig
)
SWEEP = Shortened({"how_many_training_steps": 20}, {"random_seed": {"random_seed": 1}}, bottlenecks_too(SweepConfig))
SHORTENED = {
    "retrain": TRAINING,
    "scripts.retrain": TRAINING,
    "retrain.sweep": SWEEP,
    "label_image": Shortened(paths=LabelConfig),
    "scripts.make_flowers": Shortened({"images_per_class": PER_CLASS}),
}


def test_every_block_is_found() -> None:
    fences = {page.name: n_fences(page.read_text(encoding="utf-8")) for page in PAGES}
    blocks = {page.name: 2 * len(blocks_of(page, ROOT)) for page in PAGES}
    assert blocks == fences, "a fence is three backticks, at the beginning of a line, with its kind"
    assert {"README.md", "CONTRIBUTING.md", "docs/exports.md"} <= {block.page for block in BLOCKS}


def test_every_block_runs_or_says_why_not() -> None:
    problems = [block.problem for block in BLOCKS if block.problem]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("```\npython -m retrain\n```", "write ```sh, ```console, ```python or ```text, not ```."),
        ("```bash\nls\n```", "write ```sh, ```console, ```python or ```text, not ```bash."),
        ("```text\n$ ls\n```", "a text with a command, '$ ls': make it a block of ```sh or ```console."),
        ("```text\npip install x\n```", "a text with a command, 'pip install x': make it a block of ```sh or ```console."),
        ("```sh\n$ ls\n```", "commands with a prompt: make it a block of ```console."),
        ("```console\nls\n```", "a block of ```console begins with `$ ` and a command."),
        ("<!-- not run: no -->\n```sh\nls\n```", "the comment has to say why the block is not run."),
        ("<!-- not run: for no reason -->\n```text\na\n```", "a text is never run or compared; leave out the comment."),
    ],
)
def test_a_block_that_would_slip_in_is_found(text: str, problem: str) -> None:
    [block] = blocks_in(f"A page\n\n{text}\n", "a.md")
    assert block.problem == f"a.md:{4 if text.startswith('<') else 3}: {problem}"


def test_a_comment_further_up_excuses_nothing() -> None:
    [block] = blocks_in("<!-- not run: it takes minutes -->\n\n```sh\nls\n```\n", "a.md")
    assert block.is_run


@pytest.mark.parametrize(
    ("expected", "found", "first_difference"),
    [
        (["a 1.5%", "b"], ["a 100%", "b"], ""),
        (["a", "…", "c"], ["a", "b", "b", "c"], ""),
        (["a"], ["WARNING: few", "a"], ""),
        (["a 1"], ["WARNING: a 2", "WARNING: few"], ""),
        (["| x   | 1 |", "| --- | - |"], ["| x | 1,000 |", "| ----- | - |"], ""),
        (["a", "c"], ["a", "b", "c"], "c"),
        (["a"], ["a", "b"], "the end"),
        (["a", "…", "d"], ["a", "b", "c"], "d"),
        (["a", "b"], ["a"], "b"),
    ],
)
def test_the_form_of_an_output(expected: list[str], found: list[str], first_difference: str) -> None:
    assert differs(expected, found) == first_difference


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if not block.is_run and block.commands], ids=lambda block: f"{block.page}:{block.line}"
)
def test_a_command_that_is_not_run_is_one_that_its_program_accepts(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    for command in block.commands:
        if command.module:
            parse(command, monkeypatch)


class ParsedError(Exception):
    """The end of a program at the point where it has parsed its command line."""


def parse(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse a command line with the program's own parser, and its values with the program's own configuration."""
    arguments = command.arguments
    if command.module == "retrain":
        from_namespace(RetrainConfig, build_parser(RetrainConfig, positional=FOLDER_ARGUMENT).parse_args(arguments))
    elif command.module == "retrain.sweep":
        read_sweep(build_sweep_parser().parse_args(arguments))
    elif command.module == "label_image":
        from_namespace(LabelConfig, build_parser(LabelConfig, positional=IMAGE_ARGUMENTS).parse_args(arguments))
    else:
        module = importlib.import_module(command.module)
        with monkeypatch.context() as patched, pytest.raises(ParsedError):
            patched.setattr(sys, "argv", [command.module, *arguments])
            for parser in (argparse.ArgumentParser, Parser):
                patched.setattr(parser, "parse_args", functools.partialmethod(_parse_and_stop, parser.parse_args))
            if command.module == "scripts.check":  # Its other arguments are pytest's.
                known = argparse.ArgumentParser.parse_known_args
                patched.setattr(argparse.ArgumentParser, "parse_known_args", functools.partialmethod(_parse_and_stop, known))
            module.main(arguments) if command.module == "scripts.check" else module.main()


def _parse_and_stop(self: argparse.ArgumentParser, original: Any, *arguments: Any) -> None:
    original(self, *arguments)
    raise ParsedError


@pytest.fixture(scope="session")
def some_photos(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bool]:
    """Return a folder of a few flowers of each class, with names of `scripts.get_flower_photos`; True if they are real photos."""
    names = (ROOT / "scripts" / "flower_photos_600.txt").read_text(encoding="utf-8").split()
    chosen = [name for flower in CLASSES for name in [each for each in names if each.startswith(f"{flower}/")][:PER_CLASS]]
    real = Path(os.environ.get("RETRAIN_TEST_DATA", ROOT.parent / "shared")) / "flower_photos"

    def make(folder: Path) -> tuple[Path, bool]:
        from scripts.make_flowers import encode_picture

        is_real = all((real / name).is_file() for name in chosen)
        for number, name in enumerate(chosen):
            target = folder / name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes((real / name).read_bytes() if is_real else encode_picture(1, name.split("/")[0], number))
        return folder, is_real

    return made_once(tmp_path_factory, "some_photos", make)


@pytest.fixture
def prepared(some_photos: tuple[Path, bool], request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return the folder in which a page's blocks run.

    It holds `flower_photos`, a few of them; `models`, with MobileNet's archive and a small stand-in of Inception's where the page
    names these networks; and the commands `python` and `python3`, which run the Python of this test.
    """
    page = request.getfixturevalue("page")
    text = "".join(block.text for block in RUN_HERE if block.page == page)
    shutil.copytree(some_photos[0], tmp_path / "flower_photos")
    (tmp_path / "models").mkdir()
    if any(name in text for name in NEED_DATA):
        data_dir: Path = request.getfixturevalue("data_dir")
        shutil.copyfile(data_dir / "models" / MOBILENET_ARCHIVE, tmp_path / "models" / MOBILENET_ARCHIVE)
    if "inception_v3" in text:
        run: InceptionRun = request.getfixturevalue("inception_run")
        shutil.copy(run.model_dir / INCEPTION_ARCHIVE, tmp_path / "models")
    (tmp_path / "bin").mkdir()
    for name in ("python", "python3"):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


@pytest.fixture
def programs() -> Iterator[ProcessPoolExecutor]:
    """Yield a new process for the Python of a page, in which names live from block to block; it starts with the first."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        yield executor


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES_TO_RUN)
def test_the_blocks_of_a_page_run(
    page: str, prepared: Path, some_photos: tuple[Path, bool], programs: ProcessPoolExecutor
) -> None:
    for block in RUN_HERE:
        if block.page != page:
            continue
        if block.kind == PYTHON:
            # The paths and the number of steps that a command gets.
            programs.submit(run_program, block, prepared, {**temporary_paths(RetrainConfig), **TRAINING.values}).result()
        is_compared = not block.mark.startswith(NOT_COMPARED) and (some_photos[1] or block.mark != REAL_PHOTOS)
        for command in block.commands:
            found = run(command, prepared)
            shows_error = any(line.startswith("error: ") for line in command.output or ())
            where = f"{page}:{block.line}: {command.line}\n{found.stdout}"
            assert (found.returncode != 0) == shows_error, f"exit code {found.returncode} of {where}"
            if command.output is not None and is_compared:
                difference = differs(command.output, found.stdout.splitlines())
                assert not difference, f"no line {difference!r} in its place in the output of {where}"


def run(command: Command, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in a shell, with what `SHORTENED` says; return what it printed on both outputs, in order."""
    line = command.line.replace(TEMPORARY, "tmp/")
    if command.module in SHORTENED:
        line = f"{line.partition(' #')[0]} {shlex.join(SHORTENED[command.module].flags(command))}"
    hidden = ("TF_CPP_MIN_LOG_LEVEL", "PYTHONPATH")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    environment |= {"PYTHONPATH": str(ROOT), "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", **DIRECT}
    return subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
