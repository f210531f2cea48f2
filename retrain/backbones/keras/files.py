"""Keras files: recognised by their content, and copied so that Keras loads the very bytes that were checked."""

import contextlib
import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

from retrain.backbones.keras.config_check import checked_config
from retrain.backbones.keras.hdf5 import LARGEST_TOTAL, READING_ERRORS, SIGNATURE, check_hdf5
from retrain.errors import GraphError, reason_of
from retrain.graphdef.file_kind import MOST_BYTES, wrong_kind
from retrain.process.temporary import temporary_folder

CONFIG, METADATA, WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
KERAS_FILE = "a Keras file (.keras or HDF5)"
ENDINGS = (".keras", ".h5", ".hdf5")
ZIP_SIGNATURE = b"PK\x03\x04"  # PKWARE's APPNOTE.TXT, section 4.3.7
LARGEST_TEXT = 1 << 26  # bytes; the configuration of NASNetLarge has 2 MB.
CHUNK_BYTES = 1 << 20
ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, LookupError, RuntimeError, NotImplementedError)


@dataclass(frozen=True)
class CheckedFile:
    """A Keras file that was checked.

    Attributes:
        path: of a private copy, which Keras may load; it lasts as long as the block of `checked_copy`.
        digest: SHA-256 of the original file, in hexadecimal.
        size: of the original file, in bytes.
    """

    path: str
    digest: str
    size: int


def is_keras_file(path: str) -> bool:
    """Return True if the path names a Keras file: an HDF5 file, or a zip archive with a model's configuration.

    The ending counts only where nothing else can tell: the file does not exist, or is a zip archive that lacks its configuration.
    """
    ending = path.lower().endswith(ENDINGS)
    try:
        with open(path, "rb") as file:
            head = file.read(len(SIGNATURE))
    except FileNotFoundError:
        return ending
    except OSError:
        return ending and not os.path.isdir(path)
    if head == SIGNATURE:
        return True
    if not head.startswith(ZIP_SIGNATURE):
        return ending
    try:
        with zipfile.ZipFile(path) as archive:
            return ending or CONFIG in archive.namelist()
    except ZIP_ERRORS:
        return ending


@contextlib.contextmanager
def checked_copy(path: str) -> Iterator[CheckedFile]:
    """Copy a Keras file into a private folder and check the copy; yield it, and delete it when the block ends.

    Raises:
        GraphError: the file cannot be read, is damaged, or could run code or read other files.
    """
    with temporary_folder() as folder:
        original = os.path.join(folder, "original")
        try:
            with open(path, "rb") as source, open(original, "wb") as target:
                digest, size = copy_hashed(source, target)
        except OSError as error:
            raise GraphError(f"the file cannot be read ({error.strerror}).") from error
        with open(original, "rb") as file:
            start = file.read(MOST_BYTES)
        is_hdf5 = start.startswith(SIGNATURE)
        if not is_hdf5 and not start.startswith(ZIP_SIGNATURE) and (other := wrong_kind(start, KERAS_FILE)):
            raise GraphError(f"It {other}")
        checked = os.path.join(folder, "model.h5" if is_hdf5 else "model.keras")
        if is_hdf5:
            os.replace(original, checked)
            check_hdf5(checked)
            checked_config(_hdf5_config(checked))
        else:
            _write_checked_archive(original, checked, os.path.join(folder, WEIGHTS))
        yield CheckedFile(checked, digest, size)


def copy_hashed(source: IO[bytes], target: IO[bytes], algorithm: str = "sha256") -> tuple[str, int]:
    """Copy a file; return its digest, in hexadecimal, and its size. Raises GraphError if it is larger than any network."""
    digest, size = hashlib.new(algorithm, usedforsecurity=False), 0
    while chunk := source.read(CHUNK_BYTES):
        size += len(chunk)
        if size > LARGEST_TOTAL:
            raise GraphError(f"It, or a part of it, has more than {LARGEST_TOTAL} bytes, which no network here has.")
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest(), size


def _hdf5_config(path: str) -> Any:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            text = file.attrs.get("model_config")
            if text is None:
                raise GraphError(
                    "It holds weights alone, without the model's configuration (model_config). Save the whole model with "
                    "model.save(FILE)."
                )
            return json.loads(text)
    except READING_ERRORS as error:
        raise GraphError(f"Its configuration cannot be read ({reason_of(error)}). Get a new copy.") from error


def _write_checked_archive(original: str, checked: str, weights: str) -> None:
    """Write an archive with the checked configuration and the weights, and nothing else."""
    try:
        with zipfile.ZipFile(original) as archive:
            _check_members(archive)
            config = checked_config(json.loads(_text(archive, CONFIG)))
            metadata = _text(archive, METADATA) if METADATA in archive.namelist() else b"{}"
            with archive.open(WEIGHTS) as source, open(weights, "wb") as target:
                copy_hashed(source, target)
    except ZIP_ERRORS as error:
        raise GraphError(f"It is no Keras file (.keras or HDF5), or is damaged ({reason_of(error)}). Get a new copy.") from error
    os.unlink(original)
    check_hdf5(weights)
    if not isinstance(config, dict):
        raise GraphError("Its configuration is none of a model. Get a new copy.")
    with zipfile.ZipFile(checked, "w") as archive:
        archive.writestr(METADATA, metadata)
        archive.writestr(CONFIG, json.dumps(config))
        archive.write(weights, WEIGHTS)
    os.unlink(weights)


def _check_members(archive: zipfile.ZipFile) -> None:
    names = [info.filename for info in archive.infolist() if not (info.is_dir() and info.file_size == 0)]
    if missing := [name for name in (CONFIG, WEIGHTS) if name not in names]:
        raise GraphError(f"It is no Keras file, since it holds no {missing[0]}.")
    if others := sorted(set(names) - {CONFIG, METADATA, WEIGHTS}):
        shown = ascii(others[0])
        raise GraphError(
            f"It holds a member {shown} beside {CONFIG}, {METADATA} and {WEIGHTS}: files of layers that look up words, or "
            "something that Keras does not write. It is not loaded."
        )
    if len(set(names)) < len(names):
        raise GraphError("It holds two members of the same name. Get a new copy.")


def _text(archive: zipfile.ZipFile, name: str) -> bytes:
    with archive.open(name) as member:
        text = member.read(LARGEST_TEXT + 1)
    if len(text) > LARGEST_TEXT:
        raise GraphError(f"Its {name} has more than {LARGEST_TEXT} bytes, which no network's has.")
    return text
