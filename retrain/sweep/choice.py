"""Choice of a network: the Pareto front of accuracy, time and size, and the best row within a budget.

The accuracy is the mean validation accuracy. The best of many test accuracies is biased upwards, since the luckiest row wins; the
test images do not take part in the choice, so that the test accuracy of the chosen row is unbiased.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from retrain.sweep.config import SweepConfig
from retrain.sweep.rows import Outcome, Row, rows_of


def with_pareto_front(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return the outcomes with the mark of their rows; unchanged if the times of the networks were not measured."""
    if all(outcome.network_ms is None for outcome in outcomes):
        return list(outcomes)
    rows = rows_of(outcomes)
    marks = {id(outcome): mark for row, mark in zip(rows, pareto_front(rows), strict=True) for outcome in row.outcomes}
    return [dataclasses.replace(outcome, pareto_front=marks[id(outcome)]) for outcome in outcomes]


def pareto_front(rows: Sequence[Row]) -> list[bool]:
    """Return True for each row on the front.

    A row is on the front if no other row is at least as good in validation accuracy, milliseconds and megabytes, and better in
    one of them. Rows that are equal in all three are on the front together. A row without one of the measures is not on it.
    """
    costs = [_costs(row) for row in rows]
    known = [each for each in costs if each]
    return [each is not None and not any(_is_better(other, each) for other in known) for each in costs]


def best_within(rows: Sequence[Row], budget: SweepConfig) -> Row | None:
    """Return the row with the highest validation accuracy among those within the budget; None if there is none.

    Of equally accurate rows, the fastest is returned, then the smallest, then the first.
    """
    fitting = [(costs, row) for row in rows if (costs := _costs(row)) and _overrun(row, budget) <= 1]
    return min(fitting, key=lambda each: each[0])[1] if fitting else None


def choice_text(rows: Sequence[Row], budget: SweepConfig) -> str:
    """Return a sentence that names the best row within the budget, or says that none fits, and the nearest."""
    limits = [f"{budget.budget_ms:g} ms a photo"] if budget.budget_ms is not None else []
    limits += [f"{budget.budget_mb:g} MB"] if budget.budget_mb is not None else []
    limit = " and ".join(limits)
    comparable = [row for row in rows if _costs(row)]
    if not comparable:
        return f"No network can be chosen within {limit}: there is no validation accuracy to choose by."
    if best := best_within(rows, budget):
        validation, test = ([getattr(each, f"{of}_accuracy") for each in best.outcomes] for of in ("validation", "test"))
        accuracies = f"validation accuracy {spread(validation)}, test accuracy {spread(test)}"
        return f"Best within {limit}, by validation accuracy: {best.name}. It has {accuracies}, and takes {_cost_text(best)}."
    nearest = min(comparable, key=lambda row: (_overrun(row, budget), *(_costs(row) or ())))
    return f"No network fits within {limit}. The nearest is {nearest.name}, which takes {_cost_text(nearest)}."


def spread(accuracies: Sequence[float | None]) -> str:
    """Return mean, minimum and maximum of accuracies between 0 and 1, in percent, such as `70.0% (68.3 to 71.7)`."""
    known = [100 * accuracy for accuracy in accuracies if accuracy is not None]
    if not known:
        return "no images"
    mean = f"{statistics.fmean(known):.1f}%"
    return mean if len(known) == 1 else f"{mean} ({min(known):.1f} to {max(known):.1f})"


def _costs(row: Row) -> tuple[float, float, float] | None:
    """Return what a row is judged by, each better if it is lower: inverted accuracy, milliseconds, megabytes."""
    if row.validation_accuracy is None or row.network_ms is None:
        return None
    return -row.validation_accuracy, row.network_ms, row.network_mb


def _is_better(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine <= its for mine, its in zip(one, other, strict=True))


def _overrun(row: Row, budget: SweepConfig) -> float:
    """Return the largest ratio of a cost to its budget: 1 or less fits."""
    pairs = ((row.network_ms, budget.budget_ms), (row.network_mb, budget.budget_mb))
    return max(cost / limit for cost, limit in pairs if cost is not None and limit is not None)


def _cost_text(row: Row) -> str:
    return f"{short(row.network_ms)} ms a photo and {short(row.network_mb)} MB"


def short(value: float | None) -> str:
    """Return a positive number with three significant digits, all of its integer digits, and no exponent."""
    if value is None:
        return "unknown"
    digits = max(0, 2 - math.floor(math.log10(value))) if value else 0
    text = f"{value:.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
