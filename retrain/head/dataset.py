"""The images with their bottlenecks and classes, and the batches drawn from them."""

import logging
from collections.abc import Mapping

import numpy as np

from retrain.arrays import FloatArray, IndexArray
from retrain.bottlenecks.cache import Bottlenecks
from retrain.data.image_folder import ImageLists
from retrain.data.sampling import Sampler
from retrain.errors import ImageFolderError, shown

logger = logging.getLogger("retrain")


class Dataset:
    """Bottlenecks and classes of all images, and a sampler for each split.

    Attributes:
        values: float32 [N, D].
        class_of: int64 [N].
        samplers: by `training`, `validation`, `testing`; images that could not be decoded are in none.
    """

    def __init__(self, images: ImageLists, bottlenecks: Bottlenecks, rngs: Mapping[str, np.random.Generator]) -> None:
        """
        Args:
            images: N images.
            bottlenecks: theirs.
            rngs: the source of randomness of each split.

        Raises:
            ImageFolderError: of some class no training image could be decoded.
        """
        self.values = bottlenecks.values
        self.class_of = np.array([image.class_index for image in images.images], dtype=np.int64)
        self._n_classes = len(images.labels)
        self.samplers: dict[str, Sampler] = {}
        self._buffers: dict[str, FloatArray] = {}
        for split, rng in rngs.items():
            members = [position for position in images.indices(split) if position not in bottlenecks.failed]
            self.samplers[split] = Sampler(self.class_of, members, rng)
        self._check_all_trainable(images)

    def batch(self, split: str, batch_size: int) -> tuple[FloatArray, IndexArray]:
        """Draws from a split, as `Sampler.draw` does: bottlenecks, float32 [B, D], and classes, int64 [B].

        The bottlenecks lie in memory that the next draw from the same split uses again: fresh memory would cost more than
        the training step itself.
        """
        positions = self.samplers[split].draw(batch_size)
        if split not in self._buffers or len(self._buffers[split]) != len(positions):
            self._buffers[split] = np.empty((len(positions), self.values.shape[1]), np.float32)
        bottlenecks = np.take(self.values, positions, axis=0, out=self._buffers[split], mode="clip")
        return bottlenecks, self.class_of[positions]

    def class_counts(self, split: str) -> IndexArray:
        """Images of each class in a split, int64 [C]."""
        return np.bincount(self.class_of[self.samplers[split].draw(-1)], minlength=self._n_classes)

    def _check_all_trainable(self, images: ImageLists) -> None:
        trained = set(self.class_of[self.samplers["training"].draw(-1)].tolist())
        for index, folder in enumerate(images.folders):
            if index not in trained:
                raise ImageFolderError(f"No image of the class {folder} is left to train on: none could be decoded.")


def report_skipped(images: ImageLists, bottlenecks: Bottlenecks, strict: bool) -> None:
    """Warns of all images that could not be decoded. Raises ImageFolderError instead if `strict`."""
    if not bottlenecks.failed:
        return
    lines = [f"  {shown(images.images[position].path)}: {reason}" for position, reason in sorted(bottlenecks.failed.items())]
    listing = "\n".join(lines)
    if strict:
        raise ImageFolderError(f"{len(lines)} images could not be decoded (--strict). Mend or remove them:\n{listing}")
    logger.warning("%d images could not be decoded and are skipped:\n%s", len(lines), listing)
