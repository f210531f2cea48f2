"""Tables of TensorBoard's Text page: the options of a run, and recall and precision of each class, in Markdown."""

import re
from typing import Any

from retrain.errors import shown
from retrain.evaluation.answers import Report
from retrain.evaluation.tables import markdown_table
from retrain.options.command_line import command_line, given_names
from retrain.options.flags import flags_of

MOST_CLASSES = 200
LONGEST_TEXT = 200  # Of a label or a value.
LONGEST_COMMAND = 4000


def options_table(given: Any, used: Any) -> str:
    """Return the command of a run, and its options in two tables: those that were given, and all others.

    Args:
        given: the configuration as it was given.
        used: the same with what was left to the run, such as the learning rate.
    """
    flags = flags_of(type(used))
    values = {
        name: _value(flag.to_text(value) if (value := getattr(used, name)) is not None else "") for name, flag in flags.items()
    }
    changed = set(given_names(given))
    parts = [escaped(command_line("retrain", given), LONGEST_COMMAND)]
    for title, names in (("given", changed), ("others", flags.keys() - changed)):
        rows = [(escaped(name), values[name]) for name in flags if name in names]
        parts.append(markdown_table((title, "value"), rows))
    return "\n\n".join(parts)


def classes_table(report: Report) -> str:
    """Return a line for each class; of more than 200 classes, for those with the lowest recall."""
    rows = report.class_rows(MOST_CLASSES)
    heads = list(rows[0])
    cells = [[escaped(row["label"]), *(_number(row[name]) for name in heads[1:])] for row in rows]
    table = markdown_table([head.replace("_", " ") for head in heads], cells)
    n_more = len(report.labels) - len(rows)
    return f"{table}\n\n{n_more} more classes have a higher recall." if n_more else table


def escaped(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return a text for Markdown that is shown as it is: all but letters, digits and blanks as character references.

    What does not print is escaped as in Python, and of a text that is too long the beginning is shown.
    """
    printable = shown(text)
    if len(printable) > longest:
        printable = f"{printable[:longest]}…"
    return re.sub(r"[^\w ]|_", lambda found: f"&#{ord(found[0])};", printable)


def _value(text: str) -> str:
    return escaped(text) or "–"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.1%}"
