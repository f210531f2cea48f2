"""A module's handle → the folder of its files: a folder, an archive, or what an address gives.

What is downloaded is kept where TensorFlow Hub keeps it, so that each finds what the other has fetched. The download itself is
not left to that library: it does not notice that a connection has ended early where what has come ends with a whole file.
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

SAVED_MODEL = "saved_model.pb"
# All that a network needs; in archives perhaps below one folder. Signatures, documents and the like are left where they are.
MODULE_FILES = re.compile(r"(?:[^/]+/)?(saved_model\.pb|tfhub_module\.pb|(?:variables|assets)/.+)")
MAX_FILES = 10_000
CACHE_VARIABLE = "TFHUB_CACHE_DIR"  # As in TensorFlow Hub, and so are the two below.
CACHE_FOLDER = "tfhub_modules"
COMPRESSED = ("tf-hub-format", "compressed")


@contextlib.contextmanager
def module_folder(handle: str) -> Iterator[str]:
    """The folder that holds the module's `saved_model.pb`; of a local archive only until the block ends.

    Raises:
        FlagError: there is no such folder or archive.
        GraphError: it holds no module.
        ModelUnavailableError: it cannot be downloaded.
    """
    with contextlib.ExitStack() as stack:
        if re.match(r"https?://", handle, re.IGNORECASE):
            folder = _downloaded(handle)
        elif "://" in handle:
            folder = _resolved(handle, stack.enter_context(tempfile.TemporaryDirectory()))
        elif os.path.isdir(handle):
            folder = handle
        elif os.path.isfile(handle):
            folder = _unpack(handle, stack.enter_context(tempfile.TemporaryDirectory()), handle)
        else:
            raise FlagError(
                "--tfhub_module must be a folder, a .tar.gz archive or an address (https://…). "
                f"Got {handle}, which does not exist."
            )
        if not os.path.isfile(os.path.join(folder, SAVED_MODEL)):
            raise GraphError(f"--tfhub_module {handle}: there is no {SAVED_MODEL} in it, so that it holds no module.")
        yield folder


def files_digest(folder: str) -> str:
    """SHA-256 over the names and contents of all that the module computes with, in hexadecimal."""
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
    """What TensorFlow's own file systems hold, such as `gs://…`; copied into `target` where it is not on this machine."""
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
            f"The module {handle} cannot be had ({error}). Download it by hand, and give its folder as --tfhub_module."
        ) from error


def _downloaded(handle: str) -> str:
    """The module's folder in the cache, fetched if it is not there."""
    cache = os.environ.get(CACHE_VARIABLE) or os.path.join(tempfile.gettempdir(), CACHE_FOLDER)
    folder = os.path.join(cache, hashlib.sha1(handle.encode("utf-8", "surrogateescape")).hexdigest())
    if os.path.isdir(folder) and os.listdir(folder):
        if CACHE_VARIABLE not in os.environ and hasattr(os, "getuid") and os.stat(folder).st_uid != os.getuid():
            raise ModelUnavailableError(
                f"The module {handle} is in {folder}, but another user has put it there. "
                f"Set {CACHE_VARIABLE} to a folder of yours."
            )
        return folder
    try:
        os.makedirs(cache, exist_ok=True)
        remove_orphans(cache)
        with contextlib.ExitStack() as stack:
            temporary = stack.enter_context(tempfile.TemporaryDirectory())
            archive = os.path.join(temporary, "module.tar.gz")
            fetch_archive(_address(handle), archive)
            stack.callback(shutil.rmtree, unpacked := temporary_beside(folder), ignore_errors=True)
            os.replace(_unpack(archive, unpacked, handle), folder)
        write_atomically(f"{folder}.descriptor.txt", f"Module: {handle}\n".encode("utf-8", "surrogateescape"))
    except FETCH_ERRORS as error:
        if os.path.isfile(os.path.join(folder, SAVED_MODEL)):
            return folder  # Another run was faster.
        raise ModelUnavailableError(
            f"The module {handle} cannot be downloaded ({fetch_reason(error)}). Check the address; or get its archive by hand, "
            "and give the archive's path as --tfhub_module."
        ) from error
    return folder


def _address(handle: str) -> str:
    """Where the archive is: hubs give it when it is asked for; an archive's own address stays."""
    parts = urllib.parse.urlsplit(handle)
    if parts.path.endswith((".tar.gz", ".tgz")):
        return handle
    query = [*urllib.parse.parse_qsl(parts.query, keep_blank_values=True), COMPRESSED]
    return urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(list(dict.fromkeys(query)))))


def _unpack(archive: str, target: str, handle: str) -> str:
    """Unpacks what belongs to a module into the folder `target`; gives the folder in it that is the module's.

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
                raise ValueError(f"more than {MAX_FILES} files, or {MAX_GRAPH_BYTES} bytes, and no network has as many")
            destination = os.path.join(target, *path.split("/"))
            os.makedirs(os.path.dirname(destination), exist_ok=True)
            write_atomically(destination, member.read())
            if os.path.basename(path) == SAVED_MODEL:
                found = os.path.dirname(destination)
    except UNPACK_ERRORS as error:
        raise GraphError(f"--tfhub_module {handle}: the archive cannot be unpacked ({error}). Get it anew.") from error
    if not found:
        raise GraphError(f"--tfhub_module {handle}: there is no {SAVED_MODEL} in the archive, so that it holds no module.")
    return found
