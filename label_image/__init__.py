"""Labelling of images with a trained classifier.

Use `label_image.load("graph.pb").predict("photo.jpg")` from Python, and from a shell
`python -m label_image --graph graph.pb --image photo.jpg`.

The names are loaded at their first use, so that importing the package loads no TensorFlow.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from label_image.api import ImageClassifier as ImageClassifier
    from label_image.api import load as load
    from label_image.classify import Classification as Classification
    from retrain.errors import ImageError as ImageError
    from retrain.errors import RetrainError as RetrainError

__all__ = ["Classification", "ImageClassifier", "ImageError", "RetrainError", "load"]

_HOMES = {
    "Classification": "label_image.classify",
    "ImageClassifier": "label_image.api",
    "ImageError": "retrain.errors",
    "RetrainError": "retrain.errors",
    "load": "label_image.api",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
