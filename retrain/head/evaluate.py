"""The test of the trained head."""

import logging

import numpy as np

from retrain.data.image_lists import ImageLists
from retrain.errors import shown
from retrain.evaluation.metrics import Evaluation, evaluate
from retrain.head.dataset import Examples
from retrain.head.model import SoftmaxHead
from retrain.options.evaluation import EvaluationOptions

logger = logging.getLogger("retrain")


def evaluate_head(head: SoftmaxHead, examples: Examples) -> Evaluation | None:
    """Compare the head's predictions with the classes of the examples; None if there are none."""
    return evaluate(head.logits(examples.bottlenecks), examples.classes) if len(examples) else None


def report_test(
    options: EvaluationOptions, test: Evaluation | None, tested: Examples, images: ImageLists
) -> tuple[tuple[str, str], ...]:
    """Log the final test accuracy, and with `print_misclassified_test_images` the misclassified images.

    Returns:
        The path and the predicted label of each misclassified image.
    """
    if test is None:
        logger.warning("There are no test images: the accuracy is not measured.")
        return ()
    logger.info("Final test accuracy = %.1f%% (N=%d)", test.accuracy * 100, test.count)
    misclassified = tuple(
        (images.images[tested.indices[row]].path, images.labels[test.predicted[row]])
        for row in np.flatnonzero(test.predicted != tested.classes)
    )
    if options.print_misclassified_test_images:
        logger.info("=== MISCLASSIFIED TEST IMAGES ===")
        for path, label in misclassified:
            logger.info("%70s  %s", shown(path), label)
    return misclassified
