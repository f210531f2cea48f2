"""What all command lines share: how they end, how they log, and how TensorFlow is started without its greetings."""

import contextlib
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import NoReturn

from retrain.errors import RetrainError, reason_of
from retrain.process.interruption import watch_for_interrupts

# 128 + SIGINT and 128 + SIGPIPE, as shells report them.
INTERRUPTED = 130
BROKEN_PIPE = 141


def run_command(command: Callable[[], int], interrupted: str = "Stopped.") -> int:
    """Runs `command` and returns its exit code; an error that a user can mend becomes `error: …` on stderr and an exit code.

    `interrupted` is printed at Ctrl-C, unless the KeyboardInterrupt itself says more.
    """
    try:
        if threading.current_thread() is threading.main_thread():
            watch_for_interrupts()
        return command()
    except BrokenPipeError:
        # Whoever read the output has enough, as `head` has. What Python still holds back must not fail at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt as interrupt:
        print(str(interrupt) or interrupted, file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        sentence = _in_words(error)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        return error.exit_code if isinstance(error, RetrainError) else RetrainError.exit_code


def _in_words(error: Exception) -> str | None:
    """What a user is told; None where the error is a fault of this program."""
    if isinstance(error, RetrainError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    if isinstance(error, MemoryError):
        return f"there is not enough memory ({error}). Lower the batch sizes."
    if type(error).__module__.startswith("tensorflow."):
        return f"TensorFlow cannot go on: {reason_of(error)}"  # Most of the time memory is short.
    return None


def end(code: int) -> NoReturn:
    """Ends the program with an exit code, at once: all is written by now, and taking TensorFlow apart lasts a second."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(code)  # Python says what is wrong with them.
    os._exit(code)


def log_to_stderr(level: str) -> None:
    """Prints the project's log, from `level` on, to stderr. Warnings and errors are marked as such."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    logger = logging.getLogger("retrain")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False


def load_tensorflow() -> None:
    """Imports TensorFlow without the lines that it prints by itself; a user who sets TF_CPP_MIN_LOG_LEVEL sees them.

    The variable alone is not enough: while it is being loaded TensorFlow ignores it (its issue 100442).
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with silenced_stderr():
        import tensorflow  # noqa: F401
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # Its warnings are about its own interfaces.


@contextlib.contextmanager
def silenced_stderr() -> Iterator[None]:
    """Sends what libraries write to file descriptor 2 nowhere."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        mark = "" if record.levelno < logging.WARNING else f"{record.levelname}: "
        return mark + record.getMessage()
