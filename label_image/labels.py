"""Labels of a classifier: in a file of the user's, in the metadata, or in a file beside the graph."""

import codecs
import os
import re
from collections.abc import Sequence

from retrain.errors import GraphError
from retrain.graphdef.description import Description, without_blanks

# Names of labels beside a graph without metadata: those of the tutorial's scripts, and of Teachable Machine.
USUAL_NAMES = ("retrained_labels.txt", "output_labels.txt", "labels.txt")
NUMBERED = re.compile(r"(\d+) (.*)")  # A line of Teachable Machine, such as `0 daisy`.
UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)  # What Windows PowerShell's `>` writes.


def find_labels(graph_path: str, labels_path: str | None, metadata: Description | None) -> tuple[str, ...]:
    """Return the labels: from the user's file, else from the metadata, else from a file beside the graph.

    Raises:
        GraphError: the file cannot be read, or is missing.
    """
    if labels_path is None and metadata:
        return metadata.labels
    return read_labels(labels_path or _beside(graph_path))


def read_labels(path: str) -> tuple[str, ...]:
    """Read a file of labels, one per line, in UTF-8, or in UTF-16 with a byte order mark; the mark is no part of a label,
    nor are spaces at its ends.

    Raises:
        GraphError: the file cannot be read; the message names `--labels`.
    """
    try:
        with open(path, "rb") as file:
            data = file.read()
        text = data.decode("utf-16" if data.startswith(UTF_16_MARKS) else "utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise GraphError(f"--labels {path} cannot be read ({reason}).") from error
    labels = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    while labels and not labels[-1]:  # Blank lines at the end.
        labels.pop()
    return _without_numbers([without_blanks(label) for label in labels])


def _without_numbers(labels: Sequence[str]) -> tuple[str, ...]:
    """Remove the numbers of lines that are all numbered, from 0 on and in order."""
    found = [NUMBERED.fullmatch(label) for label in labels]
    if all(line and line[1] == str(index) for index, line in enumerate(found)):
        return tuple(line[2] for line in found if line)
    return tuple(labels)


def _beside(graph_path: str) -> str:
    folder, name = os.path.split(graph_path)
    expected = os.path.join(folder, os.path.splitext(name.replace("graph", "labels"))[0] + ".txt")
    for path in (expected, *(os.path.join(folder, usual) for usual in USUAL_NAMES)):
        if os.path.isfile(path):
            return path
    raise GraphError(f"The graph has no labels in its metadata, and there is no {expected}. Set --labels.")
