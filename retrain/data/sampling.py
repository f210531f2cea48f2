"""Which images a batch holds: the original's law, a class uniformly at random, then one of its images uniformly."""

from collections.abc import Sequence

import numpy as np

from retrain.arrays import IndexArray
from retrain.data.image_folder import SPLITS


class RandomGenerators:
    """Independent sources of randomness, so that drawing more of one does not change what another draws.

    Attributes:
        head: for its first values.
        of_split: for the draws of images, by split.
        distortion: for the changes of images.
        fine_tuning: for the draws and changes of images while the network is fine-tuned.
    """

    def __init__(self, seed: int) -> None:
        children = np.random.SeedSequence(seed).spawn(3 + len(SPLITS))
        self.head, *of_split, self.distortion, self.fine_tuning = (np.random.default_rng(child) for child in children)
        self.of_split = dict(zip(SPLITS, of_split, strict=True))


class Sampler:
    """Draws positions of images of one split; small classes are drawn as often as large ones."""

    def __init__(self, class_of: IndexArray, members: Sequence[int], rng: np.random.Generator) -> None:
        """
        Args:
            class_of: int64 [N], each image's class.
            members: positions of the split's images among the N. Classes without any are never drawn.
            rng: the source of randomness.
        """
        chosen = np.asarray(members, dtype=np.int64)
        self._by_class = chosen[np.argsort(class_of[chosen], kind="stable")]
        _, self._starts, self._counts = np.unique(class_of[self._by_class], return_index=True, return_counts=True)
        self._rng = rng

    def __len__(self) -> int:
        return len(self._by_class)

    def draw(self, batch_size: int) -> IndexArray:
        """Positions of `batch_size` independent draws, int64 [B]; -1 gives every image of the split once, class by class.

        Of a split without images nothing can be drawn: the result is empty.
        """
        if batch_size == -1 or len(self) == 0:
            return self._by_class
        classes = self._rng.integers(len(self._counts), size=batch_size)
        places = (self._rng.random(batch_size) * self._counts[classes]).astype(np.int64)
        return self._by_class[self._starts[classes] + places]
