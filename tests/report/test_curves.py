"""Learning curves: round numbers at the axes, and curves within them."""

import pytest

from retrain.head.overfitting import Measured
from retrain.report.curves import Chart, accuracy_chart, loss_chart


def history(n: int, loss: float = 1.0) -> list[Measured]:
    return [
        Measured(
            step=10 * index,
            train_accuracy=0.5,
            train_cross_entropy=loss / (index + 1),
            validation_accuracy=0.25,
            validation_cross_entropy=loss,
        )
        for index in range(n)
    ]


def chart(found: Chart | None) -> Chart:
    assert found
    return found


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (0.787, ["0", "0.2", "0.4", "0.6", "0.8"]),
        (1.0, ["0", "0.25", "0.5", "0.75", "1"]),
        (0.0042, ["0", "0.002", "0.004", "0.006"]),
        (3000.0, ["0", "1e+03", "2e+03", "3e+03"]),
    ],
)
def test_ticks_of_the_cross_entropy_are_round(loss: float, expected: list[str]) -> None:
    assert [text for _, text in chart(loss_chart(history(3, loss))).y_ticks] == expected


def test_ticks_of_accuracy_and_steps() -> None:
    found = chart(accuracy_chart(history(401)))
    assert [text for _, text in found.y_ticks] == ["0%", "25%", "50%", "75%", "100%"]
    assert [text for _, text in found.x_ticks] == ["0", "1000", "2000", "3000", "4000"]
    assert found.x_ticks[0][0] == found.left and found.x_ticks[-1][0] == found.right
    assert [text for _, text in chart(accuracy_chart(history(2))).x_ticks] == ["0", "5", "10"]


def test_curves_are_within_the_axes() -> None:
    found = chart(loss_chart(history(50, 0.787)))
    for _, points in found.lines:
        places = [tuple(map(float, point.split(","))) for point in points.split()]
        assert all(found.left <= x <= found.right and 0 <= y <= found.bottom for x, y in places)
        assert len(places) == 50
