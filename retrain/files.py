"""Writing files so that a reader never sees half of one."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from typing import BinaryIO


@contextlib.contextmanager
def atomic_writer(path: str) -> Iterator[BinaryIO]:
    """Opens a temporary file beside `path`; it takes the name `path` when the block ends, or vanishes if the block raises.

    The temporary name is random and opened exclusively, so a link planted under a predictable name is never followed.

    Raises:
        OSError: the folder does not exist, is read-only or full; its file name is `path`.
    """
    temporary = os.path.join(os.path.dirname(path), f".tmp-{secrets.token_hex(8)}")
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


def write_atomically(path: str, data: bytes) -> None:
    """Writes `data` to `path` so that `path` holds either its old content or all of the new. Raises OSError."""
    with atomic_writer(path) as file:
        file.write(data)
