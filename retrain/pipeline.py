"""The whole job in one place, stage after stage. Read this file first.

image folder → split → network → bottlenecks → training of the head → fine-tuning, if asked for → test → export
"""

import functools
import logging
import secrets
from collections.abc import Callable, Iterator

import numpy as np

from retrain.arrays import FloatArray, IndexArray
from retrain.backbones.choose import choose_backbone
from retrain.backbones.frozen_graph import Backbone
from retrain.backbones.precision import FLOAT32, cache_name, prepare_precision, processor_gains
from retrain.backbones.trainable import TrainableNetwork
from retrain.batches import DistortedImages, training_batches
from retrain.bottlenecks import BottleneckCache, Bottlenecks
from retrain.config import RetrainConfig
from retrain.dataset import Dataset, report_skipped
from retrain.device import check_device, prepare_device
from retrain.distort import Distortion, how_to_decode
from retrain.errors import FlagError, RetrainError
from retrain.evaluation import Evaluation, evaluate
from retrain.export.agreement import Export
from retrain.export.exporter import Exporter
from retrain.export.formats import check_packages, export_path
from retrain.export.frozen_graph import check_final_tensor_name, check_graph_size
from retrain.extract import cached_bottlenecks
from retrain.files import shown, write_atomically
from retrain.fine_tune import Tuned, fine_tune, open_network
from retrain.head import SoftmaxHead
from retrain.image_lists import SPLITS, ImageLists, create_image_lists
from retrain.monitor import Monitor
from retrain.outputs import prepare_file, prepare_folder, prepare_new_folder
from retrain.progress import Progress
from retrain.result import RetrainResult
from retrain.sampling import RandomGenerators
from retrain.summaries import clear_summaries_dir
from retrain.timing import Timings
from retrain.training import Trainer, scipy_minimize, train
from retrain.training_options import LBFGS
from retrain.tuning_images import image_batches, new_bottlenecks, validation_images
from retrain.tuning_watch import Plan

logger = logging.getLogger("retrain")


def run(config: RetrainConfig) -> RetrainResult:
    """Runs the whole job.

    Raises:
        RetrainError: with a sentence that names the file or flag and the cure.
    """
    timings = Timings()

    prepare_precision(config.precision)
    prepare_device(config.device)
    check_device(config.device)
    if config.precision != FLOAT32 and not processor_gains():
        logger.warning("This processor has no AMX: --precision=%s will hardly be faster than float32.", config.precision)
    if config.optimizer == LBFGS:
        scipy_minimize()  # If it is not there, that should be known before the work begins.
    _prepare_outputs(config)
    images = create_image_lists(config.image_dir, config.testing_percentage, config.validation_percentage)
    backbone, note = load_network(config)
    bottleneck_size, options = backbone.architecture.bottleneck_size, config.training_options
    check_final_tensor_name(config.final_tensor_name, backbone.graph_def)
    check_graph_size(backbone.size, [bottleneck_size, *options.hidden_units, len(images.labels)])
    open_weights = open_network(backbone, config.fine_tune_layers) if config.fine_tune_steps else None
    progress = _progress(config, images, backbone)
    if not progress.steps_done:
        clear_summaries_dir(config.summaries_dir)

    with timings.phase("bottlenecks", "images") as phase:
        bottlenecks = load_bottlenecks(config, images, backbone)
        phase.count = bottlenecks.n_made + bottlenecks.n_read
    _log_bottlenecks(bottlenecks, config.bottleneck_dir, phase.seconds)

    rngs = RandomGenerators(progress.random_seed)
    for_pillow = _check_training_images(images, bottlenecks) if config.distorts else []
    report_skipped(images, bottlenecks, config.strict)
    data = Dataset(images, bottlenecks, rngs.of_split)
    head = SoftmaxHead(bottleneck_size, len(images.labels), rngs.head, options.hidden_units)
    trainer = Trainer(options, images.labels, data.class_counts("training"), head, progress.random_seed)
    progress.attach(trainer)
    exporter = Exporter(backbone, head, images.labels, config.final_tensor_name, note)
    batches = _training_batches(config, images, data, backbone, for_pillow, rngs.distortion, progress.steps_done)
    monitor = _train(config, trainer, data, batches, exporter, progress, timings)

    tested, before = data.samplers["testing"].draw(config.test_batch_size), None
    train_accuracy, validation_accuracy = monitor.train_accuracy, monitor.validation_accuracy
    if open_weights:
        before = _test_before_fine_tuning(head, data, tested)
        with timings.phase("fine_tuning", "steps") as phase:
            tuned = _fine_tune(config, images, data, backbone, open_weights, trainer, progress, rngs.fine_tuning)
            phase.count = config.fine_tune_steps
        train_accuracy, validation_accuracy = tuned.train_accuracy, tuned.validation_accuracy
        # The checkpoint still holds the head that goes with the network as it came.
        head, exporter = tuned.head, Exporter(tuned.backbone, tuned.head, images.labels, config.final_tensor_name, note)

    with timings.phase("evaluation", "images") as phase:
        if open_weights:
            tested, data.values = new_bottlenecks(images, tested, tuned.backbone)
        test, misclassified = _test(config, images, head, data, tested)
        phase.count += test.count if test else 0

    with timings.phase("export"):
        exports = _export(config, exporter, progress, images)
    _report_timings(config, timings, backbone, bottlenecks)

    return RetrainResult(
        labels=images.labels,
        architecture=backbone.architecture.name,
        note=note,
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
        saved_model_dir=config.saved_model_dir or None,
        exports=exports,
        checkpoint_path=config.checkpoint_path,
        n_trained_numbers=head.size,
        summaries_dir=config.summaries_dir,
        bottleneck_dir=config.bottleneck_dir,
        seconds=timings.seconds,
    )


