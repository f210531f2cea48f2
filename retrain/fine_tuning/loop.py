"""The fine-tuning loop: after the head, the network's own weights are trained too, together with the head's, on the images."""

import contextlib
import copy
import dataclasses
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from retrain.arrays import FloatArray, IndexArray
from retrain.backbones.backbone import Backbone
from retrain.errors import FlagError
from retrain.evaluation.metrics import cross_entropy
from retrain.fine_tuning.fixed_kernels import fixed_kernels_text, nothing_to_train_text
from retrain.fine_tuning.images import FineTuningImages, ImageBatch
from retrain.fine_tuning.variables import TrainableNetwork, open_weights, with_weights
from retrain.head.classifier import TrainedClassifier
from retrain.head.trainer import Trainer
from retrain.options.engine import TENSORFLOW
from retrain.options.fine_tuning import FineTuningOptions
from retrain.process.interruption import raise_if_interrupted
from retrain.process.progress import advance
from retrain.process.tensorflow_loading import load_tensorflow

if TYPE_CHECKING:  # It needs TensorFlow, which runs without fine-tuning do without.
    from retrain.fine_tuning.session import Layers

logger = logging.getLogger("retrain")

INITIAL_ENTROPY = 0.5  # The cross entropy at the start of fine-tuning, as a share of that of uniform guessing.
LARGEST_TEMPERATURE = 1000.0
N_IMAGES_MEASURED = 256
N_IMAGES_AT_ONCE = 8  # Between two checks for Ctrl-C: a second with the largest networks.
WARM_UP = 0.1  # Share of the steps in which the learning rate rises to its highest value.
N_NAMES_SHOWN = 5


@dataclass(frozen=True)
class FineTuned:
    """Result of fine-tuning.

    Attributes:
        classifier: with the network's and the head's new weights; the same nodes.
        step: number of steps after which the weights were kept.
        train_accuracy, validation_accuracy: of the last evaluation, and of these weights; 0 to 1, None if there was none.
    """

    classifier: TrainedClassifier
    step: int
    train_accuracy: float | None
    validation_accuracy: float | None


