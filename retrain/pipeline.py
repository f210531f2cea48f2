"""The whole job in one place, stage after stage. Read this file first.

image folder → split → network → bottlenecks → training of the head → test → export
"""

import contextlib
import itertools
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tensorflow.core.framework.graph_pb2 import GraphDef

from retrain.arrays import FloatArray, IndexArray
from retrain.backbones.catalog import BUNDLED, INCEPTION, find_architecture
from retrain.backbones.download import read_graph_file
from retrain.backbones.frozen_graph import Backbone, load_backbone
from retrain.bottlenecks import BottleneckCache
from retrain.config import RetrainConfig
from retrain.distort import Distortion, distorted_bottlenecks, rebatch, undecodable
from retrain.errors import ImageFolderError, ModelUnavailableError
from retrain.evaluation import Evaluation, evaluate
from retrain.export.checkpoint import write_checkpoint
from retrain.export.description import Description
from retrain.export.frozen_graph import check_final_tensor_name, retrained_graph
from retrain.export.saved_model import write_saved_model
from retrain.extract import Bottlenecks, cached_bottlenecks
from retrain.files import write_atomically
from retrain.head import SoftmaxHead, train
from retrain.image_lists import SPLITS, ImageLists, create_image_lists
from retrain.monitor import Monitor
from retrain.outputs import prepare_file, prepare_folder, prepare_new_folder
from retrain.preprocess import InputSpec
from retrain.sampling import Sampler
from retrain.summaries import clear_summaries_dir

logger = logging.getLogger("retrain")

Batch = tuple[FloatArray, IndexArray]


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
        misclassified: path and predicted label of the test images that were labelled wrongly.
        output_graph, output_labels: the files written.
        saved_model_dir: the SavedModel's folder, if one was asked for.
        seconds: wall time of each phase, by `bottlenecks`, `training`, `test`, `export`.
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
    misclassified: tuple[tuple[str, str], ...]
    output_graph: str
    output_labels: str
    saved_model_dir: str | None
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
    seconds: dict[str, float] = {}
    _prepare_outputs(config)
    images = create_image_lists(config.image_dir, config.testing_percentage, config.validation_percentage)
    backbone, note = choose_backbone(config.architecture, config.model_dir, config.model_url_base)
    check_final_tensor_name(config.final_tensor_name, backbone.graph_def)
    clear_summaries_dir(config.summaries_dir)

    with _timed(seconds, "bottlenecks"):
        bottlenecks = _bottlenecks(config, images, backbone)
    _log_bottlenecks(bottlenecks, config.bottleneck_dir, seconds["bottlenecks"])

    seeds = np.random.SeedSequence(config.random_seed).spawn(5)
    rngs = [np.random.default_rng(seed) for seed in seeds]
    head = SoftmaxHead(backbone.architecture.bottleneck_size, len(images.labels), rngs[0])
    data = _Data(images, bottlenecks, dict(zip(SPLITS, rngs[1:4], strict=True)))
    exporter = _Exporter(config, images.labels, backbone, note, head)
    with _timed(seconds, "training"):
        monitor = Monitor(
            head,
            lambda: data.batch("validation", config.validation_batch_size),
            config.summaries_dir,
            config.eval_step_interval,
            config.how_many_training_steps,
        )
        with monitor:
            monitor.add_graph(exporter.graph())
            _train(config, head, data, monitor, exporter, _training_batches(config, data, backbone, rngs[4]))

    with _timed(seconds, "test"):
        test, misclassified = _test(config, head, data)
    with _timed(seconds, "export"):
        exporter.write_all()
    return RetrainResult(
        labels=images.labels,
        architecture=backbone.architecture.name,
        note=note,
        n_images={split: len(data.samplers[split]) for split in SPLITS},
        skipped={images.images[i].path: reason for i, reason in bottlenecks.failed.items()},
        n_bottlenecks_made=bottlenecks.n_made,
        n_bottlenecks_read=bottlenecks.n_read,
        train_accuracy=monitor.train_accuracy,
        validation_accuracy=monitor.validation_accuracy,
        test=test,
        misclassified=misclassified,
        output_graph=config.output_graph,
        output_labels=config.output_labels,
        saved_model_dir=config.saved_model_dir,
        seconds=seconds,
    )


