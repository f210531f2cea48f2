"""Cache of bottlenecks on disk: the original's text files, and an index that makes them trustworthy.

`<bottleneck_dir>/<class folder>/<image file>_<architecture>.txt` holds one line of numbers joined by commas, as the original
writes and reads them. Beside them, `.index_<architecture>.jsonl` holds a line of JSON for each file made here: the content of
the image and the network. The line is written before the file, so a file without one was written by the original.
"""

import contextlib
import enum
import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import orjson

from retrain.arrays import FloatArray
from retrain.bottlenecks.index import Record, index_path, json_name, read_index
from retrain.data.image_lists import LabelledImage
from retrain.errors import OutputError
from retrain.files import append, locked, remove_orphans, write_atomically
from retrain.process.interruption import raise_if_interrupted

logger = logging.getLogger("retrain")

MAX_NAME_BYTES = 255  # Of a file, on all common file systems.


class Stale(enum.Enum):
    """Reason why a bottleneck has to be made; the value is its text in the log."""

    MISSING = "not made before"
    UNREADABLE = "unreadable"
    IMAGE_CHANGED = "the image has changed"
    NETWORK_CHANGED = "made by another network"
    MISMATCH = "they came without a record, and some do not fit their images"


@dataclass(frozen=True)
class Bottlenecks:
    """The bottlenecks of N images.

    Attributes:
        values: float32 [N, D], read-only; rows that were not asked for, or failed, are undefined.
        n_made, n_read: how many were made, and how many came from the cache.
        failed: reason for each image that could not be decoded, by index.
        digests: SHA-256 of the images' contents, in hexadecimal, by index, as far as the cache knows them.
    """

    values: FloatArray
    n_made: int = 0
    n_read: int = 0
    failed: Mapping[int, str] = field(default_factory=dict)
    digests: Mapping[int, str] = field(default_factory=dict)


