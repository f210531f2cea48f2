"""Reliable Ctrl-C: in about one case of three TensorFlow swallows Python's KeyboardInterrupt, and the run continues.

So the signal is recorded too, and long loops check the record in each iteration.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_interrupted = threading.Event()
_deferred = threading.Event()


def watch_for_interrupts() -> None:
    """Record Ctrl-C from now on, besides raising KeyboardInterrupt; only for the main thread of a command."""
    _interrupted.clear()
    signal.signal(signal.SIGINT, _record)


def raise_if_interrupted() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed, even if its first KeyboardInterrupt was swallowed."""
    if _interrupted.is_set():
        raise KeyboardInterrupt


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Let the first Ctrl-C raise only in `raise_if_interrupted`, so that no change within the block is left half done."""
    _deferred.set()
    try:
        yield
    finally:
        _deferred.clear()


def _record(number: int, frame: FrameType | None) -> None:
    repeated = _interrupted.is_set()
    _interrupted.set()
    if repeated or not _deferred.is_set():
        raise KeyboardInterrupt