def trainable_network(options: FineTuningOptions, backbone: Backbone) -> TrainableNetwork:
    """Return the backbone's network with placeholders instead of the weights that `fine_tune_layers` matches.

    Logs a warning if kernels stay as they are, since they are stored in 8 bits.

    Raises:
        FlagError: no weight matches.
    """
    chosen, names = backbone.architecture, options.fine_tune_layers
    network = open_weights(backbone.graph_def, chosen.input_tensor, chosen.batch_tensor, names)
    if network.weights:
        if text := fixed_kernels_text(network, chosen.name, names):
            logger.warning("%s", text)
        return network
    known = network.names
    if not known:
        reason = nothing_to_train_text(network, None)
        raise FlagError(
            f"--fine_tune_steps must be 0 for {chosen.name}: no weights that can be trained were found in it"
            f"{f', since {reason}' if reason else ''}."
        )
    examples = ", ".join(known[:: -(-len(known) // N_NAMES_SHOWN)])
    reason = nothing_to_train_text(network, names)
    raise FlagError(
        f"--fine_tune_layers must match the name of at least one of the {len(known)} weights of {chosen.name}, such as "
        f"{examples}. Got {names}{f', where {reason}' if reason else ''}."
    )


def learning_rate_at(step: int, n_steps: int, highest: float) -> float:
    """Return the learning rate of a step: it rises linearly over the first tenth of the steps, then falls by a cosine to 0.

    The fall is that of Loshchilov and Hutter, "SGDR", 2017, without restarts; the rise that of Goyal et al., "Accurate, large
    minibatch SGD", 2017, section 2.2.
    """
    rising = max(1, round(WARM_UP * n_steps))
    if step < rising:
        return highest * (step + 1) / rising
    return highest * (1 + math.cos(math.pi * (step - rising) / (n_steps - rising))) / 2


def fine_tune(
    options: FineTuningOptions,
    classifier: TrainedClassifier,
    network: TrainableNetwork,
    images: FineTuningImages,
    trainer: Trainer,
) -> FineTuned:
    """Train the network's open weights and the head. Counts the steps as progress.

    The weights of the last step are kept. If their validation accuracy is lower than before the first step, the weights of the
    best evaluation are kept instead, so that fine-tuning does no harm that can be measured. Always keeping the best evaluation
    would be worse: on few images the best is mostly the luckiest (docs/fine-tuning.md).

    Args:
        options: of fine-tuning.
        classifier: the network and the head before; not changed.
        network: `trainable_network` of it.
        images: to train on, and to evaluate on.
        trainer: the head's; gives the loss settings and the seed.

    Raises:
        ModelError: the network has an operation without a gradient.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    load_tensorflow()
    from retrain.fine_tuning.monitor import FineTuningMonitor
    from retrain.fine_tuning.session import FineTuningSession

    layers = _softened_layers(classifier, images.batches)
    session = FineTuningSession(network, layers, trainer.loss_settings, trainer.random_seed)
    n_steps = options.fine_tune_steps
    with contextlib.closing(session), FineTuningMonitor(session, classifier.head, images.validation, options) as monitor:
        monitor.evaluate(0)
        start = time.perf_counter()
        for step, (pixels, classes) in zip(range(n_steps), images.batches, strict=False):
            raise_if_interrupted()
            rate = learning_rate_at(step, n_steps, options.fine_tune_learning_rate)
            logits, mean_loss = session.step(pixels, classes, rate)
            if not math.isfinite(mean_loss):
                logger.warning("Fine-tuning has diverged at step %d. Lower --fine_tune_learning_rate.", step)
                break
            monitor.after_step(step, logits, classes)
            advance(1, monitor.last_accuracy)
        seconds = time.perf_counter() - start
        monitor.finish()
    logger.info(
        "Fine-tuned %d weights of the network in %d steps (%.0f ms a step); the weights %s are kept.",
        len(network.weights),
        step + 1,
        1000 * seconds / (step + 1),
        f"after step {monitor.best_step}" if monitor.best_step else "from before fine-tuning",
    )
    head, backbone = copy.copy(classifier.head), classifier.backbone
    head.layers = monitor.best.layers
    tuned = with_weights(backbone.graph_def, monitor.best.network)
    backbone = dataclasses.replace(backbone, graph_def=tuned, engine=TENSORFLOW)  # Which is loaded already.
    return FineTuned(
        dataclasses.replace(classifier, backbone=backbone, head=head),
        monitor.best_step,
        monitor.train_accuracy,
        monitor.best_accuracy,
    )


def _softened_layers(classifier: TrainedClassifier, batches: Iterator[ImageBatch]) -> "Layers":
    """Return the head's layers with the last one divided by a temperature, which changes none of its predictions.

    A head that was trained for thousands of steps on few images is so certain about them that hardly any gradient is left, and
    that makes it more certain still. The temperature is the one for which the cross entropy on the first batches is half of that
    of guessing; docs/fine-tuning.md measures the gain. A head that is less certain stays as it is.
    """
    head, backbone = classifier.head, classifier.backbone
    parts: list[tuple[FloatArray, IndexArray]] = []
    while sum(len(part) for _, part in parts) < N_IMAGES_MEASURED:
        images, classes = next(batches)
        for start in range(0, len(images), N_IMAGES_AT_ONCE):
            raise_if_interrupted()
            some = slice(start, start + N_IMAGES_AT_ONCE)
            parts.append((head.logits(backbone.run(images[some])), classes[some]))
    logits, classes = np.concatenate([part for part, _ in parts]), np.concatenate([part for _, part in parts])
    target = INITIAL_ENTROPY * math.log(logits.shape[1])
    temperatures = np.geomspace(1, LARGEST_TEMPERATURE, 200).astype(np.float32)
    temperature = next((each for each in temperatures if cross_entropy(logits / each, classes) >= target), temperatures[-1])
    logger.debug("The head's logits are divided by %.2f for fine-tuning.", temperature)
    return [*head.layers[:-1], (head.weights / temperature, head.biases / temperature)]
