"""Learning curves as drawings (SVG)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from retrain.head.overfitting import Measured

WIDTH, HEIGHT = 560, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 34  # Margins, in units of the drawing.
MOST_POINTS = 300
MOST_STEPS = 4  # Between ticks.
ROUND = (1, 2, 2.5, 5, 10)  # Distances of ticks, times a power of ten.
Curves: TypeAlias = dict[str, list[tuple[int, float | None]]]  # Steps and values, by the name of the curve.


@dataclass(frozen=True)
class Chart:
    """A chart of two curves over the training steps, in the coordinates of the drawing.

    Attributes:
        title: what it shows.
        summary: the same in a sentence, for those who cannot see it.
        lines: name and points, as `x,y x,y`, of each curve.
        x_ticks, y_ticks: position and text of each tick.
    """

    title: str
    summary: str
    lines: tuple[tuple[str, str], ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    bottom: int = HEIGHT - BOTTOM
    right: int = WIDTH - RIGHT


def accuracy_chart(history: Sequence[Measured]) -> Chart | None:
    """Return the accuracies of the evaluations; None if there are fewer than two."""
    curves: Curves = {
        "training": [(each.step, each.train_accuracy) for each in history],
        "validation": [(each.step, each.validation_accuracy) for each in history],
    }
    return _chart("Accuracy", curves, (0.0, 1.0), lambda value: f"{value:.0%}")


def loss_chart(history: Sequence[Measured]) -> Chart | None:
    """Return the cross entropies of the evaluations; None if there are fewer than two."""
    curves: Curves = {
        "training": [(each.step, each.train_cross_entropy) for each in history],
        "validation": [(each.step, each.validation_cross_entropy) for each in history],
    }
    return _chart("Cross entropy", curves, (0.0, None), lambda value: f"{value:.3g}")


def _chart(title: str, curves: Curves, limits: tuple[float, float | None], text: Callable[[float], str]) -> Chart | None:
    points = {
        name: _thinned([(step, value) for step, value in curve if value is not None and math.isfinite(value)])
        for name, curve in curves.items()
    }
    points = {name: found for name, found in points.items() if len(found) > 1}
    if not points:
        return None
    steps = [step for found in points.values() for step, _ in found]
    values = [value for found in points.values() for _, value in found]
    low, high = limits[0], limits[1] if limits[1] is not None else max(values) or 1.0
    high = max(high, _ticks(low, high)[-1])
    first, last = min(steps), max(steps)

    def x(step: float) -> float:
        return round(LEFT + (step - first) / (last - first) * (WIDTH - LEFT - RIGHT), 1)

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    ends = ", ".join(f"{name} {text(found[-1][1])}" for name, found in points.items())
    return Chart(
        title,
        f"{title} at step {last}: {ends}.",
        tuple((name, " ".join(f"{x(step)},{y(value)}" for step, value in found)) for name, found in points.items()),
        tuple((x(step), f"{step:.0f}") for step in _ticks(first, last) if step in range(first, last + 1)),
        tuple((y(value), text(value)) for value in _ticks(low, high)),
    )


def _thinned(points: list[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return at most about MOST_POINTS of the points, the last one among them."""
    stride = -(-len(points) // MOST_POINTS) or 1
    return [*points[:-1:stride], *points[-1:]]


def _ticks(low: float, high: float) -> list[float]:
    """Return some round numbers from the last one that is not above `low` to the first one that is not below `high`."""
    least = (high - low) / MOST_STEPS
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in ROUND if factor * power >= least * (1 - 1e-9))
    return [number * step for number in range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)]