def _progress(config: RetrainConfig, images: ImageLists, backbone: Backbone) -> Progress:
    """The training's beginning; or with --resume, what the checkpoint says of it."""
    identity = {
        "image_dir": config.image_dir,
        "testing_percentage": config.testing_percentage,
        "validation_percentage": config.validation_percentage,
        "labels": list(images.labels),
        "network": backbone.fingerprint,
        "hidden_units": list(config.training_options.hidden_units),
        "optimizer": config.optimizer,
    }
    if config.resume and (earlier := Progress.resume(config.checkpoint_path, identity)):
        if config.random_seed not in (None, earlier.random_seed):
            raise FlagError(
                f"--random_seed must be {earlier.random_seed}, that of the training in {config.checkpoint_path}, or be left out. "
                f"Got {config.random_seed}."
            )
        if config.how_many_training_steps < earlier.steps_done:
            raise FlagError(
                f"--how_many_training_steps must be at least {earlier.steps_done}, what the training in {config.checkpoint_path} "
                f"has behind it. Got {config.how_many_training_steps}."
            )
        return earlier
    seed = secrets.randbits(32) if config.random_seed is None else config.random_seed
    return Progress(config.checkpoint_path, seed, identity)


def _prepare_outputs(config: RetrainConfig) -> None:
    for flag in ("output_graph", "output_labels", "checkpoint_path"):
        prepare_file(flag, getattr(config, flag))
    if config.timing_report:
        prepare_file("timing_report", config.timing_report)
    prepare_folder("bottleneck_dir", config.bottleneck_dir)
    prepare_folder("summaries_dir", config.summaries_dir)
    if config.intermediate_store_frequency:
        prepare_folder("intermediate_output_graphs_dir", config.intermediate_output_graphs_dir)
    if config.saved_model_dir:
        prepare_new_folder("saved_model_dir", config.saved_model_dir)
    check_packages(config.export)
    for export in config.export:
        prepare_file("export", export_path(config.output_graph, export))


def load_network(config: RetrainConfig) -> tuple[Backbone, str]:
    """The network, and a note where it is not the one that was meant."""
    return choose_backbone(
        config.architecture, config.model_dir, config.model_url_base, config.precision, config.tfhub_module, config.network_flags
    )


def load_bottlenecks(config: RetrainConfig, images: ImageLists, backbone: Backbone) -> Bottlenecks:
    """Of all images, from the cache or made; with distortions not of training images: each step makes its own afresh."""
    chosen = backbone.architecture
    cache = BottleneckCache(
        config.bottleneck_dir, cache_name(chosen.name, config.precision), chosen.bottleneck_size, backbone.fingerprint
    )
    training = images.indices("training") if config.distorts else []
    wanted = sorted(set(range(len(images.images))).difference(training))
    return cached_bottlenecks(
        images.images,
        wanted,
        cache,
        lambda: backbone.run,
        chosen.input_spec,
        chosen.bottleneck_size,
        config.bottleneck_batch_size,
    )


def _check_training_images(images: ImageLists, bottlenecks: Bottlenecks) -> list[int]:
    """Adds training images that cannot be decoded to those that failed; gives the positions of those that need Pillow for it."""
    training = images.indices("training")
    for_pillow, failed = how_to_decode([images.images[position].path for position in training])
    bottlenecks.failed.update({training[place]: reason for place, reason in failed.items()})
    return [training[place] for place in for_pillow]


def _log_bottlenecks(bottlenecks: Bottlenecks, folder: str, seconds: float) -> None:
    rate = f", {bottlenecks.n_made / seconds:.0f} images/s" if bottlenecks.n_made else ""
    logger.info("%d bottlenecks made, %d read from %s (%.1f s%s).", bottlenecks.n_made, bottlenecks.n_read, folder, seconds, rate)


def _training_batches(
    config: RetrainConfig,
    images: ImageLists,
    data: Dataset,
    backbone: Backbone,
    for_pillow: list[int],
    rng: np.random.Generator,
    first_step: int,
) -> Iterator[tuple[FloatArray, IndexArray]]:
    """A batch for each training step from `first_step` on, float32 [B, D] and int64 [B]."""
    distorted = None
    if distortion := _distortion(config):
        distorted = DistortedImages(
            [image.path for image in images.images],
            for_pillow,
            distortion,
            rng,
            backbone.run,
            backbone.architecture.input_spec,
            config.bottleneck_batch_size,
        )
    return training_batches(data, config.batch_sizes, distorted, first_step)


