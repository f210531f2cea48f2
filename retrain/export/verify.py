"""Verification of conversions: their scores compared with the frozen graph's on the same photos."""

import logging
import os
from dataclasses import dataclass

import numpy as np

from retrain.arrays import FloatArray
from retrain.errors import shown
from retrain.options.export_formats import SAVED_MODEL, TFLITE_DYNAMIC, TFLITE_INT8

logger = logging.getLogger("retrain")

# Smallest share of photos with the graph's label: 52 of 60 for weights of 8 bits. Other formats must not differ at all.
LEAST_SHARE = {TFLITE_INT8: 52 / 60, TFLITE_DYNAMIC: 52 / 60}


@dataclass(frozen=True)
class ConversionReport:
    """Report of a conversion: the file, or the SavedModel's folder, and how well it agrees with the frozen graph.

    Attributes:
        path: of the file or folder.
        format: one of `export_formats.EXPORTS`, or `saved_model`.
        n_images: number of photos that both were run on.
        n_same_label: number of photos for which both predict the same label.
        largest_difference: largest difference between the two scores of a photo and class, 0 to 1.
    """

    path: str
    format: str
    n_images: int
    n_same_label: int
    largest_difference: float


def compare(path: str, format: str, split: str, scores: FloatArray, expected: FloatArray) -> ConversionReport:
    """Log how a conversion's scores agree with the graph's, as a warning if they agree too little.

    Args:
        path: of the conversion.
        format: one of `export_formats.EXPORTS`, or `saved_model`.
        split: the set that the photos belong to, for the log.
        scores: the conversion's, float32 [N, C].
        expected: the graph's, float32 [N, C].
    """
    n_images, n_same = len(expected), int((scores.argmax(axis=1) == expected.argmax(axis=1)).sum())
    difference = float(np.abs(scores - expected).max(initial=0)) if np.isfinite(scores).all() else float("nan")
    agrees = n_same >= LEAST_SHARE.get(format, 1) * n_images and np.isfinite(difference)
    logger.log(
        logging.INFO if agrees else logging.WARNING,
        "%s: %d of %d %s images get the graph's label; largest difference of a score %.4f.",
        f"SavedModel {shown(path)}" if format == SAVED_MODEL else shown(os.path.basename(path)),
        n_same,
        n_images,
        {"testing": "test"}.get(split, split),
        difference,
    )
    return ConversionReport(path, format, n_images, n_same, difference)
