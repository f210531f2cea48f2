"""A network's graph file: from the model folder, from the archive there, or downloaded into it."""

import gzip
import hashlib
import http.client
import logging
import os
import tarfile
import urllib.error
import urllib.request
import zlib

from retrain.backbones.catalog import KNOWN_DIGESTS, Architecture
from retrain.errors import ModelError, ModelUnavailableError
from retrain.files import atomic_writer, write_atomically

logger = logging.getLogger("retrain")

TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1
# GraphDefs are protocol buffers, which end at 2 GB; a longer member is an error in the archive, or a bomb.
MAX_GRAPH_BYTES = 2**31 - 1


def read_graph_file(architecture: Architecture, model_dir: str, model_url_base: str | None = None) -> bytes:
    """The bytes of the architecture's GraphDef file.

    Taken from, in this order: the package (the bundled network), the unpacked file in `model_dir`, the archive in `model_dir`,
    the archive's address. Only the one member that is needed is ever unpacked, so nothing else in an archive can do harm.

    Raises:
        ModelError: the file cannot be had; the message names the address, the file, and the folder to put it in by hand.
    """
    graph_path = os.path.join(model_dir, architecture.graph_file)
    if not architecture.archive or os.path.isfile(graph_path):
        with open(graph_path, "rb") as file:
            return file.read()
    archive_path = os.path.join(model_dir, architecture.archive)
    if not os.path.isfile(archive_path):
        url = model_url_base.rstrip("/") + "/" + architecture.archive if model_url_base else architecture.url
        _download(url, archive_path)
    _check_digest(archive_path)
    graph = _read_member(archive_path, architecture.graph_file)
    _keep_unpacked(graph_path, graph)
    return graph


def _download(url: str, archive_path: str) -> None:
    logger.info("Downloading %s to %s", url, archive_path)
    try:
        os.makedirs(os.path.dirname(archive_path), exist_ok=True)
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, atomic_writer(archive_path) as file:
            expected = int(response.headers.get("Content-Length") or -1)
            received = 0
            while chunk := response.read(CHUNK_BYTES):
                if received == 0 and not chunk.startswith(GZIP_MAGIC):
                    raise OSError("what came is no gzip archive, perhaps a page that says why")
                received += len(chunk)
                file.write(chunk)
            if expected not in (-1, received):
                raise OSError(f"the connection ended after {received} of {expected} bytes")
            if received == 0:
                raise OSError("nothing came")
            file.flush()
            _check_whole(file.name)
    except (OSError, EOFError, zlib.error, ValueError, http.client.HTTPException) as error:
        reason = error.reason if type(error) is urllib.error.URLError else error  # An HTTPError's own text has its code.
        folder, name = os.path.split(archive_path)
        raise ModelUnavailableError(
            f"The network cannot be downloaded from {url} ({reason}). Get {name} by hand, put it into {folder} (--model_dir), "
            "and run again."
        ) from error


def _check_digest(archive_path: str) -> None:
    expected = KNOWN_DIGESTS.get(os.path.basename(archive_path))
    if not expected:
        return
    with open(archive_path, "rb") as file:
        found = hashlib.sha256(file.read()).hexdigest()
    if found != expected:
        raise ModelError(
            f"The archive {archive_path} is damaged, or is not the published one: its SHA-256 is {found}, expected "
            f"{expected}. Delete it, and run again to download it."
        )


def _read_member(archive_path: str, member_name: str) -> bytes:
    try:
        _check_whole(archive_path)
        with tarfile.open(archive_path, "r:gz") as archive:
            for member in archive:
                if os.path.normpath(member.name) == os.path.normpath(member_name):
                    return _read_regular(archive, member)
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, OverflowError) as error:
        raise ModelError(
            f"The archive {archive_path} cannot be unpacked ({error}). Delete it, and run again to download it."
        ) from error
    raise ModelError(f"The archive {archive_path} holds no {member_name}. Delete it, and run again to download it.")


def _check_whole(archive_path: str) -> None:
    """Reads to the end of a gzip file, where its checksum stands. Raises OSError, EOFError or zlib.error where it is damaged."""
    with gzip.open(archive_path) as archive:
        while archive.read(CHUNK_BYTES):
            pass


def _read_regular(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member) if member.isreg() and member.size <= MAX_GRAPH_BYTES else None
    if file is None:
        raise tarfile.TarError(f"{member.name} is not a regular file of a plausible size")
    return file.read()


def _keep_unpacked(graph_path: str, graph: bytes) -> None:
    """Saves the next run the unpacking. A model folder that cannot be written to is no obstacle."""
    try:
        os.makedirs(os.path.dirname(graph_path), exist_ok=True)
        write_atomically(graph_path, graph)
    except OSError as error:
        logger.debug("%s is not kept unpacked (%s).", graph_path, error.strerror)
