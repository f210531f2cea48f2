"""Commands on a pseudo-terminal, and the screen as a person sees it."""

import fcntl
import os
import pty
import signal
import struct
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyte

from tests.conftest import ROOT
from tests.support.commands import own_environment


class Screen(NamedTuple):
    """Result of a command on a terminal.

    Attributes:
        code: exit code; that of a signal is negative.
        lines: the lines of the screen, without empty ones and without blanks at their ends.
        raw: all that was written.
    """

    code: int
    lines: list[str]
    raw: str


def on_terminal(
    *args: str | Path,
    folder: Path,
    columns: int = 200,
    env: dict[str, str] | None = None,
    watch: Callable[[str, int], None] = lambda written, pid: None,
) -> Screen:
    """Run `python -m ARGS…` on a terminal with stdin, stdout and stderr.

    Args:
        args: of Python after `-m`. An argument such as `>labels.txt` at the end sends stdout into a file.
        folder: the current folder.
        columns: width of the terminal.
        env: on top of the environment.
        watch: called with what was written so far, and with the process' number, after each piece of output.
    """
    arguments, target = [str(arg) for arg in args], None
    if arguments[-1].startswith(">"):
        target = folder / arguments.pop()[1:]
    environment = {**own_environment(), "PYTHONPATH": str(ROOT), "TERM": "xterm", **(env or {})}
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 500, columns, 0, 0))
        if target:
            os.dup2(os.open(target, os.O_WRONLY | os.O_CREAT), 1)
        os.execve(sys.executable, [sys.executable, "-m", *arguments], environment)
    written = b""
    try:
        while piece := _read(terminal):
            written += piece
            watch(written.decode(errors="replace"), pid)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(terminal)
    screen = pyte.Screen(columns, 500)
    pyte.ByteStream(screen).feed(written)
    return Screen(code, [line.rstrip() for line in screen.display if line.strip()], written.decode(errors="replace"))


def _read(terminal: int) -> bytes:
    """Return the next piece of output; nothing at the end."""
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux' way to say that the last process has closed its side.
        return b""
