"""Batches of a training: drawn from the data set, or made by distorting images at each step."""

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from retrain.arrays import BatchFunction, FloatArray, Targets
from retrain.data.loader import rebatch
from retrain.data.sampling import Sampler
from retrain.head.dataset import Dataset, Examples
from retrain.options.head import LBFGS, HeadOptions
from retrain.process.interruption import raise_if_interrupted

if TYPE_CHECKING:  # It loads TensorFlow, which a sweep's workers do without.
    from retrain.data.augment import DistortedLoader

Batch: TypeAlias = tuple[FloatArray, Targets]  # Bottlenecks, float32 [B, D], and classes, int64 [B], or float32 [B, C].


class Batches:
    """Source of the batches of one training, with one random generator for each set."""

    def __init__(self, options: HeadOptions, data: Dataset, rngs: Mapping[str, np.random.Generator]) -> None:
        """Make a source of batches.

        Args:
            options: the batch sizes, and the steps after which validation images are drawn.
            data: the data set.
            rngs: the random generator of each set.
        """
        self._options, self._data = options, data
        self._samplers = {split: Sampler(data.classes, data.members[split], rng) for split, rng in rngs.items()}
        self._buffers: dict[str, FloatArray] = {}
        self._n_validation = options.validation_batch_size or -1

    def training(self, first_step: int = 0) -> Iterator[Batch]:
        """Yield a batch for each training step from `first_step` on; for L-BFGS one batch of all training images.

        The draws of earlier steps are repeated and discarded, so that the rest equal those of an uninterrupted run.
        """
        if self._options.optimizer == LBFGS:
            yield self.whole("training")
            return
        for step in range(first_step):
            self._skip(step)
        for _ in range(first_step, self._options.how_many_training_steps):
            yield self._draw("training", self._options.train_batch_size)

    def distorted(self, loader: "DistortedLoader", network: BatchFunction, first_step: int = 0) -> Iterator[Batch]:
        """Yield a batch for each training step from `first_step` on, of images that are distorted at each step.

        Args:
            loader: draws and distorts the training images.
            network: float32 [n, H, W, 3] → float32 [n, D].
            first_step: as in `training`.

        Raises:
            ImageFolderError: none of the images can be decoded any more.
        """
        for step in range(first_step):
            loader.draw(self._skip(step))
        sampler, batch_size = self._samplers["training"], self._options.train_batch_size
        chunks = loader.outputs(lambda: sampler.draw(batch_size), network)
        batches = rebatch(chunks, len(sampler) if batch_size == -1 else batch_size)
        for indices, values in itertools.islice(batches, self._options.how_many_training_steps - first_step):
            yield values, self._data.classes[indices]

    def validation(self) -> Batch:
        """Draw a validation batch; it is empty if there are no validation images."""
        return self._draw("validation", self._n_validation)

    def whole(self, split: str) -> Batch:
        """Return all images of a set, each once, class by class."""
        return self._draw(split, -1)

    def testing(self, batch_size: int) -> Examples:
        """Draw images of the testing set; -1 returns all of them."""
        indices = self._samplers["testing"].draw(batch_size)
        return Examples(indices, self._data.values[indices], self._data.classes[indices])

    def _skip(self, step: int) -> int:
        """Draw what an earlier run drew for a step; return the number of training images."""
        raise_if_interrupted()
        n_drawn = len(self._samplers["training"].draw(self._options.train_batch_size))
        if self._options.is_evaluated(step):
            self._samplers["validation"].draw(self._n_validation)
        return n_drawn

    def _draw(self, split: str, batch_size: int) -> Batch:
        """Draw from a set. The bottlenecks lie in memory that the next draw from the same set uses again.

        Fresh memory would cost more than the training step itself.
        """
        indices = self._samplers[split].draw(batch_size)
        if split not in self._buffers or len(self._buffers[split]) != len(indices):
            self._buffers[split] = np.empty((len(indices), self._data.values.shape[1]), np.float32)
        bottlenecks = np.take(self._data.values, indices, axis=0, out=self._buffers[split], mode="clip")
        return bottlenecks, self._data.classes[indices]
