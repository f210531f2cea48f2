"""Atomic writing of files: a reader never sees half of one."""

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows.
    fcntl = None

TEMPORARY = re.compile(r"\.tmp-[0-9a-f]{16}")
ORPHANED_SECONDS = 3600  # Nothing here takes an hour to write, so no file of a run in progress is removed.
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # Not on Windows.


def temporary_beside(path: str) -> str:
    """Return a random path, of the form that `remove_orphans` removes, in the folder of the file or folder `path`."""
    return os.path.join(os.path.dirname(path.rstrip(os.sep)), f".tmp-{secrets.token_hex(8)}")


@contextlib.contextmanager
def atomic_writer(path: str) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; it is renamed to `path` when the block ends, or removed if the block raises.

    The temporary name is random and opened exclusively, so a link planted under a predictable name is never followed.

    Raises:
        OSError: the folder does not exist, is read-only or full; its file name is `path`.
    """
    temporary = temporary_beside(path)
    try:
        with open(temporary, "xb") as file:
            yield file
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno and error.filename in (None, temporary):
            raise OSError(error.errno, error.strerror, path) from error  # The temporary name would tell a user nothing.
        raise


def write_atomically(path: str, data: bytes, durable: bool = False) -> None:
    """Write `data` to `path` so that `path` holds either its old content or all of the new. Raise OSError if that fails.

    `durable` waits until the data is on the disk, so that this holds through a power cut too.
    """
    with atomic_writer(path) as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def append(path: str, data: bytes) -> None:
    """Append `data` to a file, which is made if needed; a link is not followed. Raise OSError if that fails."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | NO_FOLLOW, 0o666), "ab") as file:
            file.write(data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def remove_orphans(folder: str, pattern: re.Pattern[str] = TEMPORARY) -> None:
    """Remove what killed runs left behind in `folder`: temporary files and folders, unchanged for an hour."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if pattern.fullmatch(entry.name) and time.time() - entry.stat(follow_symlinks=False).st_mtime > ORPHANED_SECONDS:
                    shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)


@contextlib.contextmanager
def locked(path: str, waiting: Callable[[int], None]) -> Iterator[bool]:
    """Hold the lock of a file, which is made if needed; yield True if another program held it before.

    The system releases the lock when its holder ends, however it ends. On file systems without locks nothing is locked.

    Args:
        path: the file; a link is not followed.
        waiting: called every fifth of a second while another program holds the lock, with 0, 1, 2, …; may raise.

    Raises:
        OSError: the file cannot be made.
    """
    with open(os.open(path, os.O_RDWR | os.O_CREAT | NO_FOLLOW, 0o666), "rb") as file:
        turns = 0
        while fcntl:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting(turns)
                turns += 1
                time.sleep(0.2)
            except OSError:  # A network file system without locks, for example.
                break
        yield turns > 0
