"""The whole job in one place, stage after stage. Read this file first.

image folder → split → network → bottlenecks → training of the head → fine-tuning, if asked for → test → export
"""

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass

from retrain.backbones.backbone import Backbone
from retrain.backbones.load import load_network
from retrain.bottlenecks.cache import Bottlenecks
from retrain.config import RetrainConfig
from retrain.data.image_folder import SPLITS, ImageLists, create_image_lists
from retrain.data.sampling import RandomGenerators
from retrain.errors import RetrainError
from retrain.evaluation.metrics import Evaluation
from retrain.evaluation.tensorboard import clear_summaries_dir
from retrain.export.classifier import Exporter
from retrain.export.verify import Export
from retrain.files import write_atomically
from retrain.fine_tuning.images import new_bottlenecks
from retrain.fine_tuning.loop import open_network
from retrain.head.dataset import Dataset, report_skipped
from retrain.head.loop import batches_for, fine_tune_network, test_before_fine_tuning, test_head, train_head
from retrain.head.model import SoftmaxHead
from retrain.head.resume import Progress
from retrain.head.trainer import Trainer
from retrain.preflight import begin, check_network, check_training_images, load_bottlenecks, log_bottlenecks, prepare
from retrain.process.timing import Timings

logger = logging.getLogger("retrain")


@dataclass(frozen=True)
class RetrainResult:
    """What a run found and wrote.

    Attributes:
        labels: one a class, in class order.
        architecture: the network that was used.
        note: set where it is not the one that was meant.
        n_images: images in each set, by `training`, `validation`, `testing`; skipped ones are not counted.
        skipped: the reason for each image that could not be decoded, by path.
        n_bottlenecks_made, n_bottlenecks_read: how many were made, and how many were found in the cache.
        train_accuracy, validation_accuracy: of the last evaluation, 0 to 1; None if there was none.
        test: accuracy, cross entropy, confusion counts on the testing set; None if it has no image.
        test_before_fine_tuning: the same with the network as it came; None without fine-tuning or without test images.
        misclassified: path and predicted label of the test images that were labelled wrongly.
        output_graph, output_labels: the files written.
        saved_model_dir: the SavedModel's folder, if one was asked for.
        exports: the files of `--export` and the SavedModel, each with its agreement with the graph on some photos.
        checkpoint_path: prefix of the checkpoint's files.
        n_trained_numbers: weights and biases of the head.
        summaries_dir, bottleneck_dir: the folders of the summaries and of the cache.
        seconds: wall time of each phase, by `bottlenecks`, `training`, `fine_tuning` if there is any, `evaluation`, `export`.
    """

    labels: tuple[str, ...]
    architecture: str
    note: str
    n_images: dict[str, int]
    skipped: dict[str, str]
    n_bottlenecks_made: int
    n_bottlenecks_read: int
    train_accuracy: float | None
    validation_accuracy: float | None
    test: Evaluation | None
    test_before_fine_tuning: Evaluation | None
    misclassified: tuple[tuple[str, str], ...]
    output_graph: str
    output_labels: str
    saved_model_dir: str | None
    exports: tuple[Export, ...]
    checkpoint_path: str
    n_trained_numbers: int
    summaries_dir: str
    bottleneck_dir: str
    seconds: dict[str, float]

    @property
    def test_accuracy(self) -> float | None:
        """Share of the test images labelled right, 0 to 1; None without test images."""
        return self.test.accuracy if self.test else None


