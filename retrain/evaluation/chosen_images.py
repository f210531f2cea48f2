"""The images of a set, by the record of the split that travels with a classifier: whatever the path of their folder is."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from retrain.data.image_lists import ImageLists, LabelledImage
from retrain.data.split_record import file_digests, find_split
from retrain.errors import FlagError, counted, listing, shown
from retrain.graphdef.description import Description
from retrain.options.images import TRAINING

logger = logging.getLogger("retrain")

ALL = "all"


@dataclass(frozen=True)
class KnownSets:
    """The sets that images had in the training of a classifier.

    Attributes:
        sets: the sets of each image and its copies; none for one that took no part, or of which it is not known.
        is_complete: True if all sets are known; False if only the training set is, and that with rare false positives.
    """

    sets: tuple[frozenset[str], ...]
    is_complete: bool


@dataclass(frozen=True)
class Chosen:
    """The images to evaluate.

    Attributes:
        images: of the set that was asked for.
        n_trained: how many of them the classifier was trained on; None if that is not known.
        n_left_out: how many were left out, since it was trained on them.
        n_unknown: how many others are in no set of the training, and were not asked for.
    """

    images: list[LabelledImage]
    n_trained: int | None = None
    n_left_out: int = 0
    n_unknown: int = 0


def known_sets(model_path: str, about: Description, images: Sequence[LabelledImage]) -> KnownSets | None:
    """Return the sets of images, by their content: from the record beside the model, else from its metadata.

    None if the model has no record of its training.
    """
    if about.training_photos is None:
        return None
    digests = list(file_digests({index: image.path for index, image in enumerate(images)}).values())
    if record := find_split(model_path, about.split_digest):
        return KnownSets(tuple(record.sets.get(digest, frozenset()) for digest in digests), is_complete=True)
    nobody = "0" * 64
    trained_on = about.training_photos.contains([digest or nobody for digest in digests])
    return KnownSets(tuple(frozenset([TRAINING] if each else []) for each in trained_on), is_complete=False)


def choose_images(lists: ImageLists, split: str, known: KnownSets | None, with_trained: bool) -> Chosen:
    """Choose the images to evaluate, and log what is to be known about them.

    Args:
        lists: all images, with the sets that their paths or a table give them.
        split: the set that is wanted, or `all`.
        known: the sets of the images in training.
        with_trained: keep images that the classifier was trained on.

    Raises:
        FlagError: all images of the set were trained on.
    """
    if known is None:
        if split != ALL and not lists.has_sets:
            logger.warning(
                "The model has no record of the photos that it was trained on. The images of the %s set are the same as in its "
                "training only if --image_dir and the percentages are typed as they were then.",
                split,
            )
        return Chosen([image for image in lists.images if split in (ALL, image.split)])
    wanted, n_unknown = _wanted(lists, split, known)
    trained = [index for index in wanted if TRAINING in known.sets[index]]
    if split == TRAINING or with_trained or not trained:
        if trained:
            text = "Of %s, the model was trained on %d: accuracy on such images says nothing about new ones."
            logger.warning(text, counted(len(wanted), "image", "images"), len(trained))
        return Chosen([lists.images[index] for index in wanted], len(trained), 0, n_unknown)
    if len(trained) == len(wanted):
        them = "it" if len(wanted) == 1 else "all of them"
        raise FlagError(
            f"--split {split} has {counted(len(wanted), 'image', 'images')}, and the model was trained on {them}: accuracy on "
            "such images says nothing about new ones. Give other images by --image_dir or --image_list, or add --trained_images."
        )
    names = listing([shown(lists.images[index].path) for index in trained])
    text = "%s left out, since the model was trained on %s: %s. Add --trained_images to evaluate %s too."
    it = "it" if len(trained) == 1 else "them"
    logger.warning(text, counted(len(trained), "image is", "images are"), it, names, it)
    chosen = set(trained)
    return Chosen([lists.images[index] for index in wanted if index not in chosen], 0, len(trained), n_unknown)


def _wanted(lists: ImageLists, split: str, known: KnownSets) -> tuple[list[int], int]:
    """Return the indices of the images of a set, those that were trained on included; and how many images are in no set."""
    everything = range(len(lists.images))
    if split == ALL:
        return list(everything), 0
    if lists.has_sets:
        return [index for index in everything if lists.images[index].split == split], 0
    if split != TRAINING and everything and not any(known.sets):
        logger.info(
            "None of the %d images is identical to one of the training: all of them are evaluated. Copies that were resized or "
            "saved again are not recognised.",
            len(everything),
        )
        return list(everything), 0
    if known.is_complete:
        n_unknown = sum(not each for each in known.sets)
        if n_unknown:
            text = "Of %s, %s in no set of the training, and left out. Add --split all to evaluate all of them."
            logger.warning(text, counted(len(everything), "image", "images"), counted(n_unknown, "is", "are"))
        return [index for index in everything if split in known.sets[index]], n_unknown
    if split == TRAINING:
        return [index for index in everything if TRAINING in known.sets[index]], 0
    logger.warning(
        "No record of the split that fits the model is beside it: all images that it was not trained on are evaluated, those of "
        "the validation set too."
    )
    return [index for index in everything if TRAINING not in known.sets[index]], 0
