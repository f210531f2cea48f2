"""Reading of many bottleneck files at once, with a process for each core: parsing numbers holds Python's lock.

The workers are separate Python processes: those of `multiprocessing` would import the user's own program again.
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from retrain.arrays import FloatArray
from retrain.bottlenecks.cache import parse_values
from retrain.process.temporary import temporary_folder

PACKAGE_PARENT = str(Path(__file__).resolve().parents[2])
CHUNK = 256  # Files; a few megabytes of numbers.


def read_rows(paths: Sequence[str], bottleneck_size: int, n_processes: int) -> Iterator[tuple[int, FloatArray]]:
    """Read text files of bottlenecks, in order.

    Args:
        paths: the files.
        bottleneck_size: D.
        n_processes: number of processes that share the work.

    Yields:
        Index of a chunk's first path, and its values, float32 [n, D]; a row of NaN for a file that is missing or does not
        hold D numbers.
    """
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        workers = [
            stack.enter_context(_worker(os.path.join(folder, str(number)), chunks[number::n_processes], bottleneck_size))
            for number in range(n_processes)
        ]
        turns = itertools.cycle([worker.stdout for worker in workers if worker.stdout])
        for start in range(0, len(paths), CHUNK):
            rows = np.full((min(CHUNK, len(paths) - start), bottleneck_size), np.nan, np.float32)
            received = next(turns).read(rows.nbytes)  # Shorter if a worker died: the caller reads those files itself.
            rows.reshape(-1)[: len(received) // rows.itemsize] = np.frombuffer(received, np.float32)
            yield start, rows


def _worker(names: str, chunks: Sequence[Sequence[str]], bottleneck_size: int) -> "subprocess.Popen[bytes]":
    with open(names, "wb") as file:
        file.write(b"\0".join(os.fsencode(path) for chunk in chunks for path in chunk))
    # A file retrain.py in the current folder, such as the original's, must not hide this package.
    program = f"import sys; sys.path.insert(0, {PACKAGE_PARENT!r}); from retrain.bottlenecks.parallel_read import serve; serve()"
    command = [sys.executable, "-c", program, names, str(bottleneck_size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def serve() -> None:
    """Write the values of the files that the names file lists, as raw float32, to stdout. Run in a worker process."""
    bottleneck_size = int(sys.argv[2])
    with open(sys.argv[1], "rb") as file:
        paths = file.read().split(b"\0")
    for start in range(0, len(paths), CHUNK):
        chunk = paths[start : start + CHUNK]
        rows = np.full((len(chunk), bottleneck_size), np.nan, np.float32)
        for row, path in zip(rows, chunk, strict=True):
            _read(path, row)
        sys.stdout.buffer.write(rows.data)
        sys.stdout.buffer.flush()


def _read(path: bytes, row: FloatArray) -> None:
    try:
        with open(path, "rb") as file:
            values = parse_values(file.read())
    except OSError:
        return
    if values is not None and len(values) == len(row):
        row[:] = values
