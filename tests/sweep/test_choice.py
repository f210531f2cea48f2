"""The Pareto front and the best row within a budget, for given numbers."""

import random

import pytest

from retrain.sweep.choice import best_within, choice_text, pareto_front, short, with_pareto_front
from retrain.sweep.config import SweepConfig
from retrain.sweep.rows import Row, rows_of
from tests.support.sweeping import outcome


def rows(*numbers: tuple[float | None, float | None, float]) -> list[Row]:
    """Return a row for each validation accuracy, milliseconds and megabytes; the names are a, b, c …"""
    return rows_of([outcome("abcdefgh"[index], *each) for index, each in enumerate(numbers)])


@pytest.mark.parametrize(
    ("numbers", "front"),
    [
        ([(0.7, 5, 2)], [True]),
        ([(0.7, 5, 2), (0.8, 5, 2)], [False, True]),
        ([(0.7, 5, 2), (0.8, 6, 2), (0.75, 6, 1)], [True, True, True]),
        ([(0.7, 5, 2), (0.7, 5, 2)], [True, True]),  # Equal rows are not better than each other.
        ([(0.7, 5, 2), (0.7, 5, 1.9)], [False, True]),
        ([(0.7, 5, 2), (0.7, 4.9, 2)], [False, True]),
        ([(0.9, 50, 90), (0.8, 9, 10), (0.79, 10, 10), (0.6, 1, 1)], [True, True, False, True]),
        ([(0.7, None, 2), (0.6, 5, 2), (None, 1, 1)], [False, True, False]),  # What lacks a measure is not compared.
        ([(0.0, 5, 2), (0.5, 0.0, 2)], [False, True]),
    ],
)
def test_the_pareto_front(numbers: list[tuple[float | None, float | None, float]], front: list[bool]) -> None:
    assert pareto_front(rows(*numbers)) == front


def test_the_front_does_not_depend_on_the_order_and_nothing_beats_it() -> None:
    rng = random.Random(3)
    for _ in range(50):
        numbers = [(rng.randint(1, 4) / 4, float(rng.randint(1, 4)), float(rng.randint(1, 4))) for _ in range(8)]
        front = pareto_front(rows(*numbers))
        assert pareto_front(rows(*numbers[::-1])) == front[::-1]
        for each, on_front in zip(numbers, front, strict=True):
            beaten = [one for one in numbers if one[0] >= each[0] and one[1] <= each[1] and one[2] <= each[2] and one != each]
            assert on_front is not bool(beaten)


def test_rows_are_compared_by_the_mean_over_their_seeds() -> None:
    outcomes = [
        outcome("a", 0.9, 5, seed=1),
        outcome("a", 0.5, 5, seed=2),
        outcome("b", 0.75, 5, seed=1),
        outcome("b", 0.75, 5, seed=2),
        outcome("b", None, 5, seed=3),
    ]
    assert [each.pareto_front for each in with_pareto_front(outcomes)] == [False, False, True, True, True]
    best = best_within(rows_of(outcomes), SweepConfig(budget_ms=5))
    assert best is not None and best.name == "b"


def test_without_times_there_is_no_front() -> None:
    outcomes = [outcome("a", 0.9), outcome("a", 0.8, swept={"l2": "1"})]
    assert with_pareto_front(outcomes) == outcomes
    assert outcomes[0].pareto_front is None


@pytest.mark.parametrize(
    ("budget", "name"),
    [
        (SweepConfig(budget_ms=100), "a"),
        (SweepConfig(budget_ms=50), "a"),  # Exactly the budget fits.
        (SweepConfig(budget_ms=49.9), "b"),
        (SweepConfig(budget_mb=10), "b"),
        (SweepConfig(budget_ms=49, budget_mb=9), "d"),
        (SweepConfig(budget_ms=0.5), None),
        (SweepConfig(budget_ms=100, budget_mb=0.5), None),
    ],
)
def test_the_best_within_a_budget(budget: SweepConfig, name: str | None) -> None:
    best = best_within(rows((0.9, 50, 90), (0.8, 9, 10), (0.8, 10, 10), (0.6, 1, 1)), budget)
    assert (best and best.name) == name


def test_the_choice_is_by_validation_accuracy_whatever_the_test_accuracy_is() -> None:
    outcomes = [
        outcome("mobilenet", 0.7, 2.123, 1.998252, test_accuracy=0.6, seed=1, swept={"l2": "0", "hidden_units": ""}),
        outcome("mobilenet", 0.72, 2.123, 1.998252, test_accuracy=0.65, seed=2, swept={"l2": "0", "hidden_units": ""}),
        outcome("resnet", 0.7, 7.4, 2.386737, test_accuracy=0.99, swept={"l2": "0", "hidden_units": ""}),
    ]
    assert choice_text(rows_of(outcomes), SweepConfig(budget_ms=10, budget_mb=2.5)) == (
        "Best within 10 ms a photo and 2.5 MB, by validation accuracy: mobilenet (l2 0, hidden_units none). It has validation "
        "accuracy 71.0% (70.0 to 72.0), test accuracy 62.5% (60.0 to 65.0), and takes 2.12 ms a photo and 2 MB."
    )
    assert choice_text(rows_of(outcomes[2:]), SweepConfig(budget_mb=3)) == (
        "Best within 3 MB, by validation accuracy: resnet (l2 0, hidden_units none). It has validation accuracy 70.0%, test "
        "accuracy 99.0%, and takes 7.4 ms a photo and 2.39 MB."
    )


@pytest.mark.parametrize(
    ("budget", "sentence"),
    [
        (SweepConfig(budget_ms=1), "No network fits within 1 ms a photo. The nearest is b, which takes 2 ms a photo and 40 MB."),
        (SweepConfig(budget_mb=0.1), "No network fits within 0.1 MB. The nearest is c, which takes 30 ms a photo and 1 MB."),
        (  # Twice the milliseconds, against 4 and 15 times the largest excess of the others.
            SweepConfig(budget_ms=2, budget_mb=10),
            "No network fits within 2 ms a photo and 10 MB. The nearest is a, which takes 4 ms a photo and 5 MB.",
        ),
    ],
)
def test_if_none_fits_the_nearest_is_named(budget: SweepConfig, sentence: str) -> None:
    assert choice_text(rows((0.7, 4, 5), (0.9, 2, 40), (0.6, 30, 1), (0.5, 2, 40)), budget) == sentence


def test_without_validation_images_nothing_is_chosen() -> None:
    assert choice_text(rows((None, 4, 5)), SweepConfig(budget_ms=9)) == (
        "No network can be chosen within 9 ms a photo: there is no validation accuracy to choose by."
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1998.2, "1998"),
        (123.4, "123"),
        (100.0, "100"),
        (12.34, "12.3"),
        (2.0, "2"),
        (0.2126, "0.213"),
        (0.0004567, "0.000457"),
        (0, "0"),
    ],
)
def test_numbers_have_three_digits(value: float, text: str) -> None:
    assert short(value) == text
