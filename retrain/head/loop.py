"""Training, fine-tuning and testing, as the configuration wants them."""

import logging
from collections.abc import Iterator

import numpy as np

from retrain.arrays import FloatArray, IndexArray
from retrain.backbones.backbone import Backbone
from retrain.config import RetrainConfig
from retrain.data.augment import Distortion
from retrain.data.image_folder import ImageLists
from retrain.errors import shown
from retrain.evaluation.metrics import Evaluation, evaluate
from retrain.export.classifier import Exporter
from retrain.fine_tuning.images import image_batches, validation_images
from retrain.fine_tuning.loop import Tuned, fine_tune
from retrain.fine_tuning.monitor import Plan
from retrain.fine_tuning.variables import TrainableNetwork
from retrain.head.batches import DistortedImages, training_batches
from retrain.head.dataset import Dataset
from retrain.head.model import SoftmaxHead
from retrain.head.monitor import Monitor
from retrain.head.resume import Progress
from retrain.head.trainer import Trainer, train
from retrain.options.head import LBFGS
from retrain.process.timing import Timings

logger = logging.getLogger("retrain")


def batches_for(
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
    return training_batches(data, config, distorted, first_step)


def _distortion(config: RetrainConfig) -> Distortion | None:
    if not config.distorts:
        return None
    return Distortion(config.flip_left_right, config.random_crop, config.random_scale, config.random_brightness)


def train_head(
    config: RetrainConfig,
    trainer: Trainer,
    data: Dataset,
    batches: Iterator[tuple[FloatArray, IndexArray]],
    exporter: Exporter,
    progress: Progress,
    timings: Timings,
) -> Monitor:
    """Trains the head to its end, evaluates it now and then, and keeps what an interrupted training has reached."""
    counts = " + ".join(f"{len(sampler)} {split}" for split, sampler in data.samplers.items())
    logger.info("Training on %s images of %d classes.", counts, len(trainer.head.biases))
    monitor = Monitor(
        trainer.head, lambda: data.batch("validation", config.validation_batch_size), config.summaries_dir, progress.steps_done
    )

    def after_step(step: int, bottlenecks: FloatArray, classes: IndexArray) -> None:
        phase.count += 1
        progress.after_step(step)
        if config.is_evaluated(step):
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


def test_before_fine_tuning(head: SoftmaxHead, data: Dataset, positions: IndexArray) -> Evaluation | None:
    """The head's answers with the network as it came, on what was drawn from the testing set."""
    if not len(positions):
        return None
    test = evaluate(head.logits(data.values[positions]), data.class_of[positions])
    logger.info("Test accuracy before fine-tuning = %.1f%% (N=%d)", test.accuracy * 100, test.count)
    return test


def fine_tune_network(
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


def test_head(
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
