"""Expensive results, made once for all processes that run the tests."""

import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from retrain.files import locked

Made = TypeVar("Made")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Made]) -> Made:
    """Return what `make` returns for a new folder; processes of one pytest run, each of which gets a copy, call it only once.

    The others wait meanwhile. What it returns must be picklable, and nobody may change the folder.
    """
    base = factory.getbasetemp()
    folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # A worker's own folder lies in that of the run.
    result = folder / f"{name}.pickle"
    with locked(str(folder / f"{name}.lock"), waiting=lambda turn: None):
        if result.exists():
            made: Made = pickle.loads(result.read_bytes())
            return made
        made = make(Path(tempfile.mkdtemp(prefix=f"{name}_", dir=folder)))
        result.write_bytes(pickle.dumps(made))
        return made
