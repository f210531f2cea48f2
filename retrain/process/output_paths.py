"""The places a run writes to, made ready before the work begins: what cannot be written is said now, not after an hour."""

import os
import stat

from retrain.errors import OutputError
from retrain.files import remove_orphans


def prepare_file(flag: str, path: str) -> None:
    """Makes the folder of the file `path`. Raises OutputError where the file could not be written, naming the flag."""
    if os.path.isdir(path) or not os.path.basename(path):
        raise OutputError(f"--{flag} must be a file. Got {path}, which is a folder.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise OutputError(f"--{flag} must be a file. Got {path}, which is a device.")
    _refuse_anothers_link(flag, path)
    folder = os.path.dirname(path) or "."
    _prepare_folder(flag, folder)
    if _cannot_be_replaced(path, folder):
        raise OutputError(f"--{flag}: {path} belongs to another user and cannot be replaced. Give another place.")
    remove_orphans(folder)


def prepare_folder(flag: str, path: str) -> None:
    """Makes the folder `path`, all of which is this run's. Raises OutputError where nothing can be written into it."""
    _prepare_folder(flag, path)
    for name in sorted(os.listdir(path)):  # Where a folder of a class or of a set of summaries would be.
        _refuse_anothers_link(flag, os.path.join(path, name))


def _prepare_folder(flag: str, path: str) -> None:
    _refuse_anothers_link(flag, path.rstrip(os.sep))
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--{flag}: the folder {path} cannot be made ({error.strerror}). Give another place.") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"--{flag}: the folder {path} cannot be written to. Give another place.")


def _refuse_anothers_link(flag: str, path: str) -> None:
    """In a folder that all may write to, as /tmp is, another user can lead what is written here to where it does harm."""
    if os.path.islink(path) and _belongs_to_another(path):
        raise OutputError(f"--{flag}: {path} is a link that another user made. Delete it, or give another place.")


def _cannot_be_replaced(path: str, folder: str) -> bool:
    """Whether a file is there that is another user's, in a folder like /tmp, where all may write but only owners may delete."""
    me = getattr(os, "geteuid", lambda: 0)()  # Windows knows no such folders.
    if me == 0 or not os.path.lexists(path):
        return False
    above = os.stat(folder)
    return bool(above.st_mode & stat.S_ISVTX) and me not in (above.st_uid, os.lstat(path).st_uid)


def _belongs_to_another(path: str) -> bool:
    """Whether the file, folder or link belongs to a user who is neither this one nor root. Never so on Windows."""
    return hasattr(os, "geteuid") and os.path.lexists(path) and os.lstat(path).st_uid not in (0, os.geteuid())


def prepare_new_folder(flag: str, path: str) -> None:
    """Raises OutputError where `path` exists and is not an empty folder, or its parent cannot be written to."""
    place = path.rstrip(os.sep)
    _refuse_anothers_link(flag, place)
    if os.path.islink(place) or (os.path.exists(path) and not (os.path.isdir(path) and not os.listdir(path))):
        raise OutputError(f"--{flag} must be a folder that does not exist yet. Got {path}: give another, or move it away.")
    folder = os.path.dirname(os.path.abspath(path))
    _prepare_folder(flag, folder)
    remove_orphans(folder)
