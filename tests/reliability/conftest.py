"""Fixtures of the fault tests: how often they try, where they record what happened, and the run that nothing disturbs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.reliability.faults import NOTHING, Fault, Faults
from tests.support.shared import made_once
from tests.support.undisturbed import Undisturbed, draw_photos, run_undisturbed

Note = Callable[..., None]
EVERY = 500  # Steps from one line of the undisturbed run's log to the next.


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Return True if each fault is to be tried as often as docs/reliability.md says, and not only a few times."""
    return bool(request.config.getoption("--long"))


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Note:
    """Return a function that records a fault once all checks held: `note("a truncated JPEG", tried=1, happened="skipped: …")`."""
    faults: Faults = request.config.stash[FAULTS]
    group = (request.module.__doc__ or "").split(".", 1)[0].strip()
    assert group, "a module of fault tests begins with the title of its section"

    def add(fault: str, *, tried: int, happened: str, lost: str = NOTHING) -> None:
        faults.rows.append(Fault(group, fault, tried, happened, lost))

    return add


@pytest.fixture(scope="session")
def crash_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "crash_photos", draw_photos)


@pytest.fixture(scope="session")
def undisturbed(crash_photos: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Undisturbed:
    """With all tries it trains for so long that checkpoints are written on the way."""
    n_steps = 150_000 if request.config.getoption("--long") else 20_000
    training = [f"--how_many_training_steps={n_steps}", f"--eval_step_interval={EVERY}", "--intermediate_store_frequency=5000"]
    flags = [f"--image_dir={crash_photos}", "--architecture=tiny_resnet_128", "--random_seed=3", *training]
    flags.append("--bottleneck_batch_size=4")  # So that bottlenecks come out one after the other, and not all at the end.
    return made_once(tmp_path_factory, "undisturbed", lambda folder: run_undisturbed(folder, *flags))


FAULTS = pytest.StashKey[Faults]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FAULTS] = Faults()


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the page, but only of a run in which nothing failed. What was not tried stays as it was."""
    if exitstatus == 0 and session.config.getoption("--page"):
        page = Path(session.config.getoption("--page"))
        earlier = page.read_text(encoding="utf-8") if page.exists() else ""
        page.write_text(session.config.stash[FAULTS].page(earlier), encoding="utf-8")
