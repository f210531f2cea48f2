"""The page of a report: sections → one self-contained HTML file, and each section's lists as CSV files beside it."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jinja2

from retrain.errors import OutputError, shown
from retrain.files import write_atomically

TEMPLATES = os.path.join(os.path.dirname(__file__), "templates")
MARK = b'<meta name="generator" content="retrain">'
HEAD_BYTES = 4096  # In which the mark is.
LONGEST_TEXT = 200  # Of a label or a path; of a longer one the end is shown.


@dataclass(frozen=True)
class Section:
    """A section of the report.

    Attributes:
        name: of its template, `<name>.html`, and of its anchor in the page.
        title: its heading.
        values: what the template shows.
        lists: rows of each CSV file by name, the first one with the names of the columns.
    """

    name: str
    title: str
    values: Mapping[str, Any]
    lists: Mapping[str, Sequence[Sequence[object]]] = field(default_factory=dict)


def write_report(path: str, title: str, sections: Sequence[Section]) -> None:
    """Write the page to `path`, and the lists to the folder of the same name without its ending.

    Raises:
        OutputError: a file cannot be written.
    """
    folder = lists_folder(path)
    try:
        for section in sections:
            for name, rows in section.lists.items():
                os.makedirs(folder, exist_ok=True)
                write_atomically(os.path.join(folder, f"{name}.csv"), _csv(rows))
        write_atomically(path, page(title, sections, os.path.basename(folder)).encode())
    except OSError as error:
        raise OutputError(f"--report {error.filename or path} cannot be written ({error.strerror}).") from error


def report_may_be_written(path: str) -> bool:
    """Return True if there is nothing at `path`, an empty file, or a report."""
    try:
        with open(path, "rb") as file:
            start = file.read(HEAD_BYTES)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return not start or MARK in start


def lists_folder(path: str) -> str:
    """Return the folder of a report's lists: `flowers_report` of `flowers_report.html`."""
    stem, ending = os.path.splitext(path)
    return stem if ending else f"{path}_lists"


def page(title: str, sections: Sequence[Section], folder: str) -> str:
    """Return the HTML of a report whose lists are in `folder`."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    environment.lstrip_blocks = True
    environment.filters |= {"text": shortened, "text_whole": shown, "percent": percent}
    return environment.get_template("page.html").render(title=title, sections=sections, folder=folder)


def shortened(text: str) -> str:
    """Return a label or a path as the page shows it: what does not print is escaped, and a long one has its end alone."""
    printable = shown(text)
    return printable if len(printable) <= LONGEST_TEXT else f"…{printable[-LONGEST_TEXT:]}"


def percent(share: float | None) -> str:
    """Return a share as a percentage; a dash if there is none."""
    return "–" if share is None else f"{share:.1%}"


def _csv(rows: Sequence[Sequence[object]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")
