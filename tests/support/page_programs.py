"""Programs of the documentation's pages, run in a process of their own: this module loads little."""

import functools
import os
from pathlib import Path
from typing import Any

import retrain
from retrain.config import RetrainConfig
from tests.support.docs_blocks import Block

NAMES: dict[str, Any] = {}  # Those of a page's Python, in the process that runs it.


def run_program(block: Block, folder: Path, values: dict[str, Any]) -> None:
    """Run a block of Python in a folder. A training on it gets these values."""
    os.chdir(folder)
    retrain.RetrainConfig = functools.partial(RetrainConfig, **values)  # type: ignore[assignment,misc]
    exec(compile("\n" * block.line + block.text, block.page, "exec"), NAMES)  # Errors name the line of the page.
