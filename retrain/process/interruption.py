"""Ctrl-C, made reliable: in about one case of three TensorFlow swallows Python's KeyboardInterrupt, and the run goes on.

So the signal is remembered too, and the loops that take long ask for it at each turn.
"""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

_interrupted = threading.Event()
_deferred = threading.Event()


def watch_for_interrupts() -> None:
    """From now on Ctrl-C is remembered, besides raising KeyboardInterrupt. For the main thread of a program of its own."""
    _interrupted.clear()
    signal.signal(signal.SIGINT, _remember)


def raise_if_interrupted() -> None:
    """Raises KeyboardInterrupt if Ctrl-C was pressed, whoever may have swallowed it."""
    if _interrupted.is_set():
        raise KeyboardInterrupt


@contextlib.contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Within it the first Ctrl-C raises only where it is asked for, so that what is being changed is never left half changed."""
    _deferred.set()
    try:
        yield
    finally:
        _deferred.clear()


def _remember(number: int, frame: FrameType | None) -> None:
    insisting = _interrupted.is_set()
    _interrupted.set()
    if insisting or not _deferred.is_set():
        raise KeyboardInterrupt
