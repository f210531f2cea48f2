"""The data set that a head is trained on: bottlenecks, classes and sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from retrain.arrays import FloatArray, IndexArray
from retrain.bottlenecks.cache import Bottlenecks
from retrain.data.image_lists import ImageLists
from retrain.data.sampling import in_class_order
from retrain.data.splitting import SPLITS
from retrain.errors import ImageFolderError


@dataclass(frozen=True)
class Dataset:
    """Bottlenecks and classes of all images, and the images of each set. Never changed once made.

    Attributes:
        values: float32 [N, D].
        classes: int64 [N].
        members: indices of each set's images, int64 [n], class by class, by `training`, `validation`, `testing`. Images that
            cannot be decoded are in none.
        n_classes: C.
    """

    values: FloatArray
    classes: IndexArray
    members: Mapping[str, IndexArray]
    n_classes: int

    def __str__(self) -> str:
        counts = " + ".join(f"{len(members)} {split}" for split, members in self.members.items())
        return f"{counts} images of {self.n_classes} classes"

    def class_counts(self, split: str) -> IndexArray:
        """Return the number of images of each class in a set, int64 [C]."""
        return np.bincount(self.classes[self.members[split]], minlength=self.n_classes)


@dataclass(frozen=True)
class Examples:
    """Some images of a data set.

    Attributes:
        indices: int64 [n].
        bottlenecks: float32 [n, D].
        classes: int64 [n].
    """

    indices: IndexArray
    bottlenecks: FloatArray
    classes: IndexArray

    def __len__(self) -> int:
        return len(self.indices)


def make_dataset(images: ImageLists, bottlenecks: Bottlenecks, failed: Mapping[int, str]) -> Dataset:
    """Return the data set of N images.

    Args:
        images: the images.
        bottlenecks: their bottlenecks.
        failed: reason for each image that cannot be decoded, by index.

    Raises:
        ImageFolderError: a class has no training image that can be decoded.
    """
    classes = np.array([image.class_index for image in images.images], dtype=np.int64)
    members = {
        split: in_class_order(classes, [index for index in images.indices(split) if index not in failed]) for split in SPLITS
    }
    for array in (classes, *members.values()):
        array.flags.writeable = False
    trained = set(classes[members["training"]].tolist())
    for index, folder in enumerate(images.folders):
        if index not in trained:
            raise ImageFolderError(f"No image of the class {folder} is left to train on: none could be decoded.")
    return Dataset(bottlenecks.values, classes, MappingProxyType(members), len(images.labels))
