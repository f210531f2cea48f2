"""The errors a user can meet. Each carries a sentence that names what is wrong and the cure."""

import re


class RetrainError(Exception):
    """Base of all errors of this project; the command line prints it as `error: …` and ends with `exit_code`."""

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
    """A place to write to cannot be used, or holds something that is not ours."""

    exit_code = 2


class CheckpointError(RetrainError):
    """The training that a checkpoint holds cannot be gone on with: it is damaged, or is another training."""

    exit_code = 2


class ModelError(RetrainError):
    """A network's file cannot be had, or is not what its name says."""


class ModelUnavailableError(ModelError):
    """A network's file is not at hand and cannot be downloaded."""


class GraphError(RetrainError):
    """A graph cannot be opened, lacks a named tensor, or does not fit the labels it came with."""

    exit_code = 2


def reason_of(error: Exception) -> str:
    """Why something failed, in the words of the system or of TensorFlow, without TensorFlow's notes for its makers."""
    text = getattr(error, "strerror", None) or getattr(error, "message", None) or str(error)
    text = re.sub(r"(?s)^Graph execution error:.*?\nNode: '[^\n]*'\n|\s*\[\[\{\{node .*", "", text)  # Where in the graph.
    return re.sub(r"^\{\{function_node [^}]*\}\} | \[Op:\w+\]$", "", text)


def shown(path: str) -> str:
    """A path for a line of text: what does not print, such as a line break in a file's name, is written as Python writes it."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in path)
