"""The whole job in one place, stage after stage. Read this file first.

image folder → split → network → bottlenecks → training of the head → test → export
"""

import contextlib
import itertools
import logging
import time
from collections.abc import Iterator

import numpy as np

from retrain.arrays import FloatArray, IndexArray
from retrain.backbones.catalog import BUNDLED, INCEPTION, find_architecture
from retrain.backbones.download import read_graph_file
from retrain.backbones.frozen_graph import Backbone, load_backbone
from retrain.backbones.precision import FLOAT32, cache_name, prepare_precision, processor_gains
from retrain.bottlenecks import BottleneckCache
from retrain.config import RetrainConfig
from retrain.dataset import Dataset
from retrain.distort import Distortion, distorted_bottlenecks, rebatch, undecodable
from retrain.errors import ModelUnavailableError
from retrain.evaluation import Evaluation, evaluate
from retrain.export.exporter import Exporter
from retrain.export.frozen_graph import check_final_tensor_name
from retrain.extract import Bottlenecks, cached_bottlenecks
from retrain.head import SoftmaxHead, train
from retrain.image_lists import SPLITS, ImageLists, create_image_lists
from retrain.monitor import Monitor
from retrain.outputs import prepare_file, prepare_folder, prepare_new_folder
from retrain.result import RetrainResult
from retrain.summaries import clear_summaries_dir

logger = logging.getLogger("retrain")


def run(config: RetrainConfig) -> RetrainResult:
    """Runs the whole job.

    Raises:
        RetrainError: with a sentence that names the file or flag and the cure.
    """
    seconds: dict[str, float] = {}
    head_rng, *split_rngs, distortion_rng = _random_generators(config.random_seed, 2 + len(SPLITS))

    prepare_precision(config.precision)
    if config.precision != FLOAT32 and not processor_gains():
        logger.warning("This processor has no AMX: --precision=%s will hardly be faster than float32.", config.precision)
    _prepare_outputs(config)
    images = create_image_lists(config.image_dir, config.testing_percentage, config.validation_percentage)
    backbone, note = choose_backbone(config.architecture, config.model_dir, config.model_url_base, config.precision)
    check_final_tensor_name(config.final_tensor_name, backbone.graph_def)
    clear_summaries_dir(config.summaries_dir)

    with _timed(seconds, "bottlenecks"):
        bottlenecks = _bottlenecks(config, images, backbone)
    _log_bottlenecks(bottlenecks, config.bottleneck_dir, seconds["bottlenecks"])
    data = Dataset(images, bottlenecks, dict(zip(SPLITS, split_rngs, strict=True)), config.strict)

    head = SoftmaxHead(backbone.architecture.bottleneck_size, len(images.labels), head_rng)
    exporter = Exporter(backbone, head, images.labels, config.final_tensor_name, note)
    with _timed(seconds, "training"):
        batches = _training_batches(config, images, data, backbone, distortion_rng)
        monitor = _train(config, head, data, batches, exporter)

    with _timed(seconds, "test"):
        test, misclassified = _test(config, images, head, data)

    with _timed(seconds, "export"):
        _export(config, exporter)
    logger.info("Time: %s.", ", ".join(f"{phase} {spent:.3f} s" for phase, spent in seconds.items()))

    return RetrainResult(
        labels=images.labels,
        architecture=backbone.architecture.name,
        note=note,
        n_images={split: len(sampler) for split, sampler in data.samplers.items()},
        skipped={images.images[position].path: reason for position, reason in bottlenecks.failed.items()},
        n_bottlenecks_made=bottlenecks.n_made,
        n_bottlenecks_read=bottlenecks.n_read,
        train_accuracy=monitor.train_accuracy,
        validation_accuracy=monitor.validation_accuracy,
        test=test,
        misclassified=misclassified,
        output_graph=config.output_graph,
        output_labels=config.output_labels,
        saved_model_dir=config.saved_model_dir or None,
        checkpoint_path=config.checkpoint_path,
        summaries_dir=config.summaries_dir,
        bottleneck_dir=config.bottleneck_dir,
        seconds=seconds,
    )


def choose_backbone(
    architecture: str | None, model_dir: str, model_url_base: str | None, precision: str = FLOAT32
) -> tuple[Backbone, str]:
    """The network asked for; or, if none was named, Inception v3, or where that cannot be had the bundled network and a note.

    Raises:
        FlagError: there is no such architecture.
        ModelError: its file cannot be had or is damaged.
    """
    chosen, note = find_architecture(architecture or INCEPTION), ""
    try:
        graph_bytes = read_graph_file(chosen, model_dir, model_url_base)
    except ModelUnavailableError as error:
        if architecture is not None:
            raise
        note = f"{INCEPTION} could not be had; the bundled network {BUNDLED} was used in its place."
        advice = "name it with --architecture to avoid this warning."
        logger.warning("%s\nGoing on with the bundled network %s; %s", error, BUNDLED, advice)
        chosen = find_architecture(BUNDLED)
        graph_bytes = read_graph_file(chosen, model_dir)
    return load_backbone(chosen, graph_bytes, precision), note


