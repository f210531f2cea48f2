"""Settings of an old graph in a file beside it, which the doctor writes: `old.settings.json` for `old.pb`."""

import dataclasses
import hashlib
import json
import logging
import os
from typing import Any

from label_image.config import ClassifierOptions
from retrain.errors import FlagError, GraphError, OutputError
from retrain.files import write_atomically

logger = logging.getLogger("retrain")

ENDING = ".settings.json"
DIGEST = "graph_sha256"
# The options that the file may hold; each has the name and the legal values of the flag.
SETTINGS = (
    *("input_layer", "output_layer", "input_height", "input_width", "input_mean", "input_std"),
    *("resize", "exif_orientation", "channel_order"),
)


def settings_path(graph_path: str) -> str:
    """Return the path of the settings of a graph."""
    return os.path.splitext(graph_path)[0] + ENDING


def write_settings(graph_path: str, settings: dict[str, Any]) -> str:
    """Write the settings of a graph, by the names of flags, beside it; return the path. Raises OutputError."""
    path = settings_path(graph_path)
    try:
        write_atomically(path, (json.dumps({DIGEST: _digest(graph_path), **settings}, indent=2) + "\n").encode())
    except OSError as error:
        raise OutputError(f"The settings {path} cannot be written ({error.strerror}).") from error
    return path


def with_settings(graph_path: str, options: ClassifierOptions) -> ClassifierOptions:
    """Return the options, with the settings beside the graph for all that they leave open.

    Settings that were written for another graph of that name are ignored, with a warning.

    Raises:
        GraphError: the file is damaged.
    """
    path = settings_path(graph_path)
    if not os.path.isfile(path) or not os.path.isfile(graph_path):
        return options
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read())
        if found[DIGEST] != _digest(graph_path):
            logger.warning("The settings %s are of another graph than %s and are ignored.", path, graph_path)
            return options
        known = {name: found[name] for name in SETTINGS if name in found and getattr(options, name) is None}
        return dataclasses.replace(options, **known)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, FlagError) as error:
        raise GraphError(f"The settings {path} cannot be used ({error}). Delete the file, or run --doctor again.") from error


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
