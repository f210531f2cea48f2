"""The whole job in one place, stage after stage. Read this file first.

image folder → split → network → bottlenecks → training of the head → test → export
"""

import contextlib
import itertools
import logging
import secrets
import time
from collections.abc import Callable, Iterator

import numpy as np

from retrain.arrays import FloatArray, IndexArray
from retrain.backbones.choose import choose_backbone
from retrain.backbones.frozen_graph import Backbone
from retrain.backbones.precision import FLOAT32, cache_name, prepare_precision, processor_gains
from retrain.bottlenecks import BottleneckCache
from retrain.config import RetrainConfig
from retrain.dataset import Dataset
from retrain.distort import Distortion, distorted_bottlenecks, how_to_decode, rebatch
from retrain.errors import FlagError, RetrainError
from retrain.evaluation import Evaluation, evaluate
from retrain.export.exporter import Exporter
from retrain.export.frozen_graph import check_final_tensor_name, check_graph_size
from retrain.extract import Bottlenecks, cached_bottlenecks
from retrain.files import shown
from retrain.head import SoftmaxHead, train
from retrain.image_lists import SPLITS, ImageLists, create_image_lists
from retrain.interruption import raise_if_interrupted
from retrain.monitor import Monitor
from retrain.outputs import prepare_file, prepare_folder, prepare_new_folder
from retrain.progress import Progress
from retrain.result import RetrainResult
from retrain.summaries import clear_summaries_dir

logger = logging.getLogger("retrain")


def run(config: RetrainConfig) -> RetrainResult:
    """Runs the whole job.

    Raises:
        RetrainError: with a sentence that names the file or flag and the cure.
    """
    seconds: dict[str, float] = {}

    prepare_precision(config.precision)
    if config.precision != FLOAT32 and not processor_gains():
        logger.warning("This processor has no AMX: --precision=%s will hardly be faster than float32.", config.precision)
    _prepare_outputs(config)
    images = create_image_lists(config.image_dir, config.testing_percentage, config.validation_percentage)
    backbone, note = choose_backbone(config.architecture, config.model_dir, config.model_url_base, config.precision)
    check_final_tensor_name(config.final_tensor_name, backbone.graph_def)
    check_graph_size(backbone.size, backbone.architecture.bottleneck_size, len(images.labels))
    progress = _progress(config, images, backbone)
    if not progress.steps_done:
        clear_summaries_dir(config.summaries_dir)

    with _timed(seconds, "bottlenecks"):
        bottlenecks = _bottlenecks(config, images, backbone)
    _log_bottlenecks(bottlenecks, config.bottleneck_dir, seconds["bottlenecks"])
    for_pillow = _check_training_images(images, bottlenecks) if config.distorts else []

    head_rng, *split_rngs, distortion_rng = _random_generators(progress.random_seed, 2 + len(SPLITS))
    data = Dataset(images, bottlenecks, dict(zip(SPLITS, split_rngs, strict=True)), config.strict)
    head = SoftmaxHead(backbone.architecture.bottleneck_size, len(images.labels), head_rng)
    progress.attach(head)
    exporter = Exporter(backbone, head, images.labels, config.final_tensor_name, note)
    with _timed(seconds, "training"):
        batches = _training_batches(config, images, data, backbone, for_pillow, distortion_rng, progress.steps_done)
        monitor = _train(config, head, data, batches, exporter, progress)

    with _timed(seconds, "test"):
        test, misclassified = _test(config, images, head, data)

    with _timed(seconds, "export"):
        _export(config, exporter, progress)
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


def _progress(config: RetrainConfig, images: ImageLists, backbone: Backbone) -> Progress:
    """The training's beginning; or with --resume, what the checkpoint says of it."""
    identity = {
        "image_dir": config.image_dir,
        "testing_percentage": config.testing_percentage,
        "validation_percentage": config.validation_percentage,
        "labels": list(images.labels),
        "network": backbone.fingerprint,
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


def _random_generators(seed: int, count: int) -> list[np.random.Generator]:
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
    """A batch for each training step from `first_step` on, float32 [B, D] and int64 [B].

    What the steps before it drew is drawn again and passed over, so that the rest is as if there had been no interruption.
    """
    sampler = data.samplers["training"]
    n_steps = config.how_many_training_steps - first_step
    distortion = Distortion(config.flip_left_right, config.random_crop, config.random_scale, config.random_brightness)
    for step in range(first_step):
        raise_if_interrupted()
        n_drawn = len(sampler.draw(config.train_batch_size))
        if config.distorts:
            distortion.draw(n_drawn, rng)
        if step % config.eval_step_interval == 0:
            data.samplers["validation"].draw(config.validation_batch_size)
    if not config.distorts:
        for _ in range(n_steps):
            yield data.batch("training", config.train_batch_size)
        return
    chunks = distorted_bottlenecks(
        [image.path for image in images.images],
        for_pillow,
        lambda: sampler.draw(config.train_batch_size),
        distortion,
        rng,
        backbone.run,
        backbone.architecture.input_spec,
        config.bottleneck_batch_size,
    )
    batch_size = len(sampler) if config.train_batch_size == -1 else config.train_batch_size
    for positions, values in itertools.islice(rebatch(chunks, batch_size), n_steps):
        yield values, data.class_of[positions]


def _train(
    config: RetrainConfig,
    head: SoftmaxHead,
    data: Dataset,
    batches: Iterator[tuple[FloatArray, IndexArray]],
    exporter: Exporter,
    progress: Progress,
) -> Monitor:
    counts = " + ".join(f"{len(sampler)} {split}" for split, sampler in data.samplers.items())
    logger.info("Training on %s images of %d classes.", counts, len(head.biases))
    monitor = Monitor(
        head,
        lambda: data.batch("validation", config.validation_batch_size),
        config.summaries_dir,
        config.eval_step_interval,
        config.how_many_training_steps,
        progress.steps_done,
    )

    def after_step(step: int, bottlenecks: FloatArray, classes: IndexArray) -> None:
        progress.after_step(step)
        monitor.after_step(step, bottlenecks, classes)
        if config.intermediate_store_frequency and step and step % config.intermediate_store_frequency == 0:
            exporter.write_intermediate(config.intermediate_output_graphs_dir, step)

    with progress.kept_if_interrupted(), monitor:
        monitor.add_graph(exporter.graph())
        train(head, batches, config.learning_rate, after_step, progress.steps_done)
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
            logger.info("%70s  %s", shown(path), label)
    return test, misclassified


def _export(config: RetrainConfig, exporter: Exporter, progress: Progress) -> None:
    """Writes all that was asked for. What cannot be written keeps nothing else from being written."""
    writers: list[Callable[[], None]] = [
        progress.save,
        lambda: exporter.write_graph(config.output_graph),
        lambda: exporter.write_labels(config.output_labels),
    ]
    if config.saved_model_dir:
        writers.append(lambda: exporter.write_saved_model(config.saved_model_dir))
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


@contextlib.contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[phase] = time.perf_counter() - start