def choose_backbone(architecture: str | None, model_dir: str, model_url_base: str | None) -> tuple[Backbone, str]:
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
        logger.warning("%s\nGoing on with the bundled network %s; name it to be without this warning.", error, BUNDLED)
        chosen = find_architecture(BUNDLED)
        graph_bytes = read_graph_file(chosen, model_dir)
    return load_backbone(chosen, graph_bytes), note


def _prepare_outputs(config: RetrainConfig) -> None:
    for flag in ("output_graph", "output_labels", "checkpoint_path"):
        prepare_file(flag, getattr(config, flag))
    prepare_folder("bottleneck_dir", config.bottleneck_dir)
    if config.intermediate_store_frequency:
        prepare_folder("intermediate_output_graphs_dir", config.intermediate_output_graphs_dir)
    if config.saved_model_dir:
        prepare_new_folder("saved_model_dir", config.saved_model_dir)


def _bottlenecks(config: RetrainConfig, images: ImageLists, backbone: Backbone) -> Bottlenecks:
    """With distortions only validation and testing images have bottlenecks: each step makes its training images' afresh."""
    chosen = backbone.architecture
    spec = _input_spec(backbone)
    cache = BottleneckCache(config.bottleneck_dir, chosen.name, chosen.bottleneck_size, backbone.fingerprint)
    wanted = [i for i, image in enumerate(images.images) if not (config.distorts and image.split == "training")]
    bottlenecks = cached_bottlenecks(images.images, wanted, cache, lambda: backbone.run, spec, chosen.bottleneck_size)
    if config.distorts:
        training = images.indices("training")
        for place in undecodable([images.images[i].path for i in training]):
            bottlenecks.failed[training[place]] = "it cannot be decoded by TensorFlow, as distortions need"
    return bottlenecks


def _log_bottlenecks(bottlenecks: Bottlenecks, folder: str, seconds: float) -> None:
    rate = f", {bottlenecks.n_made / seconds:.0f} images/s" if bottlenecks.n_made else ""
    logger.info("%d bottlenecks made, %d read from %s (%.1f s%s).", bottlenecks.n_made, bottlenecks.n_read, folder, seconds, rate)


class _Data:
    """The bottlenecks and classes of all images, and a sampler for each split."""

    def __init__(self, images: ImageLists, bottlenecks: Bottlenecks, rngs: dict[str, np.random.Generator]) -> None:
        self.images = images
        self.values = bottlenecks.values
        self.class_of = np.array([image.class_index for image in images.images], dtype=np.int64)
        self.samplers = {}
        for split, rng in rngs.items():
            members = [i for i in images.indices(split) if i not in bottlenecks.failed]
            self.samplers[split] = Sampler(self.class_of, members, rng)
        self._report_skipped(bottlenecks.failed)

    def batch(self, split: str, batch_size: int) -> Batch:
        """Draws from a split: bottlenecks, float32 [B, D], and classes, int64 [B]."""
        positions = self.samplers[split].draw(batch_size)
        return self.values[positions], self.class_of[positions]

    def _report_skipped(self, failed: dict[int, str]) -> None:
        if failed:
            lines = [f"  {self.images.images[i].path}: {reason}" for i, reason in sorted(failed.items())]
            logger.warning("%d images could not be decoded and are skipped:\n%s", len(lines), "\n".join(lines))
        trained = set(self.class_of[self.samplers["training"].draw(-1)].tolist())
        for index, folder in enumerate(self.images.folders):
            if index not in trained:
                raise ImageFolderError(f"No image of the class {folder} can be trained on: none could be decoded.")