def _random_generators(seed: int | None, count: int) -> list[np.random.Generator]:
    """Independent sources of randomness, so that drawing more of one does not change what another draws."""
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(count)]


def _prepare_outputs(config: RetrainConfig) -> None:
    for flag in ("output_graph", "output_labels", "checkpoint_path"):
        prepare_file(flag, getattr(config, flag))
    prepare_folder("bottleneck_dir", config.bottleneck_dir)
    prepare_folder("summaries_dir", config.summaries_dir)
    if config.intermediate_store_frequency:
        prepare_folder("intermediate_output_graphs_dir", config.intermediate_output_graphs_dir)
    if config.saved_model_dir:
        prepare_new_folder("saved_model_dir", config.saved_model_dir)


def _bottlenecks(config: RetrainConfig, images: ImageLists, backbone: Backbone) -> Bottlenecks:
    """With distortions only validation and testing images have bottlenecks: each step makes its training images' afresh."""
    chosen = backbone.architecture
    cache = BottleneckCache(
        config.bottleneck_dir, cache_name(chosen.name, config.precision), chosen.bottleneck_size, backbone.fingerprint
    )
    training = images.indices("training") if config.distorts else []
    wanted = sorted(set(range(len(images.images))).difference(training))
    bottlenecks = cached_bottlenecks(
        images.images,
        wanted,
        cache,
        lambda: backbone.run,
        chosen.input_spec,
        chosen.bottleneck_size,
        config.bottleneck_batch_size,
    )
    for place in undecodable([images.images[position].path for position in training]) if training else ():
        bottlenecks.failed[training[place]] = "TensorFlow cannot decode it, which distorting needs"
    return bottlenecks


def _log_bottlenecks(bottlenecks: Bottlenecks, folder: str, seconds: float) -> None:
    rate = f", {bottlenecks.n_made / seconds:.0f} images/s" if bottlenecks.n_made else ""
    logger.info("%d bottlenecks made, %d read from %s (%.1f s%s).", bottlenecks.n_made, bottlenecks.n_read, folder, seconds, rate)


def _training_batches(
    config: RetrainConfig, images: ImageLists, data: Dataset, backbone: Backbone, rng: np.random.Generator
) -> Iterator[tuple[FloatArray, IndexArray]]:
    """A batch for each training step, float32 [B, D] and int64 [B]."""
    if not config.distorts:
        for _ in range(config.how_many_training_steps):
            yield data.batch("training", config.train_batch_size)
        return
    sampler = data.samplers["training"]
    distortion = Distortion(config.flip_left_right, config.random_crop, config.random_scale, config.random_brightness)
    chunks = distorted_bottlenecks(
        [image.path for image in images.images],
        lambda: sampler.draw(config.train_batch_size),
        distortion,
        rng,
        backbone.run,
        backbone.architecture.input_spec,
        config.bottleneck_batch_size,
    )
    batch_size = len(sampler) if config.train_batch_size == -1 else config.train_batch_size
    for positions, values in itertools.islice(rebatch(chunks, batch_size), config.how_many_training_steps):
        yield values, data.class_of[positions]


def _train(
    config: RetrainConfig, head: SoftmaxHead, data: Dataset, batches: Iterator[tuple[FloatArray, IndexArray]], exporter: Exporter
) -> Monitor:
    counts = " + ".join(f"{len(sampler)} {split}" for split, sampler in data.samplers.items())
    logger.info("Training on %s images of %d classes.", counts, len(head.biases))
    monitor = Monitor(
        head,
        lambda: data.batch("validation", config.validation_batch_size),
        config.summaries_dir,
        config.eval_step_interval,
        config.how_many_training_steps,
    )

    def after_step(step: int, bottlenecks: FloatArray, classes: IndexArray) -> None:
        monitor.after_step(step, bottlenecks, classes)
        if config.intermediate_store_frequency and step and step % config.intermediate_store_frequency == 0:
            exporter.write_intermediate(config.intermediate_output_graphs_dir, step)

    with monitor:
        monitor.add_graph(exporter.graph())
        train(head, batches, config.learning_rate, after_step)
    if not np.isfinite(head.weights).all():
        logger.warning("The training has diverged: the head's weights are no numbers any more. Lower --learning_rate.")
    return monitor


def _test(
    config: RetrainConfig, images: ImageLists, head: SoftmaxHead, data: Dataset
) -> tuple[Evaluation | None, tuple[tuple[str, str], ...]]:
    """The head's answers on the testing set, and the path and predicted label of each wrong one."""
    positions = data.samplers["testing"].draw(config.test_batch_size)
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
            logger.info("%70s  %s", path, label)
    return test, misclassified


def _export(config: RetrainConfig, exporter: Exporter) -> None:
    exporter.write_graph(config.output_graph)
    exporter.write_labels(config.output_labels)
    exporter.write_checkpoint(config.checkpoint_path, config.how_many_training_steps)
    if config.saved_model_dir:
        exporter.write_saved_model(config.saved_model_dir)
    logger.info("Graph written to %s, labels to %s.", config.output_graph, config.output_labels)


@contextlib.contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[phase] = time.perf_counter() - start
