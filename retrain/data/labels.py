"""Labels of class folders."""

import logging
import re
import unicodedata
from collections.abc import Collection, Mapping

from retrain.errors import ImageFolderError, listing, shown
from retrain.options.images import FOLDER_NAMES, ORIGINAL_NAMES

logger = logging.getLogger("retrain")

UNPRINTABLE = ("Cc", "Cs")  # Unicode's categories of control characters, and of bytes that are no text.


def label_of(folder: str) -> str:
    """Return the original's label of a class folder: lower case, each run of characters outside `[a-z0-9]` one space.

    Unlike the original's, it has no blank at its ends, unless there is nothing else.
    """
    return re.sub(r"[^a-z0-9]+", " ", folder.lower()).strip() or " "


def plain_label(name: str) -> str:
    """Return a name in Unicode's composed form (NFC), without blanks at its ends: names that look the same are the same.

    Raises:
        ImageFolderError: it is blank, or has characters that cannot be printed, or bytes that are no text.
    """
    label = unicodedata.normalize("NFC", name).strip()
    if not label or any(unicodedata.category(each) in UNPRINTABLE for each in label):
        raise ImageFolderError(
            f"The name {shown(name)} cannot be a label, since it is blank or not all of its characters can be printed. Rename "
            f"it, or add --label_names {ORIGINAL_NAMES}."
        )
    return label


def folder_label(folder: str, label_names: str) -> str:
    """Return the label of a class folder by a rule, one of `options.images.LABEL_NAMES`.

    Raises:
        ImageFolderError: the rule is the folder's name, and that cannot be a label.
    """
    return plain_label(folder) if label_names == FOLDER_NAMES else label_of(folder)


def check_labels(labels: Mapping[str, str], label_names: str, image_dir: str) -> None:
    """Check the labels of the class folders in `image_dir`, by folder; warn of letters that the original's rule drops.

    Raises:
        ImageFolderError: two folders have the same label.
    """
    owner: dict[str, str] = {}
    for folder, label in labels.items():
        if label in owner:
            advice = "" if label_names == FOLDER_NAMES else f", or add --label_names {FOLDER_NAMES}"
            raise ImageFolderError(
                f'The folders {owner[label]!r} and {folder!r} in {image_dir} both give the label "{label}". Rename one, or '
                f"merge them{advice}."
            )
        owner[label] = folder
    lost = [f'{shown(folder)} ("{label}")' for folder, label in labels.items() if any(map(_is_lost, folder))]
    if lost and label_names == ORIGINAL_NAMES:
        text = "Labels hold the letters a to z and digits alone, as the original's. Others are lost in %s. Add --label_names %s."
        logger.warning(text, listing(lost), FOLDER_NAMES)


def _is_lost(character: str) -> bool:
    """Return True for letters, marks and digits that the original's rule drops."""
    return not character.isascii() and unicodedata.category(character)[0] in "LMN"


def matching_label(name: str, labels: Collection[str]) -> str | None:
    """Return the label of a trained graph that a class folder means, whatever rule and whatever spelling it was made with."""
    spellings = [unicodedata.normalize(form, name) for form in ("NFC", "NFD")]
    candidates = (name, *spellings, *(each.strip() for each in spellings), label_of(name), *map(label_of, spellings))
    known = {label.strip() or label: label for label in labels}  # The original's labels may end with a blank.
    return next((known[each] for each in candidates if each in known), None)
