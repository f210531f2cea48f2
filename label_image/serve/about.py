"""Facts about a classifier for GET /model."""

import contextlib
import json
import os
from typing import Any

from label_image.opening import Classifier
from label_image.serve.limits import Limits
from retrain.runs.folder import METRICS


def about(classifier: Classifier, path: str | None, top_k: int) -> dict[str, Any]:
    """Return what is known of a classifier: as values for JSON.

    Args:
        classifier: the classifier.
        path: of its file; None if it has none.
        top_k: number of labels of an answer that names none.

    Returns:
        `name`, of the file, or of the network; `network`, its name, or None; `labels`; `multi_label`, True if an image may have
        several labels, or none; `input`, with `height` and `width` in pixels, or None if the graph decodes files itself; `top_k`;
        `limits`, of requests; and `test_accuracy`, from 0 to 1, and `test_images`, if the run's measures lie beside the graph.
    """
    description, limits = classifier.description, Limits()
    size = None if classifier.file_network else {"height": description.input_height, "width": description.input_width}
    return {
        "name": os.path.basename(os.path.normpath(path)) if path else description.architecture,
        "network": description.architecture or None,
        "labels": description.labels,
        "multi_label": bool(description.thresholds),
        "input": size,
        "top_k": top_k,
        "limits": {"image_bytes": limits.image_bytes, "request_bytes": limits.request_bytes, "images": limits.images},
        **(_test(path, description.labels) if path else {}),
    }


def _test(path: str, labels: tuple[str, ...]) -> dict[str, Any]:
    """Return the accuracy on the test images, from the measures in the folder of the run that wrote this very file."""
    own_name = os.path.basename(os.path.normpath(path))
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RecursionError):
        with open(os.path.join(os.path.dirname(os.path.normpath(path)), METRICS), encoding="utf-8") as file:
            metrics = json.load(file)
        if os.path.basename(metrics["output_graph"]) == own_name and tuple(metrics["labels"]) == labels:
            accuracy, count = metrics["test"]["accuracy"], metrics["test"]["count"]
            if isinstance(accuracy, float) and isinstance(count, int) and 0 <= accuracy <= 1:
                return {"test_accuracy": accuracy, "test_images": count}
    return {}