def _training_batches(config: RetrainConfig, data: _Data, backbone: Backbone, rng: np.random.Generator) -> Iterator[Batch]:
    """A batch for each training step, float32 [B, D] and int64 [B]."""
    if not config.distorts:
        for _ in range(config.how_many_training_steps):
            yield data.batch("training", config.train_batch_size)
        return
    sampler = data.samplers["training"]
    distortion = Distortion(config.flip_left_right, config.random_crop, config.random_scale, config.random_brightness)
    chunks = distorted_bottlenecks(
        [image.path for image in data.images.images],
        lambda: sampler.draw(config.train_batch_size),
        distortion,
        rng,
        backbone.run,
        _input_spec(backbone),
    )
    batch_size = len(sampler) if config.train_batch_size == -1 else config.train_batch_size
    for positions, values in itertools.islice(rebatch(chunks, batch_size), config.how_many_training_steps):
        yield values, data.class_of[positions]


def _train(
    config: RetrainConfig, head: SoftmaxHead, data: _Data, monitor: Monitor, exporter: "_Exporter", batches: Iterator[Batch]
) -> None:
    logger.info(
        "Training on %s images of %d classes.",
        " + ".join(f"{len(data.samplers[split])} {split}" for split in SPLITS),
        len(data.images.labels),
    )

    def after_step(step: int, bottlenecks: FloatArray, classes: IndexArray) -> None:
        monitor.after_step(step, bottlenecks, classes)
        if config.intermediate_store_frequency and step and step % config.intermediate_store_frequency == 0:
            exporter.write_intermediate(step)

    train(head, batches, config.learning_rate, after_step)


def _test(config: RetrainConfig, head: SoftmaxHead, data: _Data) -> tuple[Evaluation | None, tuple[tuple[str, str], ...]]:
    positions = data.samplers["testing"].draw(config.test_batch_size)
    if not len(positions):
        logger.warning("There are no test images: the accuracy is not measured.")
        return None, ()
    test = evaluate(head.logits(data.values[positions]), data.class_of[positions])
    logger.info("Final test accuracy = %.1f%% (N=%d)", test.accuracy * 100, test.count)
    wrong = test.predicted != data.class_of[positions]
    misclassified = tuple(
        (data.images.images[position].path, data.images.labels[answer])
        for position, answer in zip(positions[wrong], test.predicted[wrong], strict=True)
    )
    if config.print_misclassified_test_images:
        logger.info("=== MISCLASSIFIED TEST IMAGES ===")
        for path, label in misclassified:
            logger.info("%70s  %s", path, label)
    return test, misclassified


class _Exporter:
    """Writes the head as it stands, in every format that was asked for."""

    def __init__(self, config: RetrainConfig, labels: tuple[str, ...], backbone: Backbone, note: str, head: SoftmaxHead) -> None:
        self._config, self._backbone, self._head = config, backbone, head
        chosen = backbone.architecture
        self._description = Description(
            labels=labels,
            input_tensor=chosen.input_tensor,
            input_height=chosen.input_height,
            input_width=chosen.input_width,
            input_mean=chosen.input_mean,
            input_std=chosen.input_std,
            output_tensor=f"{config.final_tensor_name}:0",
            architecture=chosen.name,
            note=note,
        )

    def graph(self) -> GraphDef:
        """The network with the head as it stands."""
        return retrained_graph(
            self._backbone.graph_def,
            self._backbone.architecture,
            self._head.weights,
            self._head.biases,
            self._config.final_tensor_name,
            self._description,
        )

    def write_intermediate(self, step: int) -> None:
        path = os.path.join(self._config.intermediate_output_graphs_dir, f"intermediate_{step}.pb")
        logger.info("Save intermediate result to : %s", path)
        write_atomically(path, self.graph().SerializeToString())

    def write_all(self) -> None:
        config, graph = self._config, self.graph()
        write_atomically(config.output_graph, graph.SerializeToString())
        write_atomically(config.output_labels, "".join(f"{label}\n" for label in self._description.labels).encode())
        write_checkpoint(config.checkpoint_path, self._head, config.how_many_training_steps)
        if config.saved_model_dir:
            write_saved_model(config.saved_model_dir, graph, self._description)
        logger.info("Graph written to %s, labels to %s.", config.output_graph, config.output_labels)


def _input_spec(backbone: Backbone) -> InputSpec:
    chosen = backbone.architecture
    return InputSpec(chosen.input_height, chosen.input_width, chosen.input_mean, chosen.input_std)


@contextlib.contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[phase] = time.perf_counter() - start
