"""The folder of a module's files: given as a folder or an archive, or downloaded from an address.

Downloads are kept in TensorFlow Hub's cache, so that this tool and that library share them. The download itself is not left to
the library: it does not notice a connection that ends early, if the data happen to end with a complete file.
"""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import urllib.parse
from collections.abc import Iterator

from retrain.backbones.download import (
    CHUNK_BYTES,
    FETCH_ERRORS,
    MAX_GRAPH_BYTES,
    UNPACK_ERRORS,
    archive_members,
    fetch_archive,
    fetch_reason,
)
from retrain.errors import FlagError, GraphError, ModelUnavailableError
from retrain.files import remove_orphans, temporary_beside, write_atomically
from retrain.process.temporary import temporary_folder

SAVED_MODEL = "saved_model.pb"
# The files that a network needs; an archive may have one folder above them. Documents and other files are ignored.
MODULE_FILES = re.compile(r"(?:[^/]+/)?(saved_model\.pb|tfhub_module\.pb|(?:variables|assets)/.+)")
MAX_FILES = 10_000
CACHE_VARIABLE = "TFHUB_CACHE_DIR"  # As in TensorFlow Hub, and so are the two below.
CACHE_FOLDER = "tfhub_modules"
COMPRESSED = ("tf-hub-format", "compressed")


@contextlib.contextmanager
def module_folder(handle: str) -> Iterator[str]:
    """Yield the folder that holds the module's `saved_model.pb`; that of a local archive is deleted when the block ends.

    Raises:
        FlagError: there is no such folder or archive.
        GraphError: it holds no module.
        ModelUnavailableError: it cannot be downloaded.
    """
    with contextlib.ExitStack() as stack:
        if re.match(r"https?://", handle, re.IGNORECASE):
            folder = _downloaded(handle)
        elif "://" in handle:
            folder = _resolved(handle, stack.enter_context(temporary_folder()))
        elif os.path.isdir(handle):
            folder = handle
        elif os.path.isfile(handle):
            folder = _unpack(handle, stack.enter_context(temporary_folder()), handle)
        else:
            raise FlagError(
                "--tfhub_module must be a folder, a .tar.gz archive or an address (https://…). "
                f"Got {handle}, which does not exist."
            )
        if not os.path.isfile(os.path.join(folder, SAVED_MODEL)):
            raise GraphError(f"--tfhub_module {handle}: it is no module, since it holds no {SAVED_MODEL}.")
        yield folder


def files_digest(folder: str) -> str:
    """Return the SHA-256, in hexadecimal, of the names and contents of all files that the module computes with."""
    digest = hashlib.sha256()
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(parent, name)
            relative = os.path.relpath(path, folder).replace(os.sep, "/")
            if MODULE_FILES.fullmatch(relative):
                digest.update(f"{relative}\n{os.path.getsize(path)}\n".encode("utf-8", "surrogateescape"))
                with open(path, "rb") as file:
                    while chunk := file.read(CHUNK_BYTES):
                        digest.update(chunk)
    return digest.hexdigest()


def _resolved(handle: str, target: str) -> str:
    """Return the folder of a module in a file system of TensorFlow, such as `gs://…`; a remote one is copied into `target`."""
    import tensorflow as tf
    import tensorflow_hub as hub

    try:
        folder = str(hub.resolve(handle))
        if os.path.isdir(folder):
            return folder
        for parent, _, names in tf.io.gfile.walk(folder):
            for path in (os.path.join(parent, name) for name in names):
                relative = os.path.relpath(path, folder)
                if MODULE_FILES.fullmatch(relative.replace(os.sep, "/")):
                    os.makedirs(os.path.dirname(os.path.join(target, relative)), exist_ok=True)
                    tf.io.gfile.copy(path, os.path.join(target, relative))
        return target
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise ModelUnavailableError(
            f"The module {handle} cannot be read ({error}). Download it by hand, and give its folder as --tfhub_module."
        ) from error


def _downloaded(handle: str) -> str:
    """Return the module's folder in the cache; download it if it is not there."""
    cache = os.environ.get(CACHE_VARIABLE) or os.path.join(tempfile.gettempdir(), CACHE_FOLDER)
    folder = os.path.join(cache, hashlib.sha1(handle.encode("utf-8", "surrogateescape")).hexdigest())
    if os.path.isdir(folder) and os.listdir(folder):
        if CACHE_VARIABLE not in os.environ and hasattr(os, "getuid") and os.stat(folder).st_uid != os.getuid():
            raise ModelUnavailableError(
                f"The module {handle} in {folder} belongs to another user. Set {CACHE_VARIABLE} to a folder of your own."
            )
        return folder
    try:
        os.makedirs(cache, exist_ok=True)
        remove_orphans(cache)
        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(temporary_folder())
            archive = os.path.join(temporary, "module.tar.gz")
            fetch_archive(_address(handle), archive)
            stack.callback(shutil.rmtree, unpacked := temporary_beside(folder), ignore_errors=True)
            os.replace(_unpack(archive, unpacked, handle), folder)
        write_atomically(f"{folder}.descriptor.txt", f"Module: {handle}\n".encode("utf-8", "surrogateescape"))
    except FETCH_ERRORS as error:
        if os.path.isfile(os.path.join(folder, SAVED_MODEL)):
            return folder  # Another run has finished the same download.
        raise ModelUnavailableError(
            f"The module {handle} cannot be downloaded ({fetch_reason(error)}). Check the address; or get its archive by hand, "
            "and give the archive's path as --tfhub_module."
        ) from error
    return folder


def _address(handle: str) -> str:
    """Return the address of the archive: hubs serve it for a query parameter; the address of an archive is unchanged."""
    parts = urllib.parse.urlsplit(handle)
    if parts.path.endswith((".tar.gz", ".tgz")):
        return handle
    query = [*urllib.parse.parse_qsl(parts.query, keep_blank_values=True), COMPRESSED]
    return urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(list(dict.fromkeys(query)))))


def _unpack(archive: str, target: str, handle: str) -> str:
    """Unpack the module's files into the folder `target`; return the folder in it that holds `saved_model.pb`.

    Raises:
        GraphError: the archive is damaged, or holds no module.
    """
    found, size, count = "", 0, 0
    try:
        for member in archive_members(archive):
            path = member.path.replace(os.sep, "/")
            if not MODULE_FILES.fullmatch(path) or member.info.isdir() or ".." in path.split("/"):
                continue
            size, count = size + member.info.size, count + 1
            if size > MAX_GRAPH_BYTES or count > MAX_FILES:
                raise ValueError(f"more than {MAX_FILES} files or {MAX_GRAPH_BYTES} bytes, which no network has")
            destination = os.path.join(target, *path.split("/"))
            os.makedirs(os.path.dirname(destination), exist_ok=True)
            write_atomically(destination, member.read())
            if os.path.basename(path) == SAVED_MODEL:
                found = os.path.dirname(destination)
    except UNPACK_ERRORS as error:
        raise GraphError(f"--tfhub_module {handle}: the archive cannot be unpacked ({error}). Get a new copy.") from error
    if not found:
        raise GraphError(f"--tfhub_module {handle}: the archive is no module, since it holds no {SAVED_MODEL}.")
    return found
