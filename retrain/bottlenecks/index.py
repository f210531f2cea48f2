"""Index of the bottlenecks in a folder: which image and which network each was made of."""

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

INDEX_FILE = re.compile(r"\.index_(.+)\.jsonl", re.DOTALL)


@dataclass(frozen=True)
class Record:
    """Record of one bottleneck in the index: its image's size in bytes, modification time and SHA-256, and its network.

    The SHA-256 is empty for a bottleneck that was adopted, not made here: only size and time of its image are known.
    """

    size: int
    mtime_ns: int
    sha256: str
    network: str

    def is_of(self, size: int, mtime_ns: int) -> bool:
        """Return True if its image had this size and this time."""
        return (self.size, self.mtime_ns) == (size, mtime_ns)


def index_path(folder: str, name: str) -> str:
    """Return the path of the index of the bottlenecks in `folder` that are cached under `name`."""
    return os.path.join(folder, f".index_{name}.jsonl")


def read_index(path: str) -> dict[str, Record]:
    """Return the last record of each file name. Incomplete lines are skipped."""
    records = {}
    for values in read_lines(path):
        try:
            name, size, mtime_ns, sha256, network = values
            records[name] = Record(size, mtime_ns, sha256, network)
        except (ValueError, TypeError):
            continue
    return records


def read_lines(path: str) -> Iterator[Any]:
    """Yield the value of each line of JSON in a file; none if it cannot be read. Incomplete lines are skipped."""
    try:
        with open(path, "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        with contextlib.suppress(ValueError):
            yield orjson.loads(line)


def json_name(file_name: str) -> str:
    """Return a name that JSON can hold: the bytes of one that is not UTF-8 are escaped, as in `caf\\udce9.jpg`."""
    return file_name.encode("utf-8", "backslashreplace").decode()


def name_in_use(bottleneck_dir: str, folders: Iterable[str], name: str, fingerprint: str) -> str:
    """Return the name under which a network's bottlenecks are in the cache: `name`, or that of an earlier run.

    One graph can be named by several paths, and its layer can be named or inferred: all share one cache.

    Args:
        bottleneck_dir: the cache's folder.
        folders: folders of the classes in it.
        name: for the network if it has no bottlenecks yet.
        fingerprint: of the network.
    """
    for folder in folders:
        names = [match[1] for each in _listed(os.path.join(bottleneck_dir, folder)) if (match := INDEX_FILE.fullmatch(each))]
        for other in sorted(names, key=lambda each: (each != name, each)):
            records = read_index(index_path(os.path.join(bottleneck_dir, folder), other))
            if any(record.network == fingerprint for record in records.values()):
                return other
    return name


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
