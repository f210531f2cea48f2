"""Whether an export says what the frozen graph says: both run on the same photos."""

import logging
import os
from dataclasses import dataclass

import numpy as np

from retrain.arrays import FloatArray
from retrain.errors import shown
from retrain.options.export_formats import SAVED_MODEL, TFLITE_DYNAMIC, TFLITE_INT8

logger = logging.getLogger("retrain")

# At least so many of a hundred photos get the graph's label: 52 of 60 where weights are 8 bits. Others must not differ at all.
SHARE = {TFLITE_INT8: 52 / 60, TFLITE_DYNAMIC: 52 / 60}


@dataclass(frozen=True)
class Export:
    """A file, or a SavedModel's folder, and how well it agrees with the frozen graph.

    Attributes:
        path: where it is.
        format: one of `formats.EXPORTS`, or `saved_model`.
        n_images: how many photos both were run on.
        n_same_label: of how many they give the same best label.
        largest_difference: between two scores of the same photo and class, 0 to 1.
    """

    path: str
    format: str
    n_images: int
    n_same_label: int
    largest_difference: float


def compare(path: str, export_format: str, split: str, scores: FloatArray, expected: FloatArray) -> Export:
    """Logs how an export's scores agree with the graph's, as a warning where they do less than they should.

    Args:
        path: the export.
        export_format: one of `formats.EXPORTS`, or `saved_model`.
        split: the set that the photos are of, for the log.
        scores: the export's, float32 [N, C].
        expected: the graph's, float32 [N, C].
    """
    n_images, n_same = len(expected), int((scores.argmax(axis=1) == expected.argmax(axis=1)).sum())
    difference = float(np.abs(scores - expected).max(initial=0)) if np.isfinite(scores).all() else float("nan")
    agrees = n_same >= SHARE.get(export_format, 1) * n_images and np.isfinite(difference)
    logger.log(
        logging.INFO if agrees else logging.WARNING,
        "%s: %d of %d %s images get the graph's label; largest difference of a score %.4f.",
        f"SavedModel {shown(path)}" if export_format == SAVED_MODEL else shown(os.path.basename(path)),
        n_same,
        n_images,
        {"testing": "test"}.get(split, split),
        difference,
    )
    return Export(path, export_format, n_images, n_same, difference)
