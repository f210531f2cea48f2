"""The network asked for, or the one in its place."""

import logging

from retrain.backbones.backbone import Backbone, load_backbone
from retrain.backbones.catalog import BUNDLED, INCEPTION, PIXELS, Architecture, find_architecture, is_local_graph
from retrain.backbones.download import read_graph_file
from retrain.backbones.hub.module import load_hub_module
from retrain.backbones.local_graph import load_local_graph
from retrain.backbones.overrides import NetworkFlags
from retrain.backbones.pixels import pixels_graph
from retrain.errors import ModelUnavailableError
from retrain.process.precision import FLOAT32

logger = logging.getLogger("retrain")


def choose_backbone(
    architecture: str | None,
    model_dir: str,
    model_url_base: str | None,
    precision: str = FLOAT32,
    tfhub_module: str | None = None,
    given: NetworkFlags = NetworkFlags(),  # noqa: B008 - it does not change.
) -> tuple[Backbone, str]:
    """The network asked for; or, if none was named, Inception v3, or where that cannot be had the bundled network and a note.

    Args:
        architecture: a name, or the path of a frozen graph.
        model_dir, model_url_base: where the archives of known networks are, or come from.
        precision: of the network's computation.
        tfhub_module: a module's handle, in the place of an architecture.
        given: what the user says of a local graph or of a module.

    Raises:
        FlagError: there is no such architecture or module.
        GraphError: a local graph or a module cannot be used, or does not say enough of itself.
        ModelError: its file cannot be had or is damaged.
    """
    if tfhub_module is not None:
        return load_hub_module(tfhub_module, given, precision), ""
    if architecture is not None and is_local_graph(architecture):
        return load_local_graph(architecture, given, precision), ""
    chosen, note = find_architecture(architecture or INCEPTION), ""
    try:
        graph_bytes = _graph_bytes(chosen, model_dir, model_url_base)
    except ModelUnavailableError as error:
        if architecture is not None:
            raise
        note = f"{INCEPTION} could not be had; the bundled network {BUNDLED} was used in its place."
        advice = "name it with --architecture to avoid this warning."
        logger.warning("%s\nGoing on with the bundled network %s; %s", error, BUNDLED, advice)
        chosen = find_architecture(BUNDLED)
        graph_bytes = read_graph_file(chosen, model_dir)
    return load_backbone(chosen, graph_bytes, precision), note


def _graph_bytes(chosen: Architecture, model_dir: str, model_url_base: str | None) -> bytes:
    if PIXELS.fullmatch(chosen.name):
        return pixels_graph(chosen)
    return read_graph_file(chosen, model_dir, model_url_base)
