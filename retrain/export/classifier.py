"""Writing the trained classifier: the frozen graph, the labels, and the conversions for other runtimes."""

import functools
import logging
import os
from collections.abc import Callable, Mapping, Sequence

from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.errors import RetrainError
from retrain.export.conversions import Conversions
from retrain.export.frozen_graph import retrained_graph
from retrain.export.verify import ConversionReport
from retrain.files import write_atomically
from retrain.head.classifier import TrainedClassifier
from retrain.head.resume import Checkpointer
from retrain.options.export import ExportOptions
from retrain.process.progress import advance, progressing
from retrain.process.terminal import RESULT_LOG

logger = logging.getLogger("retrain")
result_logger = logging.getLogger(RESULT_LOG)


def export_classifier(
    options: ExportOptions, classifier: TrainedClassifier, checkpointer: Checkpointer, photos: Mapping[str, Sequence[str]]
) -> tuple[ConversionReport, ...]:
    """Write all files that the options ask for, and the last checkpoint. If one cannot be written, the others still are.

    Args:
        options: which files, and where.
        classifier: the trained classifier.
        checkpointer: writes the last checkpoint.
        photos: paths of the photos of each set; conversions are compared with the graph on some of them.

    Raises:
        RetrainError: with a line for each file that could not be written.
    """
    conversions = Conversions(functools.partial(classifier_graph, classifier), classifier.description, photos)
    writers: list[Callable[[], None]] = [
        checkpointer.save,
        functools.partial(write_graph, classifier, options.output_graph),
        functools.partial(write_labels, classifier.labels, options.output_labels),
    ]
    if classifier.split:
        writers.append(functools.partial(write_atomically, options.output_split, classifier.split.table(), durable=True))
    writers.extend(functools.partial(conversions.write, format, options.output_graph) for format in options.export)
    if options.saved_model_dir:
        writers.append(functools.partial(conversions.write_saved_model, options.saved_model_dir))
    problems = []
    with progressing("export", len(writers), "files"):
        for write in writers:
            try:
                write()
            except OSError as error:
                problems.append(f"{error.filename} cannot be written ({error.strerror}).")
            except RetrainError as error:
                problems.append(str(error))
            advance()
    if problems:
        raise RetrainError("\n".join([*problems, checkpointer.advice()]))
    if classifier.split:
        result_logger.info("The set of each image is in %s.", options.output_split)
    result_logger.info("Graph written to %s, labels to %s.", options.output_graph, options.output_labels)
    return tuple(conversions.reports)


def classifier_graph(classifier: TrainedClassifier) -> GraphDef:
    """Return the frozen graph of the classifier, with the head as it is now."""
    backbone = classifier.backbone
    return retrained_graph(
        backbone.graph_def,
        backbone.architecture.bottleneck_tensor,
        classifier.head.layers,
        classifier.final_tensor_name,
        classifier.description,
    )


def write_graph(classifier: TrainedClassifier, path: str) -> None:
    """Write the frozen graph. Raises OSError."""
    write_atomically(path, classifier_graph(classifier).SerializeToString(deterministic=True), durable=True)


def write_intermediate_graph(options: ExportOptions, classifier: TrainedClassifier, step: int) -> None:
    """Write `intermediate_<step>.pb` if the options ask for it at this step. Raises OSError."""
    if not options.intermediate_store_frequency or not step or step % options.intermediate_store_frequency:
        return
    path = os.path.join(options.intermediate_output_graphs_dir, f"intermediate_{step}.pb")
    logger.info("Save intermediate result to : %s", path)
    write_graph(classifier, path)


def write_labels(labels: Sequence[str], path: str) -> None:
    """Write the labels, one per line. Raises OSError."""
    write_atomically(path, "".join(f"{label}\n" for label in labels).encode(), durable=True)
