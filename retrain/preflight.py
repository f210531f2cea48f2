"""What comes before training: outputs, network, bottlenecks, and where an interrupted training stands."""

import logging
import secrets

from retrain.backbones.backbone import Backbone
from retrain.bottlenecks.cache import BottleneckCache, Bottlenecks
from retrain.bottlenecks.extract import cached_bottlenecks
from retrain.config import RetrainConfig
from retrain.data.image_folder import ImageLists
from retrain.data.loader import how_to_decode
from retrain.errors import FlagError
from retrain.export.frozen_graph import check_final_tensor_name, check_graph_size
from retrain.graphdef import precision_effect
from retrain.head.resume import Progress
from retrain.head.trainer import scipy_minimize
from retrain.options.export_formats import check_packages, export_path
from retrain.options.head import LBFGS
from retrain.process.device import prepare_device
from retrain.process.output_paths import prepare_file, prepare_folder, prepare_new_folder
from retrain.process.precision import FLOAT32, cache_name, prepare_precision, processor_gains

logger = logging.getLogger("retrain")


def prepare(config: RetrainConfig) -> None:
    """Makes ready what the run computes with and writes to. Raises FlagError or OutputError where that cannot be."""
    prepare_precision(config.precision)
    prepare_device(config.device)
    precision_effect.check_processor(config.precision)
    if config.precision != FLOAT32 and not processor_gains():
        logger.warning("This processor has no AMX: --precision=%s will hardly be faster than float32.", config.precision)
    if config.optimizer == LBFGS:
        scipy_minimize()  # If it is not there, that should be known before the work begins.
    check_packages(config.export)
    _prepare_outputs(config)


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
    for export in config.export:
        prepare_file("export", export_path(config.output_graph, export))


def check_network(config: RetrainConfig, backbone: Backbone, n_classes: int) -> None:
    """Raises FlagError or ModelError where the network with a head on it could not be exported."""
    check_final_tensor_name(config.final_tensor_name, backbone.graph_def)
    sizes = [backbone.architecture.bottleneck_size, *config.hidden_units, n_classes]
    check_graph_size(backbone.size, sizes)


def begin(config: RetrainConfig, images: ImageLists, backbone: Backbone) -> Progress:
    """The training's beginning; or with --resume, what the checkpoint says of it."""
    identity = {
        "image_dir": config.image_dir,
        "testing_percentage": config.testing_percentage,
        "validation_percentage": config.validation_percentage,
        "labels": list(images.labels),
        "network": backbone.fingerprint,
        "hidden_units": list(config.hidden_units),
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


def load_bottlenecks(config: RetrainConfig, images: ImageLists, backbone: Backbone) -> Bottlenecks:
    """Of all images, from the cache or made; with distortions not of training images: each step makes its own afresh."""
    precision_effect.check_processor(config.precision)
    precision_effect.check_network(config.precision, backbone.graph_def)
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


def log_bottlenecks(bottlenecks: Bottlenecks, folder: str, seconds: float) -> None:
    """Says how many were made and read, and how fast."""
    rate = f", {bottlenecks.n_made / seconds:.0f} images/s" if bottlenecks.n_made else ""
    logger.info("%d bottlenecks made, %d read from %s (%.1f s%s).", bottlenecks.n_made, bottlenecks.n_read, folder, seconds, rate)


def check_training_images(images: ImageLists, bottlenecks: Bottlenecks) -> list[int]:
    """Adds training images that cannot be decoded to those that failed; gives the positions of those that need Pillow for it."""
    training = images.indices("training")
    for_pillow, failed = how_to_decode([images.images[position].path for position in training])
    bottlenecks.failed.update({training[place]: reason for place, reason in failed.items()})
    return [training[place] for place in for_pillow]
