"""Temporary folders that are removed however the block ends, also by SIGTERM, at which Python itself would end at once."""

import contextlib
import os
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from types import FrameType

_folders: dict[str, int] = {}  # The process that made each folder: a forked child must not remove its parent's.


@contextlib.contextmanager
def temporary_folder(prefix: str = "retrain-") -> Iterator[str]:
    """Make a folder, yield its path, and remove it when the block ends or SIGTERM ends the process.

    A process that handles SIGTERM itself keeps its handler, and so does one that enters the block in another thread than the main
    thread. A call into TensorFlow delays the signal until it returns.
    """
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        is_first = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        _folders[folder] = os.getpid()
        if is_first:
            signal.signal(signal.SIGTERM, _end)
        try:
            yield folder
        finally:
            if is_first:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
            del _folders[folder]


def _end(number: int, frame: FrameType | None) -> None:
    """Remove the folders, and let the signal end the process as it would have done without them."""
    for folder, process in list(_folders.items()):
        if process == os.getpid():
            shutil.rmtree(folder, ignore_errors=True)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)