def _distortion(config: RetrainConfig) -> Distortion | None:
    if not config.distorts:
        return None
    return Distortion(config.flip_left_right, config.random_crop, config.random_scale, config.random_brightness)


def _train(
    config: RetrainConfig,
    trainer: Trainer,
    data: Dataset,
    batches: Iterator[tuple[FloatArray, IndexArray]],
    exporter: Exporter,
    progress: Progress,
    timings: Timings,
) -> Monitor:
    counts = " + ".join(f"{len(sampler)} {split}" for split, sampler in data.samplers.items())
    logger.info("Training on %s images of %d classes.", counts, len(trainer.head.biases))
    monitor = Monitor(
        trainer.head, lambda: data.batch("validation", config.validation_batch_size), config.summaries_dir, progress.steps_done
    )

    def after_step(step: int, bottlenecks: FloatArray, classes: IndexArray) -> None:
        phase.count += 1
        progress.after_step(step)
        if config.batch_sizes.is_evaluated(step):
            with timings.phase("evaluation", "images") as evaluation:
                evaluation.count += monitor.evaluate(step, bottlenecks, classes)
            trainer.early_stopping.after_evaluation(monitor.validation_cross_entropy)
        if config.intermediate_store_frequency and step and step % config.intermediate_store_frequency == 0:
            exporter.write_intermediate(config.intermediate_output_graphs_dir, step)

    with timings.phase("training", "steps") as phase, progress.kept_if_interrupted(), monitor:
        monitor.add_graph(exporter.graph())
        if config.optimizer == LBFGS:
            trainer.minimise(*data.batch("training", -1), after_step, progress.steps_done)
        else:
            train([trainer], batches, after_step, progress.steps_done)
        trainer.finish()
    if progress.steps_done < config.how_many_training_steps:
        logger.info(
            "Training ended after %d of %d steps: nothing better was found.", progress.steps_done, config.how_many_training_steps
        )
    if not np.isfinite(trainer.head.weights).all():
        logger.warning("The training has diverged: the head's weights are no numbers any more. Lower --learning_rate.")
    return monitor


def _test_before_fine_tuning(head: SoftmaxHead, data: Dataset, positions: IndexArray) -> Evaluation | None:
    """The head's answers with the network as it came, on what was drawn from the testing set."""
    if not len(positions):
        return None
    test = evaluate(head.logits(data.values[positions]), data.class_of[positions])
    logger.info("Test accuracy before fine-tuning = %.1f%% (N=%d)", test.accuracy * 100, test.count)
    return test


def _fine_tune(
    config: RetrainConfig,
    images: ImageLists,
    data: Dataset,
    backbone: Backbone,
    open_weights: TrainableNetwork,
    trainer: Trainer,
    progress: Progress,
    rng: np.random.Generator,
) -> Tuned:
    """Trains the network and the head on the images. Whatever comes of it, the head as it was is in the checkpoint."""
    paths, spec = [image.path for image in images.images], backbone.architecture.input_spec
    members = {split: sampler.draw(-1) for split, sampler in data.samplers.items()}
    plan = Plan(
        config.fine_tune_steps,
        config.fine_tune_learning_rate,
        config.eval_step_interval,
        config.summaries_dir,
        progress.random_seed,
    )
    progress.keep()
    with progress.kept_if_interrupted("Fine-tuning will begin anew."):
        batches = image_batches(
            paths, data.class_of, members["training"], _distortion(config), rng, spec, config.fine_tune_batch_size
        )
        validation = validation_images(paths, data.class_of, members["validation"], spec)
        return fine_tune(backbone, open_weights, trainer.head, batches, validation, plan, trainer.loss)


def _test(
    config: RetrainConfig, images: ImageLists, head: SoftmaxHead, data: Dataset, positions: IndexArray
) -> tuple[Evaluation | None, tuple[tuple[str, str], ...]]:
    """The head's answers on what was drawn from the testing set, and the path and predicted label of each wrong one."""
    if not len(positions):
        logger.warning("There are no test images: the accuracy is not measured.")
        return None, ()
    test = evaluate(head.logits(data.values[positions]), data.class_of[positions])
    logger.info("Final test accuracy = %.1f%% (N=%d)", test.accuracy * 100, test.count)
    wrong = np.flatnonzero(test.predicted != data.class_of[positions])
    misclassified = tuple((images.images[positions[place]].path, images.labels[test.predicted[place]]) for place in wrong)
    if config.print_misclassified_test_images:
        logger.info("=== MISCLASSIFIED TEST IMAGES ===")
        for path, label in misclassified:
            logger.info("%70s  %s", shown(path), label)
    return test, misclassified


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
        writers.append(lambda: exports.write_saved_model(config.saved_model_dir))
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
