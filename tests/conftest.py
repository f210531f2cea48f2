"""Fixtures of all tests: the data beside the repository, photos to train on, and the commands as a user runs them."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Before any test loads TensorFlow: it reads this while it is loaded.

import logging
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import hypothesis
import numpy as np
import pytest
from PIL import Image, ImageDraw

from retrain.data.splitting import which_split
from tests.support.shared import made_once

if TYPE_CHECKING:
    from tests.support.exported import Exported

# The same examples in every run, and none timed: machines differ.
hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis.settings.load_profile("repeatable")

# Conversions made by tests, in a folder of their own, which the workers of a run share.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["RETRAIN_CACHE_DIR"] = tempfile.mkdtemp(prefix="retrain-tests-")

ROOT = Path(__file__).resolve().parents[1]
DATA_VARIABLE = "RETRAIN_TEST_DATA"
MOBILENET_ARCHIVE = "mobilenet_v1_0.25_128_frozen.tgz"
# By class: background and shape. A linear head tells them apart from any network's bottlenecks.
SMALL_CLASSES = {"blue stripes": (40, 60, 200), "green rings": (40, 170, 60), "red dots": (200, 40, 40)}
# Of each class, for `--image_dir` as `small_photos` gives it and 10% + 10%.
SMALL_SPLIT = {"training": 19, "validation": 3, "testing": 3}
SMALL_SIZE = 48


class RunCli(Protocol):
    """A function that runs `python -m ARGS…` from `cwd`, with `env` on top of the environment."""

    def __call__(
        self, *args: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]: ...


class Answer(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


Label = Callable[..., Answer]


@pytest.fixture
def label(capsys: pytest.CaptureFixture[str]) -> Label:
    """Return a function that runs `label_image`'s command line in this process, which saves loading TensorFlow each time."""

    from label_image.__main__ import main

    def run(*args: str | Path) -> Answer:
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        return Answer(code, *capsys.readouterr())

    return run


def pytest_unconfigure() -> None:
    if "PYTEST_XDIST_WORKER" not in os.environ:
        shutil.rmtree(os.environ["RETRAIN_CACHE_DIR"], ignore_errors=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="try the faults of tests/reliability as often as the docs say")
    parser.addoption("--page", help="write what the faults did into this file")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Escape what is not Unicode, such as some files' names: reports pass from process to process as Unicode."""
    report = yield
    report.sections = [(title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections]
    return report


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of the photos, archives and reference results that are not part of the repository."""
    folder = Path(os.environ.get(DATA_VARIABLE, ROOT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"there is no folder {folder}: set {DATA_VARIABLE} to the folder of flower_photos, models and reference")
    return folder


@pytest.fixture(scope="session")
def flower_photos(data_dir: Path) -> Path:
    """Return the folder of 600 photos of 5 flowers. Read only."""
    return data_dir / "flower_photos"


@pytest.fixture(scope="session")
def reference_dir(data_dir: Path) -> Path:
    """Return the folder of what the original tool made of `flower_photos` under TensorFlow 1.15. Read only."""
    return data_dir / "reference"


@pytest.fixture(scope="session")
def mobilenet_model_dir(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a `--model_dir` that holds the archive of mobilenet_0.25_128, a copy: runs unpack into it."""
    folder = tmp_path_factory.mktemp("models")
    shutil.copy(data_dir / "models" / MOBILENET_ARCHIVE, folder)
    return folder


@pytest.fixture(scope="session")
def small_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw an image folder of 3 × 25 small JPEGs, easy to learn; copy it before changing it.

    The split of the original's networks depends on the whole path, which differs in each session; so names are chosen such that
    it always comes out as `SMALL_SPLIT` for each class, when the folder is given as it is returned here, and 10% go to each set.
    Other networks have the same split.
    """

    def draw(folder: Path) -> Path:
        for label in SMALL_CLASSES:
            (folder / label).mkdir()
            for seed, name in enumerate(_names_by_split(folder / label)):
                draw_photo(label, seed).save(folder / label / name, quality=90)
        return folder

    return made_once(tmp_path_factory, "photos", draw)


@pytest.fixture(scope="session")
def few_photos(small_photos: Path) -> list[Path]:
    """Return ten of `small_photos`, of all classes."""
    return sorted(small_photos.glob("*/*.jpg"))[::8]


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory, few_photos: list[Path]) -> "Exported":
    """Export the bundled network with a head in every format. Read only."""
    from tests.support.exported import bundled_backbone, export_all

    return made_once(tmp_path_factory, "exported", lambda folder: export_all(folder, bundled_backbone(), few_photos))


@pytest.fixture(scope="session")
def run_cli() -> RunCli:
    """Return a function that runs one of the project's commands as a user does, in a process of its own."""

    def run(*args: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        inherited = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
        return subprocess.run(
            [sys.executable, "-m", *map(str, args)],
            cwd=cwd,
            env={**inherited, "PYTHONPATH": str(ROOT), **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    return run


@pytest.fixture(autouse=True)
def logger_as_before() -> Iterator[None]:
    """Restore the project's log, which commands run within a test send to their own stderr."""
    logger = logging.getLogger("retrain")
    before = logger.handlers, logger.level, logger.propagate
    yield
    logger.handlers, logger.level, logger.propagate = before


@pytest.fixture
def logged(logger_as_before: None) -> Iterator[list[str]]:
    """Yield a list that receives what the project logs, at any level, as `WARNING: …`."""
    found: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(f"{record.levelname}: {record.getMessage()}")

    logger = logging.getLogger("retrain")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(keeper := Keeper())
    yield found
    logger.removeHandler(keeper)


def draw_photo(label: str, seed: int) -> Image.Image:
    """Draw a picture of a class of `SMALL_CLASSES`; the same for the same seed."""
    rng = np.random.default_rng([list(SMALL_CLASSES).index(label), seed])
    noise = rng.normal(0, 12, (SMALL_SIZE, SMALL_SIZE, 3))
    grey_levels = np.clip(np.array(SMALL_CLASSES[label]) + rng.normal(0, 15, 3) + noise, 0, 255)
    picture = Image.fromarray(grey_levels.astype(np.uint8))
    pen, phase = ImageDraw.Draw(picture), int(rng.integers(8))
    for start in range(phase, SMALL_SIZE, 12):
        if label == "blue stripes":
            pen.line([(start, 0), (start, SMALL_SIZE)], fill="white", width=4)
        elif label == "green rings":
            pen.ellipse([start / 2, start / 2, SMALL_SIZE - start / 2, SMALL_SIZE - start / 2], outline="yellow", width=2)
        else:
            x, y = rng.integers(SMALL_SIZE - 8, size=2).tolist()
            pen.ellipse([x, y, x + 8, y + 8], fill="black")
    return picture


def _names_by_split(folder: Path) -> list[str]:
    wanted, names = dict(SMALL_SPLIT), []
    for number in range(100_000):
        name = f"photo_{number:04d}.jpg"
        split = which_split(os.path.join(folder, name), 10, 10)
        if split == which_split(f"{folder.name}/{name}", 10, 10) and wanted[split]:
            wanted[split] -= 1
            names.append(name)
        if not any(wanted.values()):
            return names
    raise AssertionError("no names were found for each set")
