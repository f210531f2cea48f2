"""The test of the trained head."""

import dataclasses
import logging
from collections.abc import Sequence

import numpy as np

from retrain.data.image_lists import ImageLists
from retrain.errors import shown
from retrain.evaluation.intervals import few_images_warning
from retrain.evaluation.metrics import Evaluation, evaluate
from retrain.evaluation.multi_label import DEFAULT_THRESHOLD, MultiLabelEvaluation, best_thresholds, evaluate_labels, labels_table
from retrain.head.batches import Batch
from retrain.head.classifier import TrainedClassifier
from retrain.head.dataset import Examples
from retrain.head.model import SoftmaxHead
from retrain.options.evaluation import EvaluationOptions

logger = logging.getLogger("retrain")


def evaluate_head(head: SoftmaxHead, batch: Batch, thresholds: Sequence[float] = ()) -> Evaluation | MultiLabelEvaluation | None:
    """Compare the head's predictions with the classes of a batch; None if it is empty.

    `thresholds` are those of images with several labels; none is 0.5 for each label.
    """
    bottlenecks, classes = batch
    if not len(classes):
        return None
    logits = head.logits(bottlenecks)
    return evaluate_labels(logits, classes, thresholds) if classes.ndim == 2 else evaluate(logits, classes)


def choose_thresholds(classifier: TrainedClassifier, validation: Batch) -> TrainedClassifier:
    """Return the classifier with the thresholds that are best on the validation set, if its images have several labels."""
    if not classifier.thresholds:
        return classifier
    bottlenecks, targets = validation
    if not len(targets):
        logger.warning("There are no validation images: the threshold of each label is %s.", DEFAULT_THRESHOLD)
        return classifier
    return dataclasses.replace(classifier, thresholds=best_thresholds(classifier.head.logits(bottlenecks), targets))


def report_test(
    options: EvaluationOptions, test: Evaluation | MultiLabelEvaluation | None, tested: Examples, images: ImageLists
) -> tuple[tuple[str, str], ...]:
    """Log the final test accuracy, and with `print_misclassified_test_images` the misclassified images.

    Returns:
        The path and the predicted label of each misclassified image.
    """
    if test is None:
        logger.warning("There are no test images: the accuracy is not measured.")
        return ()
    logger.info("Final test accuracy = %.1f%% (N=%d)", test.accuracy * 100, test.count)
    if isinstance(test, Evaluation):
        hits = int(test.confusion.diagonal().sum())
        if text := few_images_warning(images.labels, test.confusion.sum(axis=1), hits, test.count):
            logger.warning("%s More images, or a higher --testing_percentage, say more.", text)
    if isinstance(test, MultiLabelEvaluation):
        logger.info("Final test mAP = %.1f%%\n%s", test.mean_average_precision * 100, labels_table(images.labels, test))
        misclassified = _wrong_labels(test, tested, images)
    else:
        misclassified = tuple(
            (images.images[tested.indices[row]].path, images.labels[test.predicted[row]])
            for row in np.flatnonzero(test.predicted != tested.classes)
        )
    if options.print_misclassified_test_images:
        logger.info("=== MISCLASSIFIED TEST IMAGES ===")
        for path, label in misclassified:
            logger.info("%70s  %s", shown(path), label)
    return misclassified


def _wrong_labels(test: MultiLabelEvaluation, tested: Examples, images: ImageLists) -> tuple[tuple[str, str], ...]:
    """Return the path and the predicted labels, joined by `|`, of each image that does not get exactly its labels."""
    wrong = np.flatnonzero((test.predicted != (tested.classes > 0)).any(axis=1))
    return tuple(
        (images.images[tested.indices[row]].path, "|".join(images.labels[label] for label in np.flatnonzero(test.predicted[row])))
        for row in wrong.tolist()
    )
