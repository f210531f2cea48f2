"""Checks of the options that name the network, its layers and its input settings."""

import os

from retrain.backbones.catalog import find_architecture, is_local_graph
from retrain.errors import FlagError
from retrain.graphdef.file_kind import SAVED_MODEL, models_in
from retrain.options.network import NetworkOptions

LAYERS = ("input_layer", "bottleneck_layer")
INPUT_OPTIONS = (*LAYERS, "input_height", "input_width", "input_mean", "input_std", "channel_order")


def network_problems(options: NetworkOptions) -> str | None:
    """Return what is wrong with the choice of the network, a line for each problem; None if nothing is.

    Problems are two networks at once, an unknown network, and options that would have no effect. No file is opened.
    """
    architecture, module = options.architecture, options.tfhub_module
    if architecture is not None and module is not None:
        return (
            "--architecture and --tfhub_module must not be given together, since each names the network. "
            f"Got {architecture} and {module}."
        )
    local = architecture is not None and is_local_graph(architecture)
    if architecture is not None and not local and (problem := _name_problem(architecture)):
        return problem
    given = [name for name in INPUT_OPTIONS if getattr(options, name) is not None]
    idle = [] if local else [name for name in given if name in LAYERS] if module is not None else given
    graph = "a local graph (--architecture path/to/graph.pb)"
    both = f"{graph} or a module (--tfhub_module)"
    return "\n".join(f"--{name} is only for {graph if name in LAYERS else both}: leave it out." for name in idle) or None


def _name_problem(architecture: str) -> str | None:
    try:
        find_architecture(architecture)
    except FlagError as error:
        if os.path.isdir(architecture):
            return (
                "--architecture must be a name, a file or the folder of a SavedModel. "
                f"Got {architecture}, a folder without {SAVED_MODEL}.{models_in(architecture)}"
            )
        return str(error)
    return None
