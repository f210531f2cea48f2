"""Errors for the user. The message of each names what is wrong and the cure."""

import re
from collections.abc import Sequence

MOST_NAMED = 5  # Of many names in a message.


class RetrainError(Exception):
    """Base class of this project's errors; the command line prints it as `error: …` and ends with `exit_code`."""

    exit_code = 1


class FlagError(RetrainError):
    """A flag, or a field of the configuration, has a value that is not allowed."""

    exit_code = 2


class ImageFolderError(RetrainError):
    """The image folder cannot be trained on: missing, too few classes, two folders with one label, …"""

    exit_code = 2


class ImageError(RetrainError):
    """One image cannot be read or decoded."""


class OutputError(RetrainError):
    """An output path cannot be used, or holds something that is not ours."""

    exit_code = 2


class CheckpointError(RetrainError):
    """A checkpoint cannot be resumed from: it is damaged, or belongs to another training."""

    exit_code = 2


class ModelError(RetrainError):
    """A network's file is missing, or is not what its name says."""


class ModelUnavailableError(ModelError):
    """A network's file is missing and cannot be downloaded."""


class GraphError(RetrainError):
    """A graph cannot be opened, lacks a named tensor, or does not fit the labels it came with."""

    exit_code = 2


def reason_of(error: Exception) -> str:
    """Return why something failed, in the words of the system or of TensorFlow, without TensorFlow's notes for developers."""
    text = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
    text = re.sub(r"(?s)^Graph execution error:.*?\nNode: '[^\n]*'\n|\s*\[\[\{\{node .*", "", text)  # Where in the graph.
    return re.sub(r"^\{\{function_node [^}]*\}\} | \[Op:\w+\]$", "", text)


def shown(path: str) -> str:
    """Return a path for a line of text: characters that do not print, such as a line break, are escaped as in Python."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in path)


def counted(count: int, one: str, several: str) -> str:
    """Return a number with its words: those for one, such as `image is`, or those for several, such as `images are`."""
    return f"{count} {one if count == 1 else several}"


def listing(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """Return names joined by commas; of many, the first `most` and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
