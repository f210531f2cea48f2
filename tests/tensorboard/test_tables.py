"""Tables of the Text page, as TensorBoard makes HTML of them."""

import html
import re

import numpy as np
import pytest
from tensorboard.plugin_util import markdown_to_safe_html

from retrain.config import RetrainConfig
from retrain.evaluation.answers import Report, make_report, measure
from retrain.evaluation.metrics import sigmoid
from retrain.tensorboard.tables import LONGEST_COMMAND, classes_table, escaped, options_table

HOSTILE = '<script>alert(1)</script> & "x"'


def report_of(labels: tuple[str, ...]) -> Report:
    """Return the report of two images of each class, of which one is taken for the next class."""
    classes = np.repeat(np.arange(len(labels)), 2)
    predicted = classes.copy()
    predicted[1::2] = (predicted[1::2] + 1) % len(labels)
    logits = 5 * np.eye(len(labels), dtype=np.float32)[predicted]
    return make_report(labels, ["photo.jpg"] * len(classes), measure(logits, classes), logits, classes)


def cells_of(markdown: str) -> list[str]:
    """Return the text of each cell."""
    page = markdown_to_safe_html(markdown)
    assert re.findall(r"<(script|img|a|svg)\b", page) == []
    return [html.unescape(cell) for cell in re.findall(r"<t[dh]>(.*?)</t[dh]>", page, re.DOTALL)]


@pytest.mark.parametrize(
    "text",
    [
        HOSTILE,
        *(
            "a|b",
            "*a* _b_ `c`",
            "[x](javascript:alert(1))",
            "![x](y.png)",
            "&lt;",
            "花 Gänse",
            "http://x.org",
            "\\|",
            "--a",
            "<b>",
        ),
    ],
)
def test_any_text_is_shown_as_it_is(text: str) -> None:
    assert cells_of(f"| a | b |\n| --- | --- |\n| {escaped(text)} | 1 |") == ["a", "b", text, "1"]


def test_what_does_not_print_is_escaped_and_a_long_text_shortened() -> None:
    assert cells_of(f"| a |\n| --- |\n| {escaped('line' + chr(10) + 'break' + chr(27))} |") == ["a", "line\\nbreak\\x1b"]
    assert html.unescape(escaped("x" * 1000)) == "x" * 200 + "…"


def test_each_class_has_its_numbers() -> None:
    assert cells_of(classes_table(report_of(("cup", HOSTILE)))) == [
        "label", "images", "recall", "precision",
        "cup", "2", "50.0%", "50.0%",
        HOSTILE, "2", "50.0%", "50.0%",
    ]  # fmt: skip


def test_the_table_of_many_classes_is_bounded() -> None:
    table = classes_table(report_of(tuple(f"class {number}" for number in range(3000))))
    assert len(table.splitlines()) == 204 and table.endswith("\n\n2800 more classes have a higher recall.")


def test_images_with_several_labels_have_more_columns() -> None:
    targets = np.array([[1, 0], [1, 1]], np.float32)
    logits = np.array([[5, -5], [5, -5]], np.float32)
    report = make_report(("cup", "mug"), ["a", "b"], measure(logits, targets), sigmoid(logits), targets)
    heads = ["label", "images", "recall", "precision", "f1", "average precision"]
    assert cells_of(classes_table(report))[:12] == [*heads, "cup", "2", "100.0%", "100.0%", "100.0%", "100.0%"]


def test_options_that_were_given_come_first() -> None:
    given = RetrainConfig(image_dir=HOSTILE, architecture="efficientnet_lite0", class_weights={HOSTILE: 2.0})
    table = options_table(given, given.suited_to(39.0))
    cells = cells_of(table)
    rows = dict(zip(cells[::2], cells[1::2], strict=True))
    assert list(rows)[:5] == ["given", "image_dir", "architecture", "class_weights", "others"]
    assert rows["image_dir"] == HOSTILE and rows["learning_rate"] == "0.39" and rows["image_list"] == "–"
    page = html.unescape(markdown_to_safe_html(table))
    assert page.startswith(f"<p>python -m retrain --image_dir '{HOSTILE}' --architecture efficientnet_lite0")


def test_the_table_of_options_is_bounded() -> None:
    weights = {f"class {number}": 2.0 for number in range(10_000)}
    given = RetrainConfig(image_dir="photos", class_weights=weights)
    assert len(options_table(given, given)) < 6 * LONGEST_COMMAND + 10_000
