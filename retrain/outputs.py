"""The places a run writes to, made ready before the work begins: what cannot be written is said now, not after an hour."""

import os

from retrain.errors import OutputError


def prepare_file(flag: str, path: str) -> None:
    """Makes the folder of the file `path`. Raises OutputError where the file could not be written, naming the flag."""
    if os.path.isdir(path) or not os.path.basename(path):
        raise OutputError(f"--{flag} must be a file. Got {path}, which is a folder.")
    if os.path.exists(path) and not os.path.isfile(path):
        raise OutputError(f"--{flag} must be a file. Got {path}, which is a device.")
    prepare_folder(flag, os.path.dirname(path) or ".")


def prepare_folder(flag: str, path: str) -> None:
    """Makes the folder `path`. Raises OutputError where nothing can be written into it, naming the flag."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--{flag}: the folder {path} cannot be made ({error.strerror}). Give another place.") from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OutputError(f"--{flag}: the folder {path} cannot be written to. Give another place.")


def prepare_new_folder(flag: str, path: str) -> None:
    """Raises OutputError where `path` exists and is not an empty folder, or its parent cannot be written to."""
    if os.path.exists(path) and not (os.path.isdir(path) and not os.listdir(path)):
        raise OutputError(f"--{flag} must be a folder that does not exist yet. Got {path}: delete it, or give another.")
    prepare_folder(flag, os.path.dirname(os.path.abspath(path)))
