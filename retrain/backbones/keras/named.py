"""`--architecture keras_…`: a network of `keras.applications`, its preprocessing included, frozen and kept in `--model_dir`.

The graph's input takes grey levels from 0 to 255. Once the graph is kept, neither Keras nor the weights' file is needed again.
"""

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Sequence
from typing import Any

from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.backbones.backbone import Backbone
from retrain.backbones.download import FileKind, addresses, download_file, is_current
from retrain.backbones.imagenet import imagenet_labels
from retrain.backbones.keras.files import copy_hashed
from retrain.backbones.keras.hdf5 import SIGNATURE, check_hdf5
from retrain.backbones.keras.records import KerasRecord, keras_architecture
from retrain.errors import GraphError, ModelError
from retrain.files import write_atomically
from retrain.graphdef.description import NODE_NAME
from retrain.graphdef.nodes import constant, find_node, node_name
from retrain.graphdef.run import parse_graph
from retrain.options.network import ArchiveOptions
from retrain.process.temporary import temporary_folder
from retrain.process.tensorflow_loading import load_tensorflow

logger = logging.getLogger("retrain")

MARK = "keras_network"  # A node of the kept graph: the network and the digests of its weights, as JSON.
HASHES = {32: "md5", 64: "sha256"}  # By the length of their hexadecimal text.


def keras_graph_bytes(record: KerasRecord, options: ArchiveOptions) -> bytes:
    """Return the serialised frozen graph: the kept one, else made of the weights, which are downloaded if they are missing.

    Raises:
        ModelUnavailableError: the weights are missing and cannot be downloaded.
        ModelError: the weights are not the published ones, or the installed Keras lacks the network.
    """
    kept, weights = (os.path.join(options.model_dir, name) for name in (record.graph_file, record.file_name))
    if is_current(kept, weights) and (graph_bytes := _kept_graph(kept, record)):
        return graph_bytes
    if not os.path.isfile(weights):
        _download(record, addresses(keras_architecture(record), options.model_url_base), weights)
    with _verified(record, weights) as (copy, digest):
        load_tensorflow()
        from retrain.backbones.keras.published_network import frozen_network

        network = frozen_network(record, copy, weights)
    chosen = keras_architecture(record)
    description = chosen.describe(imagenet_labels(), node_name(chosen.class_tensor))
    network.node.append(constant(MARK, json.dumps({"network": record.name, "hash": record.hash, "sha256": digest})))
    network.node.append(constant(NODE_NAME, description.to_json()))
    graph_bytes = network.SerializeToString(deterministic=True)
    _keep(kept, graph_bytes)
    return graph_bytes


def keras_fingerprint(backbone: Backbone) -> str:
    """Return the fingerprint: over the weights' file, since frozen graphs differ with the version of Keras.

    The text is part of the cache format (docs/cache-format.md) and never changes.
    """
    chosen, digest = backbone.architecture, _mark(backbone.graph_def).get("sha256")
    size, spec = chosen.bottleneck_size, chosen.input_spec.fingerprint_text
    text = f"('keras.applications', {chosen.name!r}, {digest!r}, {size!r}, {spec}, {backbone.precision!r})"
    return hashlib.sha256(text.encode()).hexdigest()


def _kept_graph(path: str, record: KerasRecord) -> bytes | None:
    """Return the kept graph's bytes; None if it was made from other weights or is damaged, so that it is made again."""
    try:
        with open(path, "rb") as file:
            data = file.read()
        mark = _mark(parse_graph(data, path))
    except (OSError, GraphError):
        return None
    return data if (mark.get("network"), mark.get("hash")) == (record.name, record.hash) and "sha256" in mark else None


def _mark(graph_def: GraphDef) -> dict[str, Any]:
    node = find_node(graph_def, MARK)
    try:
        mark = json.loads(b"".join(node.attr["value"].tensor.string_val)) if node else None
    except ValueError:
        mark = None
    return mark if isinstance(mark, dict) else {}


def _keep(path: str, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        logger.debug("%s is not kept (%s).", path, error.strerror)


def _download(record: KerasRecord, urls: Sequence[str], path: str) -> None:
    def check(whole: str) -> None:
        if wrong := _wrong_hash(record, _digest(whole, _algorithm(record))):
            raise OSError(wrong)

    download_file(urls, path, FileKind(SIGNATURE, "an HDF5 file", check))


def _algorithm(record: KerasRecord) -> str:
    return HASHES[len(record.hash)] if record.hash else "sha256"


def _digest(path: str, algorithm: str) -> str:
    with open(path, "rb") as file, open(os.devnull, "wb") as nowhere:
        return copy_hashed(file, nowhere, algorithm)[0]


def _wrong_hash(record: KerasRecord, found: str) -> str | None:
    if record.hash in (None, found):
        return None
    name = {"md5": "MD5", "sha256": "SHA-256"}[_algorithm(record)]
    return f"its {name} must be {record.hash}. It is {found}"


@contextlib.contextmanager
def _verified(record: KerasRecord, path: str) -> Iterator[tuple[str, str]]:
    """Yield a private copy of the weights' file, checked, and its SHA-256."""
    with temporary_folder() as folder:
        copy = os.path.join(folder, "network.h5")
        try:
            with open(path, "rb") as source, open(copy, "wb") as target:
                digest, _ = copy_hashed(source, target)
            if wrong := _wrong_hash(record, _digest(copy, _algorithm(record))):
                raise ModelError(
                    f"The file {path} is damaged, or is not the published one: {wrong}. Delete it, and run again to download it; "
                    "weights of your own can be used as a whole model, --architecture path/to/model.keras."
                )
            check_hdf5(copy)
        except OSError as error:
            raise ModelError(f"The file {path} cannot be read ({error.strerror}).") from error
        except GraphError as error:
            raise ModelError(f"The file {path} cannot be used. {error} Delete it, and run again to download it.") from error
        yield copy, digest
