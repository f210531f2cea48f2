"""Warnings of overfitting."""

from retrain.head.overfitting import Measured, gap_warning, rise_warning


def history(losses: list[float], train: float = 1.0, validation: float = 0.6) -> list[Measured]:
    return [Measured(10 * number, train, 0.1, validation, loss) for number, loss in enumerate(losses)]


def test_a_gap_that_is_no_chance() -> None:
    assert gap_warning(history([1.0] * 20), 40) == (
        "The head fits its training images far better than its validation images: 100.0% against 60.0% are correct, on average "
        "of the last evaluations. More images help most; fewer training steps, --l2 0.001 or --dropout 0.2 may help too."
    )


def test_a_gap_that_may_be_chance() -> None:
    """Of 9 images 7 are correct: up to 93.7% are in the 95% interval."""
    assert gap_warning(history([1.0] * 20, train=0.93, validation=7 / 9), 9) == ""
    assert gap_warning(history([1.0] * 20, train=0.95, validation=7 / 9), 9) != ""


def test_a_small_gap_says_nothing_however_sure_it_is() -> None:
    assert gap_warning(history([1.0] * 20, train=0.99, validation=0.9), 100_000) == ""
    assert gap_warning(history([1.0] * 20, train=0.5, validation=0.3), 100) == ""  # It has learned little.
    assert gap_warning([], 9) == gap_warning(history([1.0]), 0) == ""


def test_a_long_rise() -> None:
    falling, rising = [1 - 0.05 * i for i in range(10)], [0.5 + 0.01 * i for i in range(60)]
    assert rise_warning(history(falling + rising)) == (
        "The validation cross entropy was lowest near step 120 (0.520) and has risen to 1.070 since. Add --early_stopping 20 "
        "--validation_batch_size=-1, which keeps the best head."
    )
    whole = rise_warning(history(falling + rising), drawn=False)
    assert whole.endswith(" since. Add --early_stopping 20, which keeps the best head.")


def test_no_rise() -> None:
    assert rise_warning(history([1 / (1 + i) for i in range(100)])) == ""
    assert rise_warning(history([0.010 + 0.0001 * i for i in range(100)])) == ""  # Doubled, but still next to nothing.
    assert rise_warning(history([0.5] * 90 + [0.9] * 5)) == ""  # Short.
    assert rise_warning(history([1.0, 2.0])) == rise_warning([]) == ""
