"""Store of conversions in the user's cache folder. What another user could have written is never run.

A file is one line of JSON, the record, and the flatbuffer after it; its name is the digest of the network. It appears whole or
not at all, and its record holds the flatbuffer's SHA-256.
"""

import hashlib
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from retrain.files import atomic_writer, remove_orphans

VARIABLE = "RETRAIN_CACHE_DIR"
FOLDER = "conversions"
ENDING = ".litert"
FORMAT = 1
SHIPPED = Path(__file__).parent / "shipped"
OTHERS_CAN_WRITE = stat.S_IWGRP | stat.S_IWOTH
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # Not on Windows.


class UnusableStoreError(Exception):
    """Error for a folder that conversions cannot be kept in; the message is the reason."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """Record of a conversion.

    Attributes:
        sha256: of the flatbuffer, in hexadecimal; empty if the network cannot be converted.
        problem: why it cannot, or why its conversion must not be used; empty if it may.
        machine: the processor that the times were measured on.
        litert, tensorflow: seconds for an image; 0 if they were not measured.
        loading: seconds that loading TensorFlow takes.
        versions: of LiteRT and TensorFlow when it was made.
        format: of this record.
    """

    sha256: str = ""
    problem: str = ""
    machine: str = ""
    litert: float = 0.0
    tensorflow: float = 0.0
    loading: float = 0.0
    versions: str = ""
    format: int = FORMAT


@dataclass(frozen=True)
class Conversion:
    """A network's conversion: its record, and the flatbuffer, empty if there is none."""

    record: Record
    flatbuffer: bytes


def default_folder() -> Path:
    """Return the folder of conversions: in the folder that RETRAIN_CACHE_DIR names, else in the user's cache folder."""
    return Path(os.environ.get(VARIABLE) or platformdirs.user_cache_dir("retrain", appauthor=False)) / FOLDER


class ConversionStore:
    """Store of conversions, each under the digest of its network."""

    def __init__(self, folder: Path | None = None) -> None:
        """Open the store; nothing is made yet. None is the default folder."""
        self.folder = default_folder() if folder is None else folder

    def read(self, digest: str) -> Conversion | None:
        """Return the conversion of a network; None if there is none, it is damaged, or another user could have written it."""
        try:
            self._check(os.stat(self.folder), self.folder)
            with open(os.open(self._path(digest), os.O_RDONLY | NO_FOLLOW), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    return None
                self._check(status, self._path(digest))
                line, flatbuffer = file.readline(), file.read()
        except (OSError, UnusableStoreError):
            return None
        return _parsed(line, flatbuffer)

    def prepare(self) -> None:
        """Make the folder if it is missing.

        Raises:
            UnusableStoreError: it cannot be made or written to, or another user could write to it.
        """
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            self._check(os.stat(self.folder), self.folder)
        except OSError as error:
            raise UnusableStoreError(f"{error.filename or self.folder} cannot be made: {error.strerror}") from error
        if not os.access(self.folder, os.W_OK):
            raise UnusableStoreError(f"{self.folder} is read-only")
        remove_orphans(str(self.folder))

    def write(self, digest: str, conversion: Conversion) -> None:
        """Keep a conversion, over an earlier one.

        Raises:
            UnusableStoreError: as `prepare`, or the disk is full.
        """
        self.prepare()
        try:
            with atomic_writer(str(self._path(digest))) as file:
                if hasattr(os, "fchmod"):
                    os.fchmod(file.fileno(), 0o600)
                file.write(json.dumps(asdict(conversion.record)).encode() + b"\n" + conversion.flatbuffer)
        except OSError as error:
            raise UnusableStoreError(f"{error.filename or self.folder} cannot be written: {error.strerror}") from error

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}{ENDING}"

    def shipped(self, digest: str) -> Conversion | None:
        """Return the conversion of a network that is part of this project; None for all others."""
        try:
            line, _, flatbuffer = (SHIPPED / f"{digest}{ENDING}").read_bytes().partition(b"\n")
        except OSError:
            return None
        return _parsed(line, flatbuffer)

    @staticmethod
    def _check(status: os.stat_result, path: Path) -> None:
        """Raise UnusableStoreError if another user owns a file or folder, or could write to it."""
        if not hasattr(os, "geteuid"):  # Windows, where a user's folders are that user's alone.
            return
        if status.st_uid != os.geteuid():
            raise UnusableStoreError(f"{path} belongs to another user")
        if status.st_mode & OTHERS_CAN_WRITE:
            raise UnusableStoreError(f"other users can write to {path}")


def new_conversion(flatbuffer: bytes, record: Record) -> Conversion:
    """Return a conversion whose record has the flatbuffer's digest."""
    sha256 = hashlib.sha256(flatbuffer).hexdigest() if flatbuffer else ""
    return Conversion(Record(**{**asdict(record), "sha256": sha256}), flatbuffer)


def _parsed(line: bytes, flatbuffer: bytes) -> Conversion | None:
    try:
        values = json.loads(line)
        if values["format"] != FORMAT:
            return None
        record = Record(**values)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    kinds = (str, str, str, float, float, float, str, int)
    if any(not isinstance(value, kind) for value, kind in zip(asdict(record).values(), kinds, strict=True)):
        return None
    if bool(flatbuffer) == bool(record.problem):
        return None
    if flatbuffer and hashlib.sha256(flatbuffer).hexdigest() != record.sha256:
        return None
    return Conversion(record, flatbuffer)
