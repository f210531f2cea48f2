"""Loading of TensorFlow where it is needed, and nowhere else: it takes as long as a whole training."""

import contextlib
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

_settings = {"silent": False, "lean": False}
# Keras loads it where it is installed, for wrappers that no command uses; that is a fifth of the time TensorFlow takes to load.
SCIKIT_LEARN = "sklearn"
_waiting: list[Callable[[Any], None]] = []
_lock = threading.Lock()
_silencing: list[int] = []  # For each block that is silenced, the descriptor that keeps the real one.


def load_tensorflow() -> Any:
    """Return the module `tensorflow`; imported at the first call, in a command without its own messages and scikit-learn."""
    with contextlib.ExitStack() as during:
        if not is_loaded() and _settings["silent"]:
            during.enter_context(silenced_stderr(shown_if_it_fails=True))
        if not is_loaded() and _settings["lean"]:
            during.enter_context(_without(SCIKIT_LEARN))
        import tensorflow as tf
    if _settings["silent"]:
        logging.getLogger("tensorflow").setLevel(logging.ERROR)  # Its warnings concern the use of its own interfaces.

    while _waiting:
        _waiting.pop(0)(tf)
    return tf


def is_loaded() -> bool:
    """Return True if TensorFlow is loaded, by whomever."""
    return "tensorflow" in sys.modules


def when_loaded(action: Callable[[Any], None]) -> None:
    """Call `action` with the module `tensorflow`: now if it is loaded, else as soon as `load_tensorflow` has loaded it."""
    if is_loaded():
        action(load_tensorflow())
    else:
        _waiting.append(action)


def silence_tensorflow() -> None:
    """Make `load_tensorflow` load it as a command does, and discard TensorFlow's messages.

    A user who sets TF_CPP_MIN_LOG_LEVEL sees them. The variable alone is not enough: TensorFlow ignores it while it is loaded
    (its issue 100442).
    """
    _settings["lean"] = True
    if "TF_CPP_MIN_LOG_LEVEL" not in os.environ:
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
        _settings["silent"] = True


@contextlib.contextmanager
def _without(module: str) -> Iterator[None]:
    """Let imports of a module that is not loaded fail, as if it were not installed."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(module, None)


def tensorflow_errors(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Return, for `except`, these classes and that of errors of TensorFlow's operations, which exists if TensorFlow is loaded."""
    errors = getattr(sys.modules.get("tensorflow"), "errors", None)
    return (*others, errors.OpError) if errors else others


@contextlib.contextmanager
def silenced_stderr(shown_if_it_fails: bool = False) -> Iterator[None]:
    """Discard what libraries write to file descriptor 2. Several threads may be in such blocks: the last one restores it.

    With `shown_if_it_fails` it is shown after all if the block raises an exception.
    """
    with tempfile.TemporaryFile() if shown_if_it_fails else open(os.devnull, "wb") as said:
        with _lock:
            if not _silencing:
                sys.stderr.flush()
                _silencing.append(os.dup(2))
                os.dup2(said.fileno(), 2)
            else:
                _silencing.append(_silencing[0])
        try:
            yield
        except BaseException:
            if shown_if_it_fails:
                said.seek(0)
                os.write(_silencing[0], said.read())
            raise
        finally:
            with _lock:
                kept = _silencing.pop()
                if not _silencing:
                    os.dup2(kept, 2)
                    os.close(kept)
