"""The test of the trained head."""

import dataclasses
import logging
from collections.abc import Sequence

from retrain.data.image_lists import ImageLists
from retrain.errors import shown
from retrain.evaluation.answers import Report, make_report, measure
from retrain.evaluation.metrics import Evaluation
from retrain.evaluation.multi_label import DEFAULT_THRESHOLD, MultiLabelEvaluation, best_thresholds
from retrain.head.batches import Batch
from retrain.head.classifier import TrainedClassifier
from retrain.head.dataset import Examples
from retrain.head.model import SoftmaxHead
from retrain.options.evaluation import EvaluationOptions
from retrain.process.terminal import RESULT_LOG

logger = logging.getLogger("retrain")
result_logger = logging.getLogger(RESULT_LOG)

MOST_MISTAKES = 5  # That the log names.


def evaluate_head(head: SoftmaxHead, batch: Batch, thresholds: Sequence[float] = ()) -> Evaluation | MultiLabelEvaluation | None:
    """Compare the head's predictions with the classes of a batch; None if it is empty.

    `thresholds` are those of images with several labels; none is 0.5 for each label.
    """
    bottlenecks, classes = batch
    if not len(classes):
        return None
    return measure(head.logits(bottlenecks), classes, thresholds)


def choose_thresholds(classifier: TrainedClassifier, validation: Batch) -> TrainedClassifier:
    """Return the classifier with the thresholds that are best on the validation set, if its images have several labels."""
    if not classifier.thresholds:
        return classifier
    bottlenecks, targets = validation
    if not len(targets):
        logger.warning("There are no validation images: the threshold of each label is %s.", DEFAULT_THRESHOLD)
        return classifier
    return dataclasses.replace(classifier, thresholds=best_thresholds(classifier.head.logits(bottlenecks), targets))


def report_test(options: EvaluationOptions, classifier: TrainedClassifier, tested: Examples, images: ImageLists) -> Report | None:
    """Test the classifier; log its accuracy, what it says of each class, and its worst mistakes. None without test images.

    `print_misclassified_test_images` lists all misclassified images, as the original does.
    """
    if not len(tested):
        logger.warning("There are no test images: the accuracy is not measured.")
        return None
    paths = [images.images[index].path for index in tested.indices]
    logits = classifier.head.logits(tested.bottlenecks)
    test = measure(logits, tested.classes, classifier.thresholds)
    report = make_report(images.labels, paths, test, classifier.head.probabilities(logits), tested.classes)
    result_logger.info("Final test accuracy = %.1f%% (N=%d)", test.accuracy * 100, test.count)
    if text := report.few_images_warning:
        logger.warning("%s More images, or a higher --testing_percentage, say more.", text)
    if isinstance(test, MultiLabelEvaluation):
        result_logger.info("Final test mAP = %.1f%%", test.mean_average_precision * 100)
    result_logger.info("%s", report.class_table())
    mistakes = report.mistakes
    if options.print_misclassified_test_images:
        logger.info("=== MISCLASSIFIED TEST IMAGES ===")
        for answer in report.answers:
            if not answer.is_correct:
                logger.info("%70s  %s", shown(answer.path), answer.prediction)
    elif mistakes:
        result_logger.info("%s", report.mistakes_text(MOST_MISTAKES))
        if len(mistakes) > MOST_MISTAKES:
            result_logger.info("and %d more; --print_misclassified_test_images lists all.", len(mistakes) - MOST_MISTAKES)
    return report
