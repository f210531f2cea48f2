"""Preparation of the output paths before the work begins, so that an unusable one is an error now and not after an hour."""

import os
import stat

from retrain.errors import OutputError
from retrain.files import remove_orphans


def prepare_file(flag: str, path: str) -> None:
    """Make the folder of the file `path`. Raise OutputError, naming the flag, if the file could not be written."""
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
    """Make the folder `path`, which this run alone writes to. Raise OutputError if nothing can be written into it."""
    _prepare_folder(flag, path)
    for name in sorted(os.listdir(path)):  # A link may have the name of a class or of a set of summaries.
        _refuse_anothers_link(flag, os.path.join(path, name))


def prepare_cache(flag: str, path: str) -> None:
    """As `prepare_folder`, but a folder with files need not be writable: a complete cache is only read."""
    if os.path.isdir(path) and not os.access(path, os.W_OK) and os.access(path, os.R_OK) and os.listdir(path):
        _refuse_anothers_link(flag, path.rstrip(os.sep))
        return
    prepare_folder(flag, path)


def _prepare_folder(flag: str, path: str) -> None:
    _refuse_anothers_link(flag, path.rstrip(os.sep))
    try:
        os.makedirs(path, exist_ok=True)
    except FileExistsError as error:
        kind = "link that leads nowhere" if os.path.islink(path) else "file"
        raise OutputError(f"--{flag} must be a folder. Got {path}, which is a {kind}.") from error
    except OSError as error:
        raise OutputError(f"--{flag}: the folder {path} cannot be made ({error.strerror}). Give another place.") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"--{flag}: the folder {path} cannot be written to. Give another place.")


def _refuse_anothers_link(flag: str, path: str) -> None:
    """Raise OutputError for a link with which another user, in a shared folder such as /tmp, could redirect what is written."""
    if os.path.islink(path) and _belongs_to_another(path):
        raise OutputError(f"--{flag}: {path} is a link that another user made. Delete it, or give another place.")


def _cannot_be_replaced(path: str, folder: str) -> bool:
    """Return True if `path` is another user's file in a folder such as /tmp, where all may write but only owners may delete."""
    me = getattr(os, "geteuid", lambda: 0)()  # Windows has no such folders.
    if me == 0 or not os.path.lexists(path):
        return False
    status = os.stat(folder)
    return bool(status.st_mode & stat.S_ISVTX) and me not in (status.st_uid, os.lstat(path).st_uid)


def _belongs_to_another(path: str) -> bool:
    """Return True if the file, folder or link belongs to a user who is neither this one nor root; always False on Windows."""
    return hasattr(os, "geteuid") and os.path.lexists(path) and os.lstat(path).st_uid not in (0, os.geteuid())


def prepare_new_folder(flag: str, path: str) -> None:
    """Raise OutputError if `path` exists and is not an empty folder, or if its parent cannot be written to."""
    name = path.rstrip(os.sep)
    _refuse_anothers_link(flag, name)
    if os.path.islink(name) or (os.path.exists(path) and not (os.path.isdir(path) and not os.listdir(path))):
        raise OutputError(f"--{flag} must be a folder that does not exist yet. Got {path}: give another, or move it away.")
    folder = os.path.dirname(os.path.abspath(path))
    _prepare_folder(flag, folder)
    remove_orphans(folder)
