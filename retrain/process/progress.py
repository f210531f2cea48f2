"""Progress of the work: stages say how far they are, and whoever asked to be told is called.

Like a log: `advance` does nothing where nobody asked.
"""

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of one phase of a run.

    Attributes:
        phase: `download`, `bottlenecks`, `training`, `fine_tuning`, `evaluation` or `export`, in this order.
            Not every run has all of them.
        done: number of items that are done, 0 at the beginning of the phase.
        total: number of items in all; None if it is not known, as of some downloads. A training that stops early ends before it.
        unit: name of the items: `bytes`, `images`, `steps` or `files`.
        validation_accuracy: of the last evaluation, 0 to 1; None before the first, and in other phases than the two of training.
    """

    phase: str
    done: int
    total: int | None
    unit: str
    validation_accuracy: float | None = None


Listener: TypeAlias = Callable[[Progress], None]

_listener: contextvars.ContextVar[Listener | None] = contextvars.ContextVar("listener", default=None)
_current: contextvars.ContextVar[list[Progress] | None] = contextvars.ContextVar("current", default=None)


@contextlib.contextmanager
def progress_to(listener: Listener | None) -> Iterator[None]:
    """Call the listener, in this thread, with the progress of the block's work; its exceptions end the work."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


@contextlib.contextmanager
def progressing(phase: str, total: int | None, unit: str, done: int = 0) -> Iterator[None]:
    """Begin a phase, which `advance` counts within the block; `done` items were done by an earlier run."""
    begun = Progress(phase=phase, done=done, total=total, unit=unit)
    token = _current.set([begun])
    try:
        if listener := _listener.get():
            listener(begun)
        yield
    finally:
        _current.reset(token)


def advance(count: int = 1, validation_accuracy: float | None = None) -> None:
    """Count items of the current phase as done; an accuracy that is None stays as it was."""
    listener, current = _listener.get(), _current.get()
    if listener is None or current is None or (not count and validation_accuracy is None):
        return
    now = replace(current[0], done=current[0].done + count)
    if validation_accuracy is not None:
        now = replace(now, validation_accuracy=validation_accuracy)
    current[0] = now
    listener(now)
