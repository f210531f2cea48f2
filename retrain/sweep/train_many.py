"""Training of many heads on the bottlenecks of one network, side by side: those that draw the same batches share them.

Loads no TensorFlow, so that worker processes start at once. A head is the one that `pipeline.run` would train, bit for bit.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrain.arrays import FloatArray, Targets
from retrain.bottlenecks.cache import Bottlenecks
from retrain.data.image_lists import ImageLists
from retrain.data.sampling import RandomGenerators
from retrain.evaluation.metrics import Evaluation, cross_entropy
from retrain.evaluation.multi_label import MultiLabelEvaluation
from retrain.head.batches import Batches
from retrain.head.dataset import make_dataset
from retrain.head.evaluate import evaluate_head
from retrain.head.model import SigmoidHead, SoftmaxHead
from retrain.head.trainer import Trainer, train
from retrain.options.head import LBFGS, HeadOptions


@dataclass(frozen=True)
class SavedBottlenecks:
    """Bottlenecks of N images in a file that processes share.

    Attributes:
        path: a .npy file, float32 [N, D].
        images: the images.
        failed: reason for each image that could not be decoded, by index.
    """

    path: str
    images: ImageLists
    failed: dict[int, str]


@dataclass(frozen=True)
class TrainedHead:
    """A trained head and its measures.

    Attributes:
        test, validation: measures on all images of these sets; None without any.
        n_steps: number of steps it was trained for.
        size: number of parameters.
        seconds: of training; heads side by side have equal shares.
        variables: weights and biases of each layer in turn.
    """

    test: Evaluation | MultiLabelEvaluation | None
    validation: Evaluation | MultiLabelEvaluation | None
    n_steps: int
    size: int
    seconds: float
    variables: list[FloatArray]


def train_side_by_side(saved: SavedBottlenecks, random_seed: int, all_options: Sequence[HeadOptions]) -> list[TrainedHead]:
    """Train a head for each of the options, all with one seed.

    Args:
        saved: the bottlenecks.
        random_seed: of all heads.
        all_options: with the same batch sizes, number of steps and evaluations.

    Raises:
        FlagError: the options do not fit the labels.
    """
    shared = all_options[0]
    if len(all_options) > 1 and any(options.optimizer == LBFGS for options in all_options):
        return [head for options in all_options for head in train_side_by_side(saved, random_seed, [options])]
    values = np.asarray(np.load(saved.path, mmap_mode="r"))
    data = make_dataset(saved.images, Bottlenecks(values), saved.failed)
    batches = Batches(shared, data, RandomGenerators(random_seed).of_split)
    labels, counts = saved.images.labels, data.class_counts("training")
    trainers = []
    for options in all_options:
        rng = RandomGenerators(random_seed).head
        head = (SigmoidHead if saved.images.multi_label else SoftmaxHead)(values.shape[1], len(labels), rng, options.hidden_units)
        trainers.append(Trainer(options, labels, counts, head, random_seed))
    n_steps = [0] * len(trainers)

    def after_step(step: int, bottlenecks: FloatArray, classes: Targets) -> None:
        active = [index for index, trainer in enumerate(trainers) if not trainer.early_stopping.should_stop]
        for index in active:
            n_steps[index] = step + 1
        if any(options.early_stopping for options in all_options) and shared.is_evaluated(step):
            bottlenecks, classes = batches.validation()
            for index in active if len(classes) else ():
                loss = cross_entropy(trainers[index].head.logits(bottlenecks), classes)
                trainers[index].early_stopping.after_evaluation(loss)

    start = time.perf_counter()
    if shared.optimizer == LBFGS:
        trainers[0].minimize(*batches.whole("training"), after_step)
    else:
        train(trainers, batches.training(), after_step)
    seconds = (time.perf_counter() - start) / len(trainers)
    return [_result(trainer, batches, steps, seconds) for trainer, steps in zip(trainers, n_steps, strict=True)]


def _result(trainer: Trainer, batches: Batches, n_steps: int, seconds: float) -> TrainedHead:
    trainer.finish()
    found = {}
    for split in ("testing", "validation"):
        found[split] = evaluate_head(trainer.head, batches.whole(split))
    head = trainer.head
    return TrainedHead(found["testing"], found["validation"], n_steps, head.size, seconds, head.variables)
