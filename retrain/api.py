"""Training from Python: `retrain.run(image_dir="flowers")`."""

import dataclasses
from typing import Any

from retrain import pipeline
from retrain.config import RetrainConfig
from retrain.options.from_python import check_names
from retrain.process.progress import Listener, progress_to
from retrain.result import RetrainResult


def run(config: RetrainConfig | None = None, *, progress: Listener | None = None, **options: Any) -> RetrainResult:
    """Train a classifier, test it, and write it: the job of `python -m retrain`.

    Args:
        config: all options at once.
        progress: called with a `Progress` after each image, step and file, and at the beginning of each phase, in this thread. An
            exception that it raises ends the run; finished bottlenecks are kept.
        options: options by name, the fields of `RetrainConfig`; with a `config`, they replace its own.

    Raises:
        TypeError: there is no such option.
        RetrainError: the message names the file or the option, and says how to fix it. Options that are not allowed are a
            `FlagError`, with a line for each.
    """
    if config is not None and not isinstance(config, RetrainConfig):
        raise TypeError(f"run() takes a RetrainConfig, or options by name, such as image_dir='flowers'. Got {config!r}.")
    if progress is not None and not callable(progress):
        raise TypeError(f"progress must be a function that takes a Progress. Got {progress!r}.")
    check_names("run", RetrainConfig, options)
    chosen = dataclasses.replace(config, **options) if config else RetrainConfig(**options)
    with progress_to(progress):
        return pipeline.run(chosen)
