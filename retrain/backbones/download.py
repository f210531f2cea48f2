"""A network's files: from the model folder, from the archive there, or downloaded into it."""

import gzip
import hashlib
import http.client
import logging
import os
import tarfile
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from retrain.backbones.architecture import Architecture
from retrain.errors import ModelError, ModelUnavailableError
from retrain.files import atomic_writer, write_atomically
from retrain.process.progress import advance, progressing

logger = logging.getLogger("retrain")

TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"  # RFC 1952, section 2.3.1
# GraphDefs are protocol buffers, which end at 2 GB; a longer member is an error in the archive, or a bomb.
MAX_GRAPH_BYTES = 2**31 - 1
FETCH_ERRORS = (OSError, EOFError, zlib.error, ValueError, http.client.HTTPException)
UNPACK_ERRORS = (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, OverflowError, RecursionError)


@dataclass(frozen=True)
class FileKind:
    """Kind of a file that is downloaded.

    Attributes:
        magic: its first bytes.
        name: with an article, for messages.
        check: called with the path of the whole file before it appears under its name; raises one of FETCH_ERRORS.
    """

    magic: bytes
    name: str
    check: Callable[[str], None]


def read_graph_file(architecture: Architecture, model_dir: str, model_url_base: str | None = None) -> bytes:
    """Return the bytes of the architecture's GraphDef file, as `read_archived_file` does."""
    if not architecture.archive:
        with open(architecture.graph_file, "rb") as file:
            return file.read()
    return read_archived_file(architecture, architecture.graph_file, model_dir, model_url_base)


def read_archived_file(architecture: Architecture, name: str, model_dir: str, model_url_base: str | None = None) -> bytes:
    """Return the bytes of the file `name` of the architecture's archive.

    The file is read from the first of these that is available: the unpacked file in `model_dir`, the archive in `model_dir`, the
    archive's addresses. Only the member that is needed is unpacked, so nothing else in an archive can do harm.

    Raises:
        ModelError: the file is not available; the message names the address, the file, and the folder to put it in by hand.
    """
    unpacked_path = os.path.join(model_dir, name)
    archive_path = os.path.join(model_dir, architecture.archive)
    if is_current(unpacked_path, archive_path):
        with open(unpacked_path, "rb") as file:
            return file.read()
    if not os.path.isfile(archive_path):
        download_file(addresses(architecture, model_url_base), archive_path, ARCHIVE)
    _check_digest(archive_path, architecture.digest)
    data = _read_member(archive_path, name)
    _keep_unpacked(unpacked_path, data)
    return data


def is_current(unpacked_path: str, archive_path: str) -> bool:
    """Return True if the file made from an archive, or from weights, exists, and they have not been replaced since."""
    if not os.path.isfile(unpacked_path):
        return False
    return not os.path.isfile(archive_path) or os.stat(unpacked_path).st_mtime_ns >= os.stat(archive_path).st_mtime_ns


def addresses(architecture: Architecture, model_url_base: str | None) -> tuple[str, ...]:
    """Return the addresses of the architecture's archive: its own, or the one on the mirror."""
    return (f"{model_url_base.rstrip('/')}/{architecture.archive}",) if model_url_base else architecture.urls


def download_file(urls: Sequence[str], path: str, kind: FileKind) -> None:
    """Download a network's file to `path`, whose folder is made if needed, from the first of the addresses that has it.

    Raises:
        ModelUnavailableError: none has it; the message names the cure.
    """
    failures: list[str] = []
    for url in urls:
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            return fetch_file(url, path, kind)
        except FETCH_ERRORS as error:
            failures.append(f"from {url} ({fetch_reason(error)})")
    folder, name = os.path.split(path)
    raise ModelUnavailableError(
        f"The network cannot be downloaded {' or '.join(failures)}. Get {name} by hand, put it into {folder} (--model_dir), and "
        "run again."
    )


def fetch_archive(url: str, archive_path: str) -> None:
    """Download a gzip archive, as `fetch_file` does."""
    fetch_file(url, archive_path, ARCHIVE)


