"""The bottleneck cache on disk: the original's text files, made trustworthy.

`<bottleneck_dir>/<class folder>/<image file>_<architecture>.txt` holds one line of numbers joined by commas, as the original
writes and reads them. Beside them, `.index_<architecture>.jsonl` holds a line of JSON for each file made here: of which image
content, by which network. A file without such a line, made by the original, is accepted.
"""

import enum
import hashlib
import logging
import os
from dataclasses import dataclass

import numpy as np
import orjson

from retrain.arrays import FloatArray
from retrain.errors import OutputError
from retrain.files import write_atomically
from retrain.image_lists import LabelledImage

logger = logging.getLogger("retrain")


class Stale(enum.Enum):
    """Why a bottleneck has to be made; the value is how the log says it."""

    MISSING = "not made before"
    UNREADABLE = "unreadable"
    IMAGE_CHANGED = "the image has changed"
    NETWORK_CHANGED = "made by another network"


@dataclass(frozen=True)
class Record:
    """What the index remembers of one bottleneck: its image's size in bytes, modification time and SHA-256, and its network."""

    size: int
    mtime_ns: int
    sha256: str
    network: str


class BottleneckCache:
    """The cached bottlenecks of one network."""

    def __init__(self, bottleneck_dir: str, architecture: str, bottleneck_size: int, fingerprint: str) -> None:
        """
        Args:
            bottleneck_dir: the cache's folder; made at the first write.
            architecture: the network's name, part of each file's name.
            bottleneck_size: D.
            fingerprint: tells this network from another one of the same name.
        """
        self._dir = bottleneck_dir
        self._architecture = architecture
        self._size = bottleneck_size
        self._fingerprint = fingerprint
        self._indices: dict[str, dict[str, Record]] = {}

    def path(self, image: LabelledImage) -> str:
        """Where the bottleneck of an image is kept."""
        return os.path.join(self._dir, image.folder, f"{image.file_name}_{self._architecture}.txt")

    def read(self, image: LabelledImage) -> FloatArray | Stale:
        """The cached bottleneck, float32 [D], or the reason why there is none to be used."""
        try:
            with open(self.path(image), "rb") as file:
                text = file.read()
        except FileNotFoundError:
            return Stale.MISSING
        except OSError as error:
            logger.warning("The bottleneck %s cannot be read (%s); it is made again.", self.path(image), error.strerror)
            return Stale.UNREADABLE
        values = parse_values(text)
        if values is None or len(values) != self._size or not np.isfinite(values).all():
            logger.warning("The bottleneck %s does not hold %d numbers; it is made again.", self.path(image), self._size)
            return Stale.UNREADABLE
        return self.check_record(image) or values

    def write(self, image: LabelledImage, values: FloatArray, mtime_ns: int) -> None:
        """Keeps a bottleneck, float32 [D]. `mtime_ns` is the image's modification time as it was before it was decoded.

        Raises:
            OutputError: the cache's folder cannot be written to.
        """
        try:
            os.makedirs(os.path.dirname(self.path(image)), exist_ok=True)
            write_atomically(self.path(image), format_values(values))
            self._remember(image, mtime_ns)
        except OSError as error:
            raise OutputError(
                f"The bottleneck {self.path(image)} cannot be written ({error.strerror}). Those made before it are kept: "
                "make room, or give another --bottleneck_dir, and run again."
            ) from error

    def check_record(self, image: LabelledImage) -> Stale | None:
        """Why an existing bottleneck must not be used, as far as the index knows: its image or network has changed."""
        record = self._index(image.folder).get(_json_name(image.file_name))
        if record is None:
            return None
        if record.network != self._fingerprint:
            return Stale.NETWORK_CHANGED
        try:
            status = os.stat(image.path)
            if (status.st_size, status.st_mtime_ns) == (record.size, record.mtime_ns):
                return None
            if status.st_size != record.size or sha256_of(image.path) != record.sha256:
                return Stale.IMAGE_CHANGED
        except OSError:
            pass  # The image has just vanished; this is what it gave.
        return None  # Only touched or copied: the same content.

    def _remember(self, image: LabelledImage, mtime_ns: int) -> None:
        try:
            status, sha256 = os.stat(image.path), sha256_of(image.path)
        except OSError:
            return  # The image has just vanished: nothing can be said of it.
        if status.st_mtime_ns != mtime_ns:
            mtime_ns, sha256 = -1, ""  # Edited while it was decoded: what fits no file has the next run make it again.
        record = Record(status.st_size, mtime_ns, sha256, self._fingerprint)
        line = orjson.dumps([_json_name(image.file_name), record.size, record.mtime_ns, record.sha256, record.network])
        # The leading newline ends a line that a killed run left half-written, so that it costs itself and not this one.
        with open(self._index_path(image.folder), "ab") as file:
            file.write(b"\n" + line)

    def _index_path(self, folder: str) -> str:
        return os.path.join(self._dir, folder, f".index_{self._architecture}.jsonl")

    def _index(self, folder: str) -> dict[str, Record]:
        if folder not in self._indices:
            self._indices[folder] = _read_index(self._index_path(folder))
        return self._indices[folder]


def format_values(values: FloatArray) -> bytes:
    """float32 [D] → the shortest decimals that give the same float32 back, joined by commas."""
    return orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]


def parse_values(text: bytes) -> FloatArray | None:
    """Numbers joined by commas → float32 [D]; None where a part is no number."""
    try:
        numbers = orjson.loads(b"[" + text + b"]")
        if not set(map(type, numbers)) <= {int, float}:
            return None
    except orjson.JSONDecodeError:
        try:  # What Python's float() takes and JSON does not, such as `1.` or `nan`: the original's parser accepts it.
            numbers = [float(part) for part in text.split(b",")]
        except ValueError:
            return None
    with np.errstate(over="ignore"):  # A number beyond float32 becomes infinite, which the cache refuses in its own words.
        return np.array(numbers, dtype=np.float32)


def _json_name(file_name: str) -> str:
    """A name that JSON can hold: one that is not UTF-8 comes with its bytes escaped, as `caf\\udce9.jpg`."""
    return file_name.encode("utf-8", "backslashreplace").decode()


def sha256_of(path: str) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def _read_index(path: str) -> dict[str, Record]:
    """The last record of each file name. A line that is not whole is passed over."""
    try:
        with open(path, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return {}
    records = {}
    for line in lines:
        try:
            name, size, mtime_ns, sha256, network = orjson.loads(line)
            records[name] = Record(size, mtime_ns, sha256, network)
        except (ValueError, TypeError):
            continue
    return records
