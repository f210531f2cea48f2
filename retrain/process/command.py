"""Parts that all command lines share: exit codes and the log."""

import io
import logging
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from retrain.errors import RetrainError, reason_of
from retrain.process.interruption import watch_for_interrupts
from retrain.process.missing_package import OWN_PACKAGES, missing_package

# 128 + SIGINT and 128 + SIGPIPE, as shells report them.
INTERRUPTED = 130
BROKEN_PIPE = 141


def run_command(command: Callable[[], int], interrupted: str = "Stopped.") -> int:
    """Run `command` and return its exit code; an error that a user can fix becomes `error: …` on stderr and an exit code.

    At Ctrl-C it prints the message of the KeyboardInterrupt, or `interrupted` if that has none.
    """
    try:
        if threading.current_thread() is threading.main_thread():
            watch_for_interrupts()
        return command()
    except BrokenPipeError:
        # The reader of the output, such as `head`, has closed it. What Python has buffered must not fail at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt as interrupt:
        print(str(interrupt) or interrupted, file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        sentence = _message(error)
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        return error.exit_code if isinstance(error, RetrainError) else RetrainError.exit_code


def _message(error: Exception) -> str | None:
    """Return the message for the user; None if the error is a fault of this program."""
    if isinstance(error, RetrainError):
        return str(error)
    if isinstance(error, OSError):
        prefix = f"{error.filename}: " if error.filename else ""
        return f"{prefix}{error.strerror or error}"
    if isinstance(error, ImportError):
        return missing_package(error)
    if isinstance(error, MemoryError):
        return f"there is not enough memory ({error}). Lower the batch sizes."
    if type(error).__module__.startswith("tensorflow."):
        return f"TensorFlow failed: {reason_of(error)}"  # In most cases for want of memory.
    return None


def end(code: int) -> NoReturn:
    """End the program with an exit code: at once, since everything is written by now and unloading TensorFlow takes a second.

    Raises:
        SystemExit: another program runs this one, such as runpy, IPython's `%run` or a test, and continues afterwards.
    """
    if not _is_whole_process():
        sys.exit(code)
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:
        sys.exit(code)  # Python prints the error.
    os._exit(code)


def _is_whole_process() -> bool:
    """Return True if `python -m` started the process for this program, and nothing else called it."""
    main_spec = getattr(sys.modules["__main__"], "__spec__", None)
    if main_spec is None or main_spec.name.partition(".")[0] not in OWN_PACKAGES:
        return False
    callers = []
    frame: FrameType | None = sys._getframe(1)
    while frame:
        module = frame.f_globals.get("__name__", "")
        if module != "__main__" and module.partition(".")[0] not in OWN_PACKAGES:
            callers.append((module, frame.f_code.co_name))
        frame = frame.f_back
    return callers == [("runpy", "_run_code"), ("runpy", "_run_module_as_main")]


def print_any_name() -> None:
    """Let stdout print every name of a file, which need not be Unicode: what cannot be encoded is escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def log_to_stderr(level: str) -> None:
    """Print the project's log, from `level` on, to stderr; a warning or an error begins with its level."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    logger = logging.getLogger("retrain")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        mark = "" if record.levelno < logging.WARNING else f"{record.levelname}: "
        return mark + record.getMessage()
