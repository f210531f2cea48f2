"""Class-balanced sampling, as the original does: draw a class uniformly, then one of its images uniformly."""

from collections.abc import Sequence

import numpy as np

from retrain.arrays import IndexArray, Targets
from retrain.options.images import SPLITS


class RandomGenerators:
    """Independent random generators, so that drawing more from one does not change what another draws.

    Attributes:
        head: for the initial values of the head.
        of_split: for the draws of images, by split.
        distortion: for the distortions of images.
        fine_tuning: for the draws and distortions of images during fine-tuning.
    """

    def __init__(self, seed: int) -> None:
        children = np.random.SeedSequence(seed).spawn(3 + len(SPLITS))
        self.head, *of_split, self.distortion, self.fine_tuning = (np.random.default_rng(child) for child in children)
        self.of_split = dict(zip(SPLITS, of_split, strict=True))


class Sampler:
    """Sampler of one set's images; small classes are drawn as often as large ones."""

    def __init__(self, classes: Targets, members: Sequence[int] | IndexArray, rng: np.random.Generator) -> None:
        """Make a sampler.

        Args:
            classes: int64 [N], the class of each image; or float32 [N, C], 1 for each label that an image has.
            members: indices of the set's images. Classes without any are never drawn.
            rng: the source of randomness.
        """
        if classes.ndim == 2:  # An image is among those of each of its labels.
            self._members = np.asarray(members, dtype=np.int64)
            drawn, rows = np.nonzero(classes[self._members].T)
            self._by_class = self._members[rows]
        else:
            self._members = self._by_class = in_class_order(classes, members)
            drawn = classes[self._by_class]
        _, self._starts, self._counts = np.unique(drawn, return_index=True, return_counts=True)
        self._rng = rng

    def __len__(self) -> int:
        return len(self._members)

    def draw(self, batch_size: int) -> IndexArray:
        """Return the indices of `batch_size` independent draws, int64 [B]; -1 returns every image of the set once, by class.

        A set without images returns an empty array.
        """
        if batch_size == -1 or len(self) == 0:
            return self._members
        classes = self._rng.integers(len(self._counts), size=batch_size)
        offsets = (self._rng.random(batch_size) * self._counts[classes]).astype(np.int64)
        return self._by_class[self._starts[classes] + offsets]


def in_class_order(classes: Targets, members: Sequence[int] | IndexArray) -> IndexArray:
    """Return the indices `members`, int64 [n], class by class; `classes` is int64 [N]. The order within a class is kept."""
    chosen = np.asarray(members, dtype=np.int64)
    return chosen[np.argsort(classes[chosen], kind="stable")]
