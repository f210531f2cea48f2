"""Writing files so that a reader never sees half of one."""

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
ORPHANED_SECONDS = 3600  # Nothing here takes an hour to write; another run's file is not to be taken from under it.
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # Not on Windows.


def temporary_beside(path: str) -> str:
    """A random name, as `remove_orphans` knows it, in the folder of the file or folder `path`."""
    return os.path.join(os.path.dirname(path.rstrip(os.sep)), f".tmp-{secrets.token_hex(8)}")


@contextlib.contextmanager
def atomic_writer(path: str) -> Iterator[BinaryIO]:
    """Opens a temporary file beside `path`; it takes the name `path` when the block ends, or vanishes if the block raises.

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
    """Writes `data` to `path` so that `path` holds either its old content or all of the new. Raises OSError.

    `durable` waits until it is on the disk, so that this holds through a power cut too.
    """
    with atomic_writer(path) as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


def append(path: str, data: bytes) -> None:
    """Adds `data` to the end of a file, which is made if needed; a link in its place is not followed. Raises OSError."""
    try:
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | NO_FOLLOW, 0o666), "ab") as file:
            file.write(data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from error


def remove_orphans(folder: str, pattern: re.Pattern[str] = TEMPORARY) -> None:
    """Removes what killed runs left behind in `folder`: temporary files and folders, unchanged for an hour."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if pattern.fullmatch(entry.name) and time.time() - entry.stat(follow_symlinks=False).st_mtime > ORPHANED_SECONDS:
                    shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)


@contextlib.contextmanager
def locked(path: str, waiting: Callable[[int], None]) -> Iterator[bool]:
    """Holds the lock of a file that is made if needed; gives whether another program held it before.

    The system frees it when its holder ends, however it ends. Where files cannot be locked nothing is.

    Args:
        path: the file. A link in its place is not followed.
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
            except OSError:  # Such as on a network's file system without locks.
                break
        yield turns > 0
