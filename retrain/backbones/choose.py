"""The network asked for, or the one in its place."""

import logging

from retrain.backbones.catalog import BUNDLED, INCEPTION, find_architecture
from retrain.backbones.download import read_graph_file
from retrain.backbones.frozen_graph import Backbone, load_backbone
from retrain.backbones.precision import FLOAT32
from retrain.errors import ModelUnavailableError

logger = logging.getLogger("retrain")


def choose_backbone(
    architecture: str | None, model_dir: str, model_url_base: str | None, precision: str = FLOAT32
) -> tuple[Backbone, str]:
    """The network asked for; or, if none was named, Inception v3, or where that cannot be had the bundled network and a note.

    Raises:
        FlagError: there is no such architecture.
        ModelError: its file cannot be had or is damaged.
    """
    chosen, note = find_architecture(architecture or INCEPTION), ""
    try:
        graph_bytes = read_graph_file(chosen, model_dir, model_url_base)
    except ModelUnavailableError as error:
        if architecture is not None:
            raise
        note = f"{INCEPTION} could not be had; the bundled network {BUNDLED} was used in its place."
        advice = "name it with --architecture to avoid this warning."
        logger.warning("%s\nGoing on with the bundled network %s; %s", error, BUNDLED, advice)
        chosen = find_architecture(BUNDLED)
        graph_bytes = read_graph_file(chosen, model_dir)
    return load_backbone(chosen, graph_bytes, precision), note
