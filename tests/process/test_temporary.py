"""Temporary folders: removed at the end of the block, by an error in it, and by SIGTERM, which ends the process as usual."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from retrain.process.temporary import temporary_folder
from tests.conftest import ROOT

TWO_FOLDERS = """
import os, signal, sys, time
from retrain.process.temporary import temporary_folder
{before}
with temporary_folder() as one, temporary_folder("other-") as two:
    open(os.path.join(two, "file"), "w").close()
    {within}
    print("ready", flush=True)
    time.sleep(60)
"""


def ended_by_sigterm(folder: Path, before: str = "", within: str = "") -> tuple[int, list[str]]:
    """Send SIGTERM to a program with two folders below `folder`; return its exit code, and what was printed after `ready`."""
    program = TWO_FOLDERS.format(before=before, within=within)
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        assert len(list(folder.iterdir())) == 2
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read().splitlines()
    return process.returncode, rest


def test_a_folder_is_removed_at_the_end_and_by_an_error() -> None:
    with temporary_folder("some-prefix-") as folder:
        assert os.path.basename(folder).startswith("some-prefix-")
        Path(folder, "file").write_text("content")
    assert not os.path.exists(folder)
    with pytest.raises(KeyError), temporary_folder() as folder:
        raise KeyError
    assert not os.path.exists(folder)


def test_sigterm_removes_all_folders_and_ends_the_process(tmp_path: Path) -> None:
    assert ended_by_sigterm(tmp_path) == (-signal.SIGTERM, [])
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_leaves_its_parents_folders(tmp_path: Path) -> None:
    # A signal before the child has written would be lost: Python forgets those that arrive while it forks.
    fork = "r, w = os.pipe(); child = os.fork() or [os.write(w, b'x'), time.sleep(60)]; os.read(r, 1)"
    fork += "; os.kill(child, signal.SIGTERM); os.waitpid(child, 0)"
    fork += "; assert os.path.isdir(one) and os.path.isfile(os.path.join(two, 'file'))"
    assert ended_by_sigterm(tmp_path, within=fork) == (-signal.SIGTERM, [])


def test_a_program_keeps_its_own_handler(tmp_path: Path) -> None:
    # Not `print`: the signal may come while the program itself still prints, which Python does not let a handler do then.
    own = "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'own\\n'), sys.exit(3)))"
    assert ended_by_sigterm(tmp_path, before=own) == (3, ["own"])
    assert list(tmp_path.iterdir()) == [], "the exception that it raises ends the blocks"


def test_the_default_is_restored_and_other_threads_can_make_folders() -> None:
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with temporary_folder():
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
        with temporary_folder():
            pass
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    found: list[str] = []

    def other() -> None:
        with temporary_folder() as folder:
            found.append(folder)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert len(found) == 1 and not os.path.exists(found[0])
