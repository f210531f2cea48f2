"""The classes and images of a run, and the set of each image, from a folder or a table. Loads no TensorFlow."""

import dataclasses
import hashlib
import itertools
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from retrain.arrays import Targets
from retrain.data.endings import usable_endings
from retrain.data.image_folder import check_level, read_folder, too_few_classes, warn_of_images_beside
from retrain.data.image_list import read_list, write_list
from retrain.data.labels import check_labels
from retrain.data.photos import Photo, merged
from retrain.data.splitting import splits_of
from retrain.errors import ImageFolderError, counted, listing, shown
from retrain.options.images import FOLDER_NAMES, ORIGINAL_NAMES, SPLITS, TRAINING, ImageOptions

logger = logging.getLogger("retrain")

FEW_IMAGES = 20
MOST_WARNINGS = 5  # Of one kind.


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image of a run.

    Attributes:
        path: of its file: of an image folder `os.path.join(image_dir, folder, file_name)`, exactly as built.
        folder: the folder of its bottleneck in the cache, which for an image folder is the class's.
        file_name: the file's name in it.
        class_index: index of the class's label.
        split: `training`, `validation` or `testing`.
        group: the group that a table gives it; else empty.
        further: indices of its other labels, if it has several.
    """

    path: str
    folder: str
    file_name: str
    class_index: int
    split: str
    group: str = ""
    further: tuple[int, ...] = ()

    @property
    def classes(self) -> tuple[int, ...]:
        """Indices of all its labels."""
        return (self.class_index, *self.further)


@dataclass(frozen=True)
class ImageLists:
    """Classes and images of a run.

    Attributes:
        labels: the label of each class, in class order.
        folders: the class folders, in the same order; of a table, the labels.
        images: all images, class by class, sorted by file name.
        multi_label: True if an image may have several labels.
        has_sets: True if a table names the set of some image.
    """

    labels: tuple[str, ...]
    folders: tuple[str, ...]
    images: tuple[LabelledImage, ...]
    multi_label: bool = False
    has_sets: bool = False

    @property
    def targets(self) -> Targets:
        """Labels of each image, float32 [N, C]: 1 for each label that it has, else 0."""
        targets = np.zeros((len(self.images), len(self.labels)), np.float32)
        for row, image in zip(targets, self.images, strict=True):
            row[list(image.classes)] = 1
        return targets

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the names of all images and their sets, in order; of several labels, of these too."""
        lines = (
            f"{image.folder}/{image.file_name}\t{image.split}{f'{image.classes}' if self.multi_label else ''}\n"
            for image in self.images
        )
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def indices(self, split: str) -> list[int]:
        """Return the indices in `images` of the images of one split."""
        return [i for i, image in enumerate(self.images) if image.split == split]


def create_image_lists(options: ImageOptions, like_original: bool = True) -> ImageLists:
    """Find the classes and images to train on, and split them.

    Args:
        options: the folder or the table, and the rules.
        like_original: True uses the original's rules for endings and labels, where the options name none, and splits by the path
            as it was typed, not relative to the image folder.

    Raises:
        ImageFolderError: the folder or the table cannot be read; there are fewer than two classes, two folders have the same
            label, or a class has no training image.
    """
    lists = list_images(options, like_original)
    if options.image_dir is not None and not options.multi_label:
        labels = {image.folder: lists.labels[image.class_index] for image in lists.images}
        check_labels(labels, _label_names(options, like_original), options.image_dir)
    _check_classes(options, lists)
    _check_splits(options, lists)
    return lists


def list_images(options: ImageOptions, like_original: bool = True) -> ImageLists:
    """Find the classes and images, whatever they are: one class, one image, or a class without training images is no error.

    Raises:
        ImageFolderError: the folder or the table cannot be read.
    """
    photos = _photos(options, _label_names(options, like_original), like_original)
    if options.multi_label and options.image_dir is not None:
        photos = merged(photos)
    splits = splits_of(photos, options)
    labels = tuple(dict.fromkeys(label for photo in photos for label in photo.labels))
    labels = tuple(sorted(labels)) if options.multi_label else labels
    folders = tuple(dict.fromkeys(photo.folder for photo in photos)) if options.image_dir else labels
    number = {label: index for index, label in enumerate(labels)}
    images = tuple(
        LabelledImage(photo.path, photo.folder, photo.file_name, first, split, photo.group, tuple(further))
        for photo, split in zip(photos, splits, strict=True)
        for first, *further in [[number[label] for label in photo.labels]]
    )
    has_sets = any(photo.split for photo in photos)
    return ImageLists(labels, labels if options.multi_label else folders, images, options.multi_label, has_sets)