class BottleneckCache:
    """Cache of the bottlenecks of one network.

    Attributes:
        bottleneck_size: D.
    """

    def __init__(self, bottleneck_dir: str, architecture: str, bottleneck_size: int, fingerprint: str) -> None:
        """Open the cache.

        Args:
            bottleneck_dir: the cache's folder; created by the first write.
            architecture: the network's name, part of each file's name.
            bottleneck_size: D.
            fingerprint: distinguishes this network from another one of the same name.
        """
        self._dir = bottleneck_dir
        self._architecture = architecture
        self.bottleneck_size = bottleneck_size
        self._fingerprint = fingerprint
        self._indices: dict[str, dict[str, Record]] = {}

    def path(self, image: LabelledImage) -> str:
        """Return the path of an image's bottleneck."""
        name = f"{image.file_name}_{self._architecture}.txt"
        if len(os.fsencode(name)) > MAX_NAME_BYTES:  # The original could not have cached it at all.
            name = f"{hashlib.sha256(os.fsencode(image.file_name)).hexdigest()}_{self._architecture}.txt"
        return os.path.join(self._dir, image.folder, name)

    @contextlib.contextmanager
    def making(self) -> Iterator[bool]:
        """Hold the lock for making bottlenecks, which one run has at a time. Yield True if this run had to wait for another.

        Raises:
            OutputError: the cache's folder cannot be written to.
        """

        def waiting(turn: int) -> None:
            raise_if_interrupted()
            if turn == 0:
                logger.info("Another run is making bottlenecks in %s; waiting for it.", self._dir)

        path = os.path.join(self._dir, f".lock_{self._architecture}")
        with contextlib.ExitStack() as stack:
            try:
                os.makedirs(self._dir, exist_ok=True)
                waited = stack.enter_context(locked(path, waiting))
            except OSError as error:
                raise _unwritable(path, error) from error
            self.forget_records()  # Another run may have written to them.
            yield waited

    def read(self, image: LabelledImage) -> FloatArray | Stale:
        """Return the cached bottleneck, float32 [D], or the reason why there is no usable one."""
        try:
            with open(self.path(image), "rb") as file:
                text = file.read()
        except FileNotFoundError:
            return Stale.MISSING
        except OSError as error:
            logger.warning("The bottleneck %s cannot be read (%s); it is made again.", self.path(image), error.strerror)
            return Stale.UNREADABLE
        values = parse_values(text)
        if values is None or len(values) != self.bottleneck_size or not np.isfinite(values).all():
            logger.warning(
                "The bottleneck %s does not hold %d numbers; it is made again.", self.path(image), self.bottleneck_size
            )
            return Stale.UNREADABLE
        return self.check_record(image) or values

    def keep(self, images: Sequence[LabelledImage], values: FloatArray, mtimes_ns: Sequence[int]) -> None:
        """Write the bottlenecks of n images, float32 [n, D], except those of images that were removed or edited meanwhile.

        Args:
            images: n images.
            values: their bottlenecks.
            mtimes_ns: their modification times, as they were before they were decoded.

        Raises:
            OutputError: the cache's folder cannot be written to.
        """
        rows = [
            (image, row, record)
            for image, row, mtime_ns in zip(images, values, mtimes_ns, strict=True)
            if (record := self._record(image, sha256_of)) and record.mtime_ns == mtime_ns
        ]
        path = self._dir
        try:
            for image, _, _ in rows:
                path = self.path(image)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)  # A stale file would be valid with the new record.
            path = self._dir
            self._remember((image, record) for image, _, record in rows)
            for image, row, _ in rows:
                path = self.path(image)
                write_atomically(path, format_values(row))
        except OSError as error:
            raise _unwritable(error.filename or path, error) from error

    def forget_records(self) -> None:
        """Read the index again at its next use."""
        self._indices.clear()

    def is_recorded(self, image: LabelledImage) -> bool:
        """Return True if the index has a record of the image's bottleneck."""
        return self._recorded(image) is not None

    def adopt(self, images: Iterable[LabelledImage]) -> None:
        """Record existing bottlenecks that have no record, so that an edited image is noticed from now on."""
        records = ((image, self._record(image, lambda path: "")) for image in images)
        with contextlib.suppress(OSError):  # A cache that cannot be written to only loses these records.
            self._remember((image, record) for image, record in records if record)

    def digests(self, images: Mapping[int, LabelledImage]) -> dict[int, str]:
        """Return the SHA-256 of the contents that bottlenecks were made of, by the key of their image, where it is known.

        Those of adopted bottlenecks are found by reading the images, once: then the index has them.
        """
        found = {key: self._recorded(image) for key, image in images.items()}
        records = {key: record for key, record in found.items() if record and record.network == self._fingerprint}
        unread = {key: images[key] for key, record in records.items() if not record.sha256}
        with ThreadPoolExecutor() as pool:
            read = zip(unread, pool.map(lambda image: self._record(image, sha256_of), unread.values()), strict=True)
            filled = {key: again for key, again in read if again and records[key].is_of(again.size, again.mtime_ns)}
        with contextlib.suppress(OSError):  # A cache that cannot be written to only loses these.
            self._remember((images[key], record) for key, record in filled.items())
        return {key: record.sha256 for key, record in (records | filled).items() if record.sha256}

    def _recorded(self, image: LabelledImage) -> Record | None:
        return self._index(image.folder).get(json_name(image.file_name))

    def check_record(self, image: LabelledImage) -> Stale | None:
        """Return why an existing bottleneck must not be used, by its record: its image or its network has changed; else None."""
        record = self._recorded(image)
        if record is None:
            return None
        if record.network != self._fingerprint:
            return Stale.NETWORK_CHANGED
        try:
            status = os.stat(image.path)
            if record.is_of(status.st_size, status.st_mtime_ns):
                return None
            if status.st_size != record.size or sha256_of(image.path) != record.sha256:
                return Stale.IMAGE_CHANGED
        except OSError:
            pass  # The image was removed; this is its bottleneck.
        return None  # Only touched or copied: the same content.

    def _record(self, image: LabelledImage, digest: Callable[[str], str]) -> Record | None:
        """Return the record of an image as it is now; None if it was removed."""
        try:
            status = os.stat(image.path)
            return Record(status.st_size, status.st_mtime_ns, digest(image.path), self._fingerprint)
        except OSError:
            return None

    def _remember(self, records: Iterable[tuple[LabelledImage, Record]]) -> None:
        lines: dict[str, list[bytes]] = {}
        for image, record in records:
            line = [json_name(image.file_name), record.size, record.mtime_ns, record.sha256, record.network]
            lines.setdefault(image.folder, []).append(orjson.dumps(line))
        for folder, of_folder in lines.items():
            # The leading newline ends a line that a killed run left half-written, so that only that line is lost.
            append(self._index_path(folder), b"\n" + b"\n".join(of_folder))

    def _index_path(self, folder: str) -> str:
        return index_path(os.path.join(self._dir, folder), self._architecture)

    def _index(self, folder: str) -> dict[str, Record]:
        if folder not in self._indices:
            remove_orphans(os.path.join(self._dir, folder))
            self._indices[folder] = read_index(self._index_path(folder))
        return self._indices[folder]


def _unwritable(path: str, error: OSError) -> OutputError:
    return OutputError(
        f"In the bottleneck cache, {path} cannot be written ({error.strerror}). What was made before is kept: make room, or give "
        "another --bottleneck_dir, and run again."
    )


def format_values(values: FloatArray) -> bytes:
    """Return the shortest decimals that are read as the same float32 values, joined by commas."""
    return orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]


def parse_values(text: bytes) -> FloatArray | None:
    """Return numbers joined by commas as float32 [D]; None if a part is no number."""
    try:
        numbers = orjson.loads(b"[" + text + b"]")
        if not set(map(type, numbers)) <= {int, float}:
            return None
    except orjson.JSONDecodeError:
        try:  # What Python's float() takes and JSON does not, such as `1.` or `nan`: the original's parser accepts it.
            numbers = [float(part) for part in text.split(b",")]
        except ValueError:
            return None
    with np.errstate(over="ignore"):  # A number beyond float32 becomes infinite; the cache refuses it.
        return np.array(numbers, dtype=np.float32)


def sha256_of(path: str) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
