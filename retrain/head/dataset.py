"""The data set that a head is trained on: bottlenecks, classes and sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from retrain.arrays import FloatArray, IndexArray, Targets
from retrain.bottlenecks.cache import Bottlenecks
from retrain.data.image_lists import ImageLists
from retrain.data.sampling import in_class_order
from retrain.errors import ImageFolderError
from retrain.options.images import SPLITS


@dataclass(frozen=True)
class Dataset:
    """Bottlenecks and classes of all images, and the images of each set. Never changed once made.

    Attributes:
        values: float32 [N, D].
        classes: int64 [N]; of images with several labels their targets, float32 [N, C]: 1 for each label, else 0.
        members: indices of each set's images, int64 [n], class by class, by `training`, `validation`, `testing`. Images that
            cannot be decoded are in none.
        n_classes: C.
    """

    values: FloatArray
    classes: Targets
    members: Mapping[str, IndexArray]
    n_classes: int

    def __str__(self) -> str:
        counts = " + ".join(f"{len(members)} {split}" for split, members in self.members.items())
        return f"{counts} images of {self.n_classes} classes"

    def class_counts(self, split: str) -> IndexArray:
        """Return the number of images of each class in a set, int64 [C]."""
        classes = self.classes[self.members[split]]
        return classes.sum(axis=0).astype(np.int64) if classes.ndim == 2 else np.bincount(classes, minlength=self.n_classes)


@dataclass(frozen=True)
class Examples:
    """Some images of a data set.

    Attributes:
        indices: int64 [n].
        bottlenecks: float32 [n, D].
        classes: int64 [n], or float32 [n, C], as in `Dataset`.
    """

    indices: IndexArray
    bottlenecks: FloatArray
    classes: Targets

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def batch(self) -> tuple[FloatArray, Targets]:
        """Bottlenecks and classes."""
        return self.bottlenecks, self.classes


def make_dataset(images: ImageLists, bottlenecks: Bottlenecks, failed: Mapping[int, str]) -> Dataset:
    """Return the data set of N images.

    Args:
        images: the images.
        bottlenecks: their bottlenecks.
        failed: reason for each image that cannot be decoded, by index.

    Raises:
        ImageFolderError: a class has no training image that can be decoded.
    """
    first = np.array([image.class_index for image in images.images], dtype=np.int64)
    classes = images.targets if images.multi_label else first
    members = {
        split: in_class_order(first, [index for index in images.indices(split) if index not in failed]) for split in SPLITS
    }
    for array in (classes, *members.values()):
        array.flags.writeable = False
    data = Dataset(bottlenecks.values, classes, MappingProxyType(members), len(images.labels))
    counts = data.class_counts("training")
    for name, count in zip(images.labels if images.multi_label else images.folders, counts.tolist(), strict=True):
        if not count:
            raise ImageFolderError(f"No image of the class {name} is left to train on: none could be decoded.")
    return data
