"""Commands that run while a test watches, stops or kills them."""

import functools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from tests.conftest import ROOT
from tests.support.commands import own_environment

HANGS = 300  # Seconds after which a command is held to hang.
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# The processor time that a command may take after Ctrl-C, as a multiple of what loading TensorFlow takes on the same machine:
# nothing can interrupt that, and a slow machine needs longer for both.
AT_ONCE = 3


class Running:
    """A command that has been started and is not waited for; the end of the `with` block kills it if it still runs."""

    def __init__(self, folder: Path, *flags: str, below: Sequence[str] = ()) -> None:
        """Start `python -m retrain` with its log in `folder`; `below` is a program that runs it, with that program's flags."""
        folder.mkdir(parents=True, exist_ok=True)
        self._log = folder / f"log_{len(list(folder.glob('log_*')))}"
        with open(self._log, "xb") as log:
            self.process = subprocess.Popen(
                [*below, sys.executable, "-m", "retrain", *flags], env={**own_environment(), "PYTHONPATH": str(ROOT)}, stderr=log
            )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition()`; fail if the command ends before, or hangs."""
        deadline = time.monotonic() + HANGS
        while not condition():
            assert self.process.poll() is None, f"ended too early\n{self.log}"
            assert time.monotonic() < deadline, f"hangs\n{self.log}"
            time.sleep(0.005)

    def end(self) -> int:
        """Wait for the command's end; return its exit code."""
        return self.process.wait(HANGS)

    def ends_within(self, seconds: float) -> bool:
        """Return True if the command ends by itself in this time."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def hold(self) -> None:
        """Stop the command where it is, until `go_on`."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitpid(self.process.pid, os.WUNTRACED)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def interrupt(self) -> float:
        """Press Ctrl-C and wait for the command's end; return the processor time that it took for this, as a multiple of
        what loading TensorFlow takes."""
        before = self._processor_seconds()
        self.process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + HANGS
        while not os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            assert time.monotonic() < deadline, f"hangs\n{self.log}"
            time.sleep(0.005)
        after = self._processor_seconds()  # The system forgets a process when it has been waited for.
        self.end()
        return (after - before) / _loading_seconds()

    def _processor_seconds(self) -> float:
        """Return the processor time of all threads, which is the 14th and 15th field, in user mode and in the system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


@functools.cache
def _loading_seconds() -> float:
    """Return the processor time of loading TensorFlow in a new process, in seconds."""
    loading = subprocess.Popen([sys.executable, "-c", "import tensorflow"], env=own_environment(), stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(loading.pid, 0)
    loading.returncode = os.waitstatus_to_exitcode(status)
    assert loading.returncode == 0
    return used.ru_utime + used.ru_stime
