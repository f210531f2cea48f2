"""Many heads on the bottlenecks of one network, trained side by side: those that draw the same batches share them.

Loads no TensorFlow, so that worker processes begin at once. A head is the one that `pipeline.run` would train, to the last bit.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrain.arrays import FloatArray, IndexArray
from retrain.bottlenecks.cache import Bottlenecks
from retrain.data.image_folder import ImageLists
from retrain.data.sampling import RandomGenerators
from retrain.evaluation.metrics import Evaluation, cross_entropy, evaluate
from retrain.head.dataset import Dataset
from retrain.head.model import SoftmaxHead
from retrain.head.trainer import Trainer, train
from retrain.options.head import LBFGS, HeadOptions


@dataclass(frozen=True)
class SavedBottlenecks:
    """Bottlenecks of N images in a file that processes share.

    Attributes:
        path: a .npy file, float32 [N, D].
        images: the images.
        failed: reasons of those that could not be decoded, by position.
    """

    path: str
    images: ImageLists
    failed: dict[int, str]


@dataclass(frozen=True)
class TrainedHead:
    """What became of a head.

    Attributes:
        test, validation: its answers on all images of these sets; None without any.
        n_steps: how many it was trained for.
        size: how many numbers were trained.
        seconds: of training; of heads side by side each has its share.
        variables: weights and biases of each layer in turn.
    """

    test: Evaluation | None
    validation: Evaluation | None
    n_steps: int
    size: int
    seconds: float
    variables: list[FloatArray]


def train_side_by_side(saved: SavedBottlenecks, random_seed: int, all_options: Sequence[HeadOptions]) -> list[TrainedHead]:
    """Trains a head for each of the options, all with one seed, one size of batches and one number of steps.

    Raises:
        FlagError: the options do not fit the labels.
    """
    if len(all_options) > 1 and any(options.optimizer == LBFGS for options in all_options):
        return [head for options in all_options for head in train_side_by_side(saved, random_seed, [options])]
    sizes = all_options[0]  # The same in all of them.
    rngs = RandomGenerators(random_seed)
    values = np.asarray(np.load(saved.path, mmap_mode="r"))
    data = Dataset(saved.images, Bottlenecks(values, failed=saved.failed), rngs.of_split)
    labels, counts = saved.images.labels, data.class_counts("training")
    trainers = []
    for options in all_options:
        rng = RandomGenerators(random_seed).head
        head = SoftmaxHead(values.shape[1], len(labels), rng, options.hidden_units)
        trainers.append(Trainer(options, labels, counts, head, random_seed))
    n_steps = [0] * len(trainers)

    def after_step(step: int, bottlenecks: FloatArray, classes: IndexArray) -> None:
        active = [place for place, trainer in enumerate(trainers) if not trainer.early_stopping.should_stop]
        for place in active:
            n_steps[place] = step + 1
        if any(options.early_stopping for options in all_options) and sizes.is_evaluated(step):
            bottlenecks, classes = data.batch("validation", sizes.validation_batch_size)
            for place in active:
                loss = cross_entropy(trainers[place].head.logits(bottlenecks), classes)
                trainers[place].early_stopping.after_evaluation(loss)

    start = time.perf_counter()
    if all_options[0].optimizer == LBFGS:
        trainers[0].minimise(*data.batch("training", -1), after_step)
    else:
        train(
            trainers, (data.batch("training", sizes.train_batch_size) for _ in range(sizes.how_many_training_steps)), after_step
        )
    seconds = (time.perf_counter() - start) / len(trainers)
    return [_result(trainer, data, steps, seconds) for trainer, steps in zip(trainers, n_steps, strict=True)]


def _result(trainer: Trainer, data: Dataset, n_steps: int, seconds: float) -> TrainedHead:
    trainer.finish()
    found = {}
    for split in ("testing", "validation"):
        bottlenecks, classes = data.batch(split, -1)
        found[split] = evaluate(trainer.head.logits(bottlenecks), classes) if len(classes) else None
    head = trainer.head
    return TrainedHead(found["testing"], found["validation"], n_steps, head.size, seconds, head.variables)
