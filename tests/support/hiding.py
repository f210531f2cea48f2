"""Environments in which some packages are missing, for commands that are run in processes of their own."""

import os
from pathlib import Path

from tests.conftest import ROOT

# Python imports a module of this name before any program. The finder of installed packages finds these no more.
PROGRAM = """
import importlib.machinery

hidden = {modules!r}
found = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = lambda name, *others: None if name in hidden else found(name, *others)
"""


def hiding(folder: Path, *modules: str) -> dict[str, str]:
    """Return the variables of an environment without these modules; `folder` is where its start-up program is written."""
    (folder / "sitecustomize.py").write_text(PROGRAM.format(modules=modules), encoding="utf-8")
    return {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
