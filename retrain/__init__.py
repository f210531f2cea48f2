"""Image retraining: a classifier from a folder of photos, by training a new softmax layer on cached bottlenecks.

The letters of shapes, everywhere in this project:
    N images; B images of one batch; H, W height and width in pixels; D values of a bottleneck; C classes.

Use `retrain.run(image_dir=…)` from Python, `python -m retrain --image_dir …` from a shell.
"The original" is the image-retraining tool of TensorFlow 1 (`retrain.py`), which this project rebuilds.

The names are loaded at their first use, so that importing the package loads no TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrain.api import run as run
    from retrain.config import RetrainConfig as RetrainConfig
    from retrain.errors import RetrainError as RetrainError
    from retrain.process.progress import Progress as Progress
    from retrain.result import RetrainResult as RetrainResult

__version__ = "0.1.0"
__all__ = ["Progress", "RetrainConfig", "RetrainError", "RetrainResult", "run"]

_HOMES = {
    "Progress": "retrain.process.progress",
    "RetrainConfig": "retrain.config",
    "RetrainError": "retrain.errors",
    "RetrainResult": "retrain.result",
    "run": "retrain.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
