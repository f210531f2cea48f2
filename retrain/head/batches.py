"""The batches of a training, one for each step, from the cached bottlenecks or through distorted images."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from retrain.arrays import BatchFunction, FloatArray, IndexArray
from retrain.data.augment import Distortion, distorted_bottlenecks
from retrain.head.dataset import Dataset
from retrain.input_spec import InputSpec
from retrain.options.head import HeadOptions
from retrain.process.interruption import raise_if_interrupted


@dataclass(frozen=True)
class DistortedImages:
    """What it takes to make bottlenecks afresh.

    Attributes:
        paths: of all images.
        for_pillow: positions of those that TensorFlow cannot decode.
        distortion: how much they are changed.
        rng: the source of the changes.
        network: float32 [B, H, W, 3] → float32 [B, D].
        spec: the network's input.
        batch_size: how many images go through the network together; None chooses.
    """

    paths: Sequence[str]
    for_pillow: Sequence[int]
    distortion: Distortion
    rng: np.random.Generator
    network: BatchFunction
    spec: InputSpec
    batch_size: int | None


def training_batches(
    data: Dataset, options: HeadOptions, distorted: DistortedImages | None, first_step: int
) -> Iterator[tuple[FloatArray, IndexArray]]:
    """A batch for each training step from `first_step` on, float32 [B, D] and int64 [B].

    What the steps before it drew is drawn again and passed over, so that the rest is as if there had been no interruption.
    """
    sampler = data.samplers["training"]
    for step in range(first_step):
        raise_if_interrupted()
        n_drawn = len(sampler.draw(options.train_batch_size))
        if distorted:
            distorted.distortion.draw(n_drawn, distorted.rng)
        if options.is_evaluated(step):
            data.samplers["validation"].draw(options.validation_batch_size)
    if not distorted:
        for _ in range(first_step, options.how_many_training_steps):
            yield data.batch("training", options.train_batch_size)
        return
    chunks = distorted_bottlenecks(
        distorted.paths,
        distorted.for_pillow,
        lambda: sampler.draw(options.train_batch_size),
        distorted.distortion,
        distorted.rng,
        distorted.network,
        distorted.spec,
        distorted.batch_size,
    )
    batch_size = len(sampler) if options.train_batch_size == -1 else options.train_batch_size
    for positions, values in itertools.islice(rebatch(chunks, batch_size), options.how_many_training_steps - first_step):
        yield values, data.class_of[positions]


def rebatch(chunks: Iterator[tuple[IndexArray, FloatArray]], batch_size: int) -> Iterator[tuple[IndexArray, FloatArray]]:
    """Chunks of any size, int64 [n] and float32 [n, D] → batches of `batch_size`, in the same order."""
    positions, values = next(chunks)
    while True:
        while len(positions) < batch_size:
            more_positions, more_values = next(chunks)
            positions, values = np.append(positions, more_positions), np.concatenate([values, more_values])
        yield positions[:batch_size], values[:batch_size]
        positions, values = positions[batch_size:], values[batch_size:]