def run(config: RetrainConfig) -> RetrainResult:
    """Runs the whole job.

    Raises:
        RetrainError: with a sentence that names the file or flag and the cure.
    """
    timings = Timings()

    prepare(config)
    images = create_image_lists(config.image_dir, config.testing_percentage, config.validation_percentage)
    backbone = load_network(config)
    check_network(config, backbone, len(images.labels))
    open_weights = open_network(backbone, config.fine_tune_layers) if config.fine_tune_steps else None
    progress = begin(config, images, backbone)
    if not progress.steps_done:
        clear_summaries_dir(config.summaries_dir)

    with timings.phase("bottlenecks", "images") as phase:
        bottlenecks = load_bottlenecks(config, images, backbone)
        phase.count = bottlenecks.n_made + bottlenecks.n_read
    log_bottlenecks(bottlenecks, config.bottleneck_dir, phase.seconds)

    rngs = RandomGenerators(progress.random_seed)
    for_pillow = check_training_images(images, bottlenecks) if config.distorts else []
    report_skipped(images, bottlenecks, config.strict)
    data = Dataset(images, bottlenecks, rngs.of_split)
    head = SoftmaxHead(backbone.architecture.bottleneck_size, len(images.labels), rngs.head, config.hidden_units)
    trainer = Trainer(config, images.labels, data.class_counts("training"), head, progress.random_seed)
    progress.attach(trainer)
    exporter = Exporter(backbone, head, images.labels, config.final_tensor_name, backbone.note)
    batches = batches_for(config, images, data, backbone, for_pillow, rngs.distortion, progress.steps_done)
    monitor = train_head(config, trainer, data, batches, exporter, progress, timings)

    tested, before = data.samplers["testing"].draw(config.test_batch_size), None
    train_accuracy, validation_accuracy = monitor.train_accuracy, monitor.validation_accuracy
    if open_weights:
        before = test_before_fine_tuning(head, data, tested)
        with timings.phase("fine_tuning", "steps") as phase:
            tuned = fine_tune_network(config, images, data, backbone, open_weights, trainer, progress, rngs.fine_tuning)
            phase.count = config.fine_tune_steps
        train_accuracy, validation_accuracy = tuned.train_accuracy, tuned.validation_accuracy
        # The checkpoint still holds the head that goes with the network as it came.
        head, exporter = tuned.head, Exporter(tuned.backbone, tuned.head, images.labels, config.final_tensor_name, backbone.note)

    with timings.phase("evaluation", "images") as phase:
        if open_weights:
            tested, data.values = new_bottlenecks(images, tested, tuned.backbone)
        test, misclassified = test_head(config, images, head, data, tested)
        phase.count += test.count if test else 0

    with timings.phase("export"):
        exports = _export(config, exporter, progress, images)
    _report_timings(config, timings, backbone, bottlenecks)

    return RetrainResult(
        labels=images.labels,
        architecture=backbone.architecture.name,
        note=backbone.note,
        n_images={split: len(sampler) for split, sampler in data.samplers.items()},
        skipped={images.images[position].path: reason for position, reason in bottlenecks.failed.items()},
        n_bottlenecks_made=bottlenecks.n_made,
        n_bottlenecks_read=bottlenecks.n_read,
        train_accuracy=train_accuracy,
        validation_accuracy=validation_accuracy,
        test=test,
        test_before_fine_tuning=before,
        misclassified=misclassified,
        output_graph=config.output_graph,
        output_labels=config.output_labels,
        saved_model_dir=config.saved_model_dir,
        exports=exports,
        checkpoint_path=config.checkpoint_path,
        n_trained_numbers=head.size,
        summaries_dir=config.summaries_dir,
        bottleneck_dir=config.bottleneck_dir,
        seconds=timings.seconds,
    )


def _export(config: RetrainConfig, exporter: Exporter, progress: Progress, images: ImageLists) -> tuple[Export, ...]:
    """Writes all that was asked for. What cannot be written keeps nothing else from being written."""
    photos = {split: [images.images[position].path for position in images.indices(split)] for split in SPLITS}
    exports = exporter.exports(photos)
    writers: list[Callable[[], None]] = [
        progress.save,
        lambda: exporter.write_graph(config.output_graph),
        lambda: exporter.write_labels(config.output_labels),
    ]
    writers.extend(functools.partial(exports.write, export, config.output_graph) for export in config.export)
    if config.saved_model_dir:
        writers.append(functools.partial(exports.write_saved_model, config.saved_model_dir))
    problems = []
    for write in writers:
        try:
            write()
        except OSError as error:
            problems.append(f"{error.filename} cannot be written ({error.strerror}).")
        except RetrainError as error:
            problems.append(str(error))
    if problems:
        raise RetrainError("\n".join([*problems, progress.advice()]))
    logger.info("Graph written to %s, labels to %s.", config.output_graph, config.output_labels)
    return tuple(exports.written)


def _report_timings(config: RetrainConfig, timings: Timings, backbone: Backbone, bottlenecks: Bottlenecks) -> None:
    if config.timing_report:
        about = {
            "architecture": backbone.architecture.name,
            "precision": config.precision,
            "device": config.device,
            "bottlenecks_made": bottlenecks.n_made,
            "bottlenecks_read": bottlenecks.n_read,
        }
        write_atomically(config.timing_report, timings.to_json(about).encode())
    logger.info("Time: %s.", timings)