def fetch_file(url: str, path: str, kind: FileKind) -> None:
    """Download a file. It appears only after all of it has arrived and its check has passed.

    Raises:
        One of FETCH_ERRORS, which `fetch_reason` puts into words.
    """
    logger.info("Downloading %s to %s", url, path)
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response, atomic_writer(path) as file:
        expected = int(response.headers.get("Content-Length") or -1)
        received = 0
        with progressing("download", expected if expected > 0 else None, "bytes"):
            while chunk := response.read(CHUNK_BYTES):
                if received == 0 and not chunk.startswith(kind.magic):
                    raise OSError(f"the answer is not {kind.name}; it may be a page that explains why")
                received += len(chunk)
                if received > MAX_GRAPH_BYTES:
                    raise OSError(f"more than {MAX_GRAPH_BYTES} bytes arrived, and no network is that large")
                file.write(chunk)
                advance(len(chunk))
        if expected not in (-1, received):
            raise OSError(f"the connection ended after {received} of {expected} bytes")
        if received == 0:
            raise OSError("the answer is empty")
        file.flush()
        kind.check(file.name)


def fetch_reason(error: BaseException) -> object:
    """Return why a download failed."""
    return error.reason if type(error) is urllib.error.URLError else error  # An HTTPError's own text has its code.


def _check_digest(archive_path: str, expected: str) -> None:
    if not expected:
        return
    with open(archive_path, "rb") as file:
        found = hashlib.sha256(file.read()).hexdigest()
    if found != expected:
        raise ModelError(
            f"The archive {archive_path} is damaged, or is not the published one: its SHA-256 must be {expected}. "
            f"It is {found}. Delete it, and run again to download it."
        )


def _read_member(archive_path: str, member_name: str) -> bytes:
    try:
        for member in archive_members(archive_path):
            if member.path == os.path.normpath(member_name):
                return member.read()
    except UNPACK_ERRORS as error:
        raise ModelError(
            f"The archive {archive_path} cannot be unpacked ({error}). Delete it, and run again to download it."
        ) from error
    raise ModelError(f"The archive {archive_path} holds no {member_name}. Delete it, and run again to download it.")


def _check_whole(archive_path: str) -> None:
    """Read to the end of a gzip file, where its checksum is. Raises OSError, EOFError or zlib.error if it is damaged."""
    with gzip.open(archive_path) as archive:
        while archive.read(CHUNK_BYTES):
            pass


ARCHIVE = FileKind(GZIP_MAGIC, "a gzip archive", _check_whole)


class Member(NamedTuple):
    """A member of an archive, to be read before the iterator moves to the next."""

    path: str
    info: tarfile.TarInfo
    unpacked: "_Unpacked"

    def read(self) -> bytes:
        """Return its content. Raises one of UNPACK_ERRORS if it is no regular file, or is cut off."""
        return _read_regular(self.unpacked, self.info)


def archive_members(archive_path: str) -> Iterator[Member]:
    """Yield the members of a .tar.gz archive that is complete, with normalised paths.

    Raises:
        One of UNPACK_ERRORS: the archive is damaged, or malicious.
    """
    _check_whole(archive_path)
    with _Unpacked(archive_path) as unpacked, tarfile.open(fileobj=unpacked, mode="r:") as archive:
        position = -1
        while info := archive.next():
            if archive.offset <= position:  # A negative size leads back to the same header, endlessly (CVE-2025-8194).
                raise tarfile.ReadError("a member of a negative size")
            position = archive.offset
            archive.members.clear()  # type: ignore[attr-defined]  # Millions of empty members would fill the memory.
            yield Member(os.path.normpath(info.name), info, unpacked)


class _Unpacked(gzip.GzipFile):
    """Archive that is read in small pieces: tarfile reads a long name at once, and a malicious name is gigabytes long."""

    largest_read = CHUNK_BYTES

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= self.largest_read:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return super().read(size)


def _read_regular(unpacked: _Unpacked, member: tarfile.TarInfo) -> bytes:
    if not member.isreg() or member.issparse() or member.size > MAX_GRAPH_BYTES:
        raise tarfile.TarError(f"{member.name} is not a regular file of a plausible size")
    unpacked.seek(member.offset_data)
    unpacked.largest_read = max(member.size, CHUNK_BYTES)
    data = unpacked.read(member.size)
    unpacked.largest_read = CHUNK_BYTES
    if len(data) < member.size:
        raise EOFError("unexpected end of data")
    return data


def _keep_unpacked(unpacked_path: str, data: bytes) -> None:
    """Keep the unpacked file for the next run, if the model folder can be written to."""
    try:
        os.makedirs(os.path.dirname(unpacked_path), exist_ok=True)
        write_atomically(unpacked_path, data)
    except OSError as error:
        logger.debug("%s is not kept unpacked (%s).", unpacked_path, error.strerror)
