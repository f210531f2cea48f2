"""Class-balanced sampling: a class uniformly, then one of its images uniformly; and the batches of a training."""

from collections import Counter

import numpy as np
import pytest

from retrain.arrays import IndexArray
from retrain.data.sampling import Sampler

# Classes of 12 images, out of order as in no real folder, so that nothing can rely on their order.
CLASSES = np.array([2, 0, 2, 1, 2, 0, 2, 2, 1, 2, 2, 4])


def sampler(members: list[int], seed: int = 0, classes: IndexArray = CLASSES) -> Sampler:
    return Sampler(classes, members, np.random.default_rng(seed))


def chi_square(counts: Counter[int], expected: dict[int, float]) -> float:
    return sum((counts[index] - count) ** 2 / count for index, count in expected.items())


@pytest.mark.parametrize("seed", range(5))
def test_classes_are_drawn_equally_often_and_so_are_images_within_one(seed: int) -> None:
    """All 12 images, in classes of 2, 2, 7 and 1: each class has a quarter of the draws, each image its share of that.

    31.3 is the 0.1% point of chi-square with 11 degrees of freedom (any table): one seed in 1,000 would be above.
    """
    n_draws = 40_000
    counts = Counter(sampler(list(range(12)), seed).draw(n_draws).tolist())
    sizes = Counter(CLASSES.tolist())
    expected = {index: n_draws / 4 / sizes[class_index] for index, class_index in enumerate(CLASSES.tolist())}
    assert sum(counts.values()) == n_draws
    assert chi_square(counts, expected) < 31.3


def test_the_bound_would_notice_images_drawn_uniformly() -> None:
    """The test above can fail: draws that ignore classes are far beyond its bound."""
    n_draws = 40_000
    counts = Counter(np.random.default_rng(0).integers(12, size=n_draws).tolist())
    sizes = Counter(CLASSES.tolist())
    expected = {index: n_draws / 4 / sizes[class_index] for index, class_index in enumerate(CLASSES.tolist())}
    assert chi_square(counts, expected) > 1000


def test_draws_are_independent_of_each_other() -> None:
    """Pairs of draws in a row: with classes 0 and 1 of one image each, all four pairs are equally frequent.

    16.3 is the 0.1% point of chi-square with 3 degrees of freedom.
    """
    drawn = sampler([0, 1], classes=np.array([0, 1])).draw(40_000).reshape(-1, 2)
    counts = Counter((drawn[:, 0] * 2 + drawn[:, 1]).tolist())
    assert chi_square(counts, dict.fromkeys(range(4), 5000.0)) < 16.3


def test_only_members_are_drawn_and_all_of_them() -> None:
    members = [0, 1, 3, 7, 11]
    drawn = sampler(members).draw(2000)
    assert set(drawn.tolist()) == set(members)
    assert drawn.dtype == np.int64


def test_classes_without_members_are_never_drawn() -> None:
    counts = Counter(CLASSES[sampler([0, 2, 4, 3]).draw(10_000)].tolist())
    assert set(counts) == {1, 2}
    assert counts[1] == pytest.approx(5000, abs=250)  # 5 standard deviations


def test_a_large_class_has_no_image_that_is_out_of_reach() -> None:
    classes = np.zeros(1000, np.int64)
    drawn = sampler(list(range(1000)), classes=classes).draw(20_000)
    assert set(drawn.tolist()) == set(range(1000))  # each is missed with probability 2e-9


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_a_batch_has_the_size_asked_for(batch_size: int) -> None:
    assert sampler([0, 1]).draw(batch_size).shape == (batch_size,)


def test_minus_one_draws_each_image_once_class_by_class() -> None:
    """Derived from CLASSES by hand: class 0, class 1, class 2, class 4, each in the order of the members."""
    drawn = sampler([11, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]).draw(-1)
    assert drawn.tolist() == [5, 1, 8, 3, 9, 7, 6, 4, 2, 0, 11]
    assert sampler(list(range(12))).draw(-1).tolist() == [1, 5, 3, 8, 0, 2, 4, 6, 7, 9, 10, 11]


def test_minus_one_uses_no_randomness() -> None:
    first, second = sampler([0, 1, 2], seed=3), sampler([0, 1, 2], seed=3)
    first.draw(-1)
    assert first.draw(50).tolist() == second.draw(50).tolist()


def test_the_same_seed_draws_the_same() -> None:
    members = list(range(12))
    assert sampler(members, 7).draw(100).tolist() == sampler(members, 7).draw(100).tolist()
    assert sampler(members, 7).draw(100).tolist() != sampler(members, 8).draw(100).tolist()


@pytest.mark.parametrize("batch_size", [-1, 1, 100])
def test_of_a_split_without_images_nothing_is_drawn(batch_size: int) -> None:
    empty = sampler([])
    assert len(empty) == 0
    drawn = empty.draw(batch_size)
    assert drawn.shape == (0,)
    assert drawn.dtype == np.int64


def test_the_length_is_the_number_of_images() -> None:
    assert len(sampler([3, 1, 2])) == 3