def save_split(path: str, lists: ImageLists) -> None:
    """Write the images, their labels and their sets as a table. Raises OutputError if it cannot be written."""
    rows = [(each.path, [lists.labels[index] for index in each.classes], each.split, each.group) for each in lists.images]
    write_list(path, rows)


def report_failed(images: ImageLists, failed: Mapping[int, str], options: ImageOptions) -> None:
    """Warn of all images that cannot be decoded: `failed` has the reason of each by index.

    Raises:
        ImageFolderError: `strict` is on and there is one.
    """
    if not failed:
        return
    lines = [f"  {shown(images.images[index].path)}: {reason}" for index, reason in sorted(failed.items())]
    text = "\n".join(lines)
    if options.strict:
        raise ImageFolderError(f"{len(lines)} images could not be decoded (--strict). Fix or remove them:\n{text}")
    which = counted(len(lines), "image could not be decoded and is skipped", "images could not be decoded and are skipped")
    logger.warning("%s:\n%s", which, text)


def _label_names(options: ImageOptions, like_original: bool) -> str:
    """Return the rule for the labels. A table has labels, not folders: its default is to keep them."""
    if options.label_names:
        return options.label_names
    return ORIGINAL_NAMES if like_original and options.image_dir is not None else FOLDER_NAMES


def _photos(options: ImageOptions, label_names: str, like_original: bool) -> list[Photo]:
    if options.image_list is not None:
        return read_list(options.image_list, label_names, options.multi_label)
    assert options.image_dir is not None, "the options have one of the two"
    photos = read_folder(options.image_dir, label_names, usable_endings(options.all_images or not like_original))
    if like_original:
        return photos
    return [dataclasses.replace(photo, hashed=f"{photo.folder}/{photo.file_name}") for photo in photos]


def _check_classes(options: ImageOptions, lists: ImageLists) -> None:
    if options.image_dir is None:
        if len(lists.labels) < 2:
            raise ImageFolderError(
                f"Training needs at least two classes. All images of --image_list {options.image_list} have the label "
                f"{lists.labels[0]}."
            )
    elif len(lists.folders) < 2:
        raise ImageFolderError(too_few_classes(options.image_dir, lists.folders))
    else:
        check_level(options.image_dir, Counter(image.folder for image in lists.images))
        warn_of_images_beside(options.image_dir)
    counts = Counter(index for image in lists.images for index in image.classes)
    small = {folder: counts[index] for index, folder in enumerate(lists.folders) if counts[index] < FEW_IMAGES}
    for folder, count in itertools.islice(small.items(), MOST_WARNINGS):
        name = folder if options.image_dir is None or options.multi_label else os.path.join(options.image_dir, folder)
        has = counted(count, "image", "images")
        logger.warning("%s has only %s; with fewer than %d the result may be poor.", name, has, FEW_IMAGES)
    if len(small) > MOST_WARNINGS:
        logger.warning("%d more classes have fewer than %d images.", len(small) - MOST_WARNINGS, FEW_IMAGES)


def _check_splits(options: ImageOptions, lists: ImageLists) -> None:
    """Raise an error for classes without training images; warn of those without validation or testing images."""
    members = {split: {index for i in lists.images if i.split == split for index in i.classes} for split in SPLITS}
    untrained = _missing(lists.folders, members[TRAINING])
    if untrained:
        raise ImageFolderError(
            f"No training image is left in {listing(untrained)} of {options.image_dir or options.image_list}: the split sent all "
            "of them to validation and testing. Add images, or lower --testing_percentage and --validation_percentage."
        )
    for split, percentage in (("validation", options.validation_percentage), ("testing", options.testing_percentage)):
        missing = _missing(lists.folders, members[split]) if percentage else []
        if missing:
            logger.warning(
                "The %s set has no image of %s: add images of each class to have some in every set.", split, listing(missing)
            )


def _missing(folders: Sequence[str], present: set[int]) -> list[str]:
    return [folder for index, folder in enumerate(folders) if index not in present]
