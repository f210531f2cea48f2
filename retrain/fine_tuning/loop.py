"""Fine-tuning: after the head, the network's own weights are trained too, together with the head's, on the images themselves."""

import copy
import dataclasses
import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from retrain.arrays import FloatArray, IndexArray
from retrain.backbones.backbone import Backbone
from retrain.errors import FlagError
from retrain.evaluation.metrics import cross_entropy
from retrain.fine_tuning.monitor import Plan, Watch
from retrain.fine_tuning.session import Layers, Tuner
from retrain.fine_tuning.variables import TrainableNetwork, trainable_network, with_weights
from retrain.head.model import Loss, SoftmaxHead
from retrain.process.interruption import raise_if_interrupted

logger = logging.getLogger("retrain")

SURENESS = 0.5  # The cross entropy that fine-tuning begins with, as a share of what guessing gives.
LARGEST_DIVISOR = 1000.0
N_IMAGES_MEASURED = 256
N_IMAGES_AT_ONCE = 8  # Between two looks whether Ctrl-C was pressed: a second of the largest networks.
WARM_UP = 0.1  # The share of the steps in which the rate rises to its full height.
N_NAMES_SHOWN = 5


@dataclass(frozen=True)
class Tuned:
    """What fine-tuning made.

    Attributes:
        backbone: the network with its new weights; the same nodes.
        head: a copy of the head with its new weights.
        step: after how many steps the weights were like this.
        train_accuracy, validation_accuracy: of the last evaluation, and of these weights; 0 to 1, None if there was none.
    """

    backbone: Backbone
    head: SoftmaxHead
    step: int
    train_accuracy: float | None
    validation_accuracy: float | None


def open_network(backbone: Backbone, names: str | None) -> TrainableNetwork:
    """The backbone's network with those weights open in whose names the regular expression `names` is found; None is all.

    Raises:
        FlagError: there are none.
    """
    chosen = backbone.architecture
    network = trainable_network(backbone.graph_def, chosen.input_tensor, chosen.batch_tensor, names)
    if network.weights:
        return network
    known = network.names
    if not known:
        raise FlagError(f"--fine_tune_steps must be 0 for {chosen.name}: no weights that can be trained were found in it.")
    shown = ", ".join(known[:: -(-len(known) // N_NAMES_SHOWN)])
    raise FlagError(
        f"--fine_tune_layers must be found in the name of at least one of the {len(known)} weights of {chosen.name}, such as "
        f"{shown}. Got {names}."
    )


def learning_rate_at(step: int, n_steps: int, highest: float) -> float:
    """Rises in a line over the first tenth of the steps, then falls along half a cosine, to nothing after the last.

    The fall is that of Loshchilov and Hutter, "SGDR", 2017, without restarts; the rise that of Goyal et al., "Accurate, large
    minibatch SGD", 2017, section 2.2.
    """
    rising = max(1, round(WARM_UP * n_steps))
    if step < rising:
        return highest * (step + 1) / rising
    return highest * (1 + math.cos(math.pi * (step - rising) / (n_steps - rising))) / 2


def fine_tune(
    backbone: Backbone,
    network: TrainableNetwork,
    head: SoftmaxHead,
    batches: Iterator[tuple[FloatArray, IndexArray]],
    validation: tuple[FloatArray, IndexArray],
    plan: Plan,
    loss: Loss,
) -> Tuned:
    """Trains the open weights and the head.

    The weights of the last step are kept, unless they do worse on the validation images than those before the first step: then
    those of the best evaluation, so that fine-tuning does no harm that can be seen there. To take the best one always would be
    worse: on few images the best is mostly the luckiest (docs/fine-tuning.md).

    Args:
        backbone: the network as it is.
        network: `open_network` of it.
        head: the head as it is; not changed.
        batches: float32 [B, H, W, 3] and int64 [B], for each step.
        validation: float32 [N, H, W, 3] and int64 [N]; N may be 0.
        plan: how to fine-tune.
        loss: what is minimised.

    Raises:
        ModelError: the network has an operation that no gradient is known for.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    chosen = backbone.architecture
    softer = _softened(head, backbone, batches)
    tuner = Tuner(network, chosen.input_tensor, chosen.batch_tensor, softer, loss, plan.random_seed)
    with Watch(tuner, head, validation, plan) as watch:
        watch.evaluate(0)
        start = time.perf_counter()
        for step, (images, classes) in zip(range(plan.n_steps), batches, strict=False):
            raise_if_interrupted()
            logits, mean_loss = tuner.step(images, classes, learning_rate_at(step, plan.n_steps, plan.learning_rate))
            if not math.isfinite(mean_loss):
                watch.diverged(step)
                break
            watch.after_step(step, logits, classes)
        spent = time.perf_counter() - start
        watch.finish()
    logger.info(
        "Fine-tuned %d weights of the network in %d steps (%.0f ms a step); those after step %d are kept.",
        len(network.weights),
        step + 1,
        1000 * spent / (step + 1),
        watch.best_step,
    )
    tuner.close()
    new_head = copy.copy(head)
    new_head.layers = watch.best.layers
    return Tuned(
        dataclasses.replace(backbone, graph_def=with_weights(backbone.graph_def, watch.best.network)),
        new_head,
        watch.best_step,
        watch.train_accuracy,
        watch.best_accuracy,
    )


def _softened(head: SoftmaxHead, backbone: Backbone, batches: Iterator[tuple[FloatArray, IndexArray]]) -> Layers:
    """The head with its last layer divided by a number, which changes none of its answers but makes it less sure of them.

    A head that was trained for thousands of steps on few images is so sure of these that hardly any gradient is left; what is,
    goes into making it surer still. The divisor is the one with which the cross entropy on the first
    batches is half of what guessing gives; docs/fine-tuning.md has what that is worth. A head that is less sure stays as it is.
    """
    parts: list[tuple[FloatArray, IndexArray]] = []
    while sum(len(part) for _, part in parts) < N_IMAGES_MEASURED:
        images, classes = next(batches)
        for start in range(0, len(images), N_IMAGES_AT_ONCE):
            raise_if_interrupted()
            some = slice(start, start + N_IMAGES_AT_ONCE)
            parts.append((head.logits(backbone.run(images[some])), classes[some]))
    logits, classes = np.concatenate([part for part, _ in parts]), np.concatenate([part for _, part in parts])
    wanted = SURENESS * math.log(logits.shape[1])
    divisors = np.geomspace(1, LARGEST_DIVISOR, 200).astype(np.float32)
    divisor = next((each for each in divisors if cross_entropy(logits / each, classes) >= wanted), divisors[-1])
    logger.debug("The head is divided by %.2f for fine-tuning.", divisor)
    return [*head.layers[:-1], (head.weights / divisor, head.biases / divisor)]
