"""The images of a set, by the record of the split that travels with a classifier: whatever the path of their folder is."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from retrain.data.image_lists import ImageLists, LabelledImage
from retrain.data.split_record import file_digests, find_split
from retrain.errors import FlagError, listing, shown
from retrain.graphdef.description import Description
from retrain.options.images import TRAINING

logger = logging.getLogger("retrain")

ALL = "all"


@dataclass(frozen=True)
class KnownSets:
    """The sets that images had in the training of a classifier.

    Attributes:
        sets: of each image; empty for one that took no part, or of which it is not known.
        is_complete: True if all sets are known; False if only the training set is, and that with rare false positives.
    """

    sets: tuple[str, ...]
    is_complete: bool


def known_sets(model_path: str, about: Description, images: Sequence[LabelledImage]) -> KnownSets | None:
    """Return the sets of images, by their content: from the record beside the model, else from its metadata.

    None if the model has no record of its training.
    """
    if about.training_photos is None:
        return None
    digests = list(file_digests({index: image.path for index, image in enumerate(images)}).values())
    if record := find_split(model_path, about.split_digest):
        return KnownSets(tuple(record.sets.get(digest, "") for digest in digests), is_complete=True)
    nobody = "0" * 64
    trained_on = about.training_photos.contains([digest or nobody for digest in digests])
    return KnownSets(tuple(TRAINING if each else "" for each in trained_on), is_complete=False)


def choose_images(lists: ImageLists, split: str, known: KnownSets | None, with_trained: bool) -> list[LabelledImage]:
    """Return the images to evaluate, and log what is to be known about them.

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
                "The model has no record of the photos that it was trained on. The %s set is that of training only if "
                "--image_dir is typed as there, and the percentages are the same.",
                split,
            )
        return [image for image in lists.images if split in (ALL, image.split)]
    wanted = _wanted(lists, split, known)
    trained = [index for index in wanted if known.sets[index] == TRAINING]
    if split == TRAINING or not trained:
        return [lists.images[index] for index in wanted]
    if with_trained:
        logger.warning(
            "%d of the %d images were trained on: accuracy on them says nothing about new ones.", len(trained), len(wanted)
        )
        return [lists.images[index] for index in wanted]
    if len(trained) == len(wanted):
        raise FlagError(
            f"--split {split}: the model was trained on all of its {len(wanted)} images, and accuracy on them says nothing about "
            "new ones. Give other images, or add --trained_images to evaluate these all the same."
        )
    names = listing([shown(lists.images[index].path) for index in trained])
    text = "%d images are left out, since the model was trained on them: %s. Add --trained_images to evaluate them too."
    logger.warning(text, len(trained), names)
    chosen = set(trained)
    return [lists.images[index] for index in wanted if index not in chosen]


def _wanted(lists: ImageLists, split: str, known: KnownSets) -> list[int]:
    """Return the indices of the images of a set, those that were trained on included."""
    everything = range(len(lists.images))
    if split == ALL:
        return list(everything)
    if lists.has_sets:
        return [index for index in everything if lists.images[index].split == split]
    if split != TRAINING and not any(known.sets):
        logger.info("None of the %d images took part in the training: all of them are evaluated.", len(everything))
        return list(everything)
    if known.is_complete:
        return [index for index in everything if known.sets[index] == split]
    if split == TRAINING:
        return [index for index in everything if known.sets[index] == TRAINING]
    logger.warning(
        "The record of the split is not beside the model: all images that it was not trained on are evaluated, of the validation "
        "set and the testing set."
    )
    return [index for index in everything if known.sets[index] != TRAINING]
