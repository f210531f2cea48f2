"""Progress bars on a terminal, and the log around them.

Where stderr is no terminal, but a file or a pipe that a script reads, there are no bars, and the log is the original's.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from retrain.process.progress import Progress, progress_to

if TYPE_CHECKING:
    from tqdm import tqdm

# Loggers of what bars and the summary show in another way: each step, and the results at the end.
STEP_LOG, RESULT_LOG = "retrain.steps", "retrain.results"
NAMES = {"fine_tuning": "fine-tuning"}  # Of phases, where they differ.


# Of phases with an accuracy on a narrow terminal, which has no room for a bar beside it.
WITH_ACCURACY = ("training", "fine_tuning")
NARROW_COLUMNS = 110
NARROW_FORMAT = "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt} [{remaining} left, {rate_fmt}{postfix}]"


def is_narrow() -> bool:
    """Return True if the terminal of stderr has fewer than 110 columns."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns < NARROW_COLUMNS
    except (OSError, ValueError):
        return False


class Bars:
    """Progress bars on stderr: a listener of progress, and a stream for the log, whose lines appear above the bar."""

    def __init__(self) -> None:
        """Make a listener; a bar appears with the first progress."""
        self._bar: tqdm[Any] | None = None
        self._key: tuple[str, int | None] | None = None
        self._accuracy: float | None = None

    def __call__(self, progress: Progress) -> None:
        """Show the progress of a phase."""
        key = (progress.phase, progress.total)
        if self._bar is None or self._key != key:
            self.close()
            self._bar, self._key = _new_bar(progress), key
        if progress.validation_accuracy not in (None, self._accuracy):  # Most steps have none of their own.
            self._accuracy = progress.validation_accuracy
            name = "validation" if is_narrow() else "validation accuracy"
            self._bar.set_postfix_str(f"{name} {self._accuracy:.1%}", refresh=False)
        self._bar.update(progress.done - self._bar.n)
        if progress.done == progress.total:
            self.close()

    def close(self) -> None:
        """End the last bar, which stays visible as it is."""
        if self._bar is not None:
            self._bar.refresh()
            self._bar.close()
        self._bar = self._key = self._accuracy = None

    def write(self, text: str) -> None:
        """Write a part of the log."""
        if self._bar is None:
            sys.stderr.write(text)
        else:
            self._bar.write(text, file=sys.stderr, end="")

    def flush(self) -> None:
        """Flush stderr."""
        sys.stderr.flush()


@contextlib.contextmanager
def bars_on_terminal(level: str, no_progress: bool) -> Iterator[bool]:
    """Show the progress of the block in bars, if stderr is a terminal and `level` is INFO; yield True if so.

    Log lines for which there is a bar or the summary are left out then. `log_to_stderr` was called before.
    """
    if no_progress or level != "INFO" or not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield False
        return
    bars = Bars()
    for handler in logging.getLogger("retrain").handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(bars)
            handler.addFilter(_is_not_shown_elsewhere)
    with progress_to(bars):
        try:
            yield True
        finally:
            bars.close()


def _is_not_shown_elsewhere(record: logging.LogRecord) -> bool:
    return record.levelno > logging.INFO or record.name not in (STEP_LOG, RESULT_LOG)


def _new_bar(progress: Progress) -> "tqdm[Any]":
    from tqdm import tqdm  # A run without a terminal does not need it.

    tqdm.monitor_interval = 0  # No thread of its own.
    is_bytes = progress.unit == "bytes"
    has_accuracy = progress.phase in WITH_ACCURACY
    return tqdm(
        desc=NAMES.get(progress.phase, progress.phase),
        total=progress.total,
        initial=progress.done,
        unit="B" if is_bytes else f" {progress.unit}",
        unit_scale=is_bytes,
        file=sys.stderr,
        dynamic_ncols=True,
        bar_format=NARROW_FORMAT if has_accuracy and is_narrow() else None,
    )
