"""Two runs at once.

Real commands that share one cache folder and write to outputs of their own.
"""

import random
import time
from functools import partial
from pathlib import Path

import pytest

from tests.reliability.conftest import Note
from tests.support.commands import Outputs, bottleneck_counts
from tests.support.running import AT_ONCE, Running
from tests.support.undisturbed import (
    N_PHOTOS,
    STOPPED_IN_EXTRACTION,
    Undisturbed,
    check_whole,
    draw_photos,
    has_made,
    run_undisturbed,
)

pytestmark = pytest.mark.slow

_SAME = "the graph equals, byte for byte, a single run's on the same bottlenecks"


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """Run the same training on its own."""
    photos = draw_photos(tmp_path_factory.mktemp("photos"))
    flags = [f"--image_dir={photos}", "--architecture=tiny_resnet_128", "--how_many_training_steps=20", "--random_seed=3"]
    flags.append("--bottleneck_batch_size=4")  # So that bottlenecks come out one after the other, and not all at the end.
    return run_undisturbed(tmp_path_factory.mktemp("single"), *flags)


def test_on_one_empty_cache(single: Undisturbed, tmp_path: Path, long: bool, note: Note) -> None:
    """The second begins at the same moment, or while the first is about it."""
    rng, tries, n_waited = random.Random(8), 10 if long else 1, 0
    for number in range(tries):
        outputs, cache = _two(tmp_path / str(number))
        with _start(single, outputs[0], cache) as first:
            time.sleep(rng.uniform(0, single.seconds / 2) if number >= 5 else 0)
            with _start(single, outputs[1], cache) as second:
                assert (first.end(), second.end()) == (0, 0), f"{first.log}\n{second.log}"
        counts = [bottleneck_counts(run.log) for run in (first, second)]
        assert sorted(counts) == [(0, N_PHOTOS), (N_PHOTOS, 0)]
        waited = [_waits(run, cache) for run in (first, second)]
        assert not any(waits and made for waits, (made, _) in zip(waited, counts, strict=True))
        n_waited += any(waited)
        for run, each in zip((first, second), outputs, strict=True):
            assert "without a record" not in run.log
            single.check_log(run.log)
            _check(single, each, cache)
    note(
        "two runs on one empty cache, the second started at the same moment or a little later",
        tried=tries,
        happened=f"one made all {N_PHOTOS}, the other made none and read them, in {n_waited} of {tries} cases after "
        f"`Another run is making bottlenecks`; {_SAME}",
    )


def test_the_one_that_makes_is_killed(single: Undisturbed, tmp_path: Path, long: bool, note: Note) -> None:
    rng, missing = random.Random(6), []
    for number in range(5 if long else 1):
        outputs, cache = _two(tmp_path / str(number))
        with _start(single, outputs[0], cache) as maker:
            maker.wait_until(partial(has_made, cache, rng.randrange(1, N_PHOTOS // 2)))
            maker.hold()
            finished = check_whole(single, outputs[0], cache)
            with _start(single, outputs[1], cache) as waiter:
                waiter.wait_until(partial(_waits, waiter, cache))
                maker.process.kill()
                assert waiter.end() == 0, waiter.log
        assert bottleneck_counts(waiter.log) == (N_PHOTOS - len(finished), len(finished))
        single.check_log(waiter.log)
        _check(single, outputs[1], cache)
        assert finished.items() <= check_whole(single, outputs[1], cache).items()  # Not made twice.
        missing.append(N_PHOTOS - len(finished))
    counts = f"{missing[0]}" if len(missing) == 1 else f"{min(missing)} to {max(missing)}"
    note(
        "`kill -9` of the run that makes the bottlenecks while another waits for it",
        tried=len(missing),
        happened=f"the other took over and made the missing {counts} of {N_PHOTOS}; {_SAME}",
    )


def test_the_one_that_waits_is_interrupted(single: Undisturbed, tmp_path: Path, note: Note) -> None:
    outputs, cache = _two(tmp_path)
    with _start(single, outputs[0], cache) as maker:
        maker.wait_until(partial(has_made, cache, 1))
        maker.hold()
        with _start(single, outputs[1], cache) as waiter:
            waiter.wait_until(partial(_waits, waiter, cache))
            cost = waiter.interrupt()
        maker.go_on()
        assert maker.end() == 0, maker.log
    assert (waiter.process.returncode, cost <= AT_ONCE) == (130, True), cost
    assert waiter.log.endswith(STOPPED_IN_EXTRACTION)
    assert bottleneck_counts(maker.log) == (N_PHOTOS, 0)
    _check(single, outputs[0], cache)
    note(
        "Ctrl-C of a run that waits for another",
        tried=1,
        happened=f"exit code 130 within {AT_ONCE} times the processor time of loading TensorFlow; "
        f"the other made all {N_PHOTOS}; {_SAME}",
    )


def _two(folder: Path) -> tuple[tuple[Outputs, Outputs], Path]:
    """Two runs' outputs, and the cache that they share."""
    return (Outputs(folder / "first"), Outputs(folder / "second")), folder / "cache"


def _start(single: Undisturbed, outputs: Outputs, cache: Path) -> Running:
    return single.start(outputs, f"--bottleneck_dir={cache}")


def _waits(run: Running, cache: Path) -> bool:
    return f"Another run is making bottlenecks in {cache}; waiting for it.\n" in run.log


def _check(single: Undisturbed, outputs: Outputs, cache: Path) -> None:
    single.check_same_end(outputs, cache)
