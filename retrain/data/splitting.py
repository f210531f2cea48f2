"""The split of images into training, validation and testing sets."""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence

from retrain.data.photos import Photo, content_digest
from retrain.options.images import BY_CONTENT, BY_PATH, TESTING, TRAINING, VALIDATION, ImageOptions

# The original hashes file names into this range; every split depends on the exact value.
MAX_IMAGES_PER_CLASS = 2**27 - 1
NOHASH = "_nohash_"


def which_split(path: str, testing_percentage: int, validation_percentage: int) -> str:
    """Return the set an image belongs to: the original's rule, a hash of the path string, so that it never changes.

    Everything from the first `_nohash_` on is ignored: files that differ only there belong to the same set.
    """
    hashed = path.split(NOHASH, 1)[0].encode("utf-8", "surrogateescape")
    remainder = int(hashlib.sha1(hashed, usedforsecurity=False).hexdigest(), 16) % (MAX_IMAGES_PER_CLASS + 1)
    percentage = remainder * (100.0 / MAX_IMAGES_PER_CLASS)
    if percentage < validation_percentage:
        return VALIDATION
    return TESTING if percentage < testing_percentage + validation_percentage else TRAINING


def splits_of(photos: Sequence[Photo], options: ImageOptions) -> list[str]:
    """Return the set of each photo: the one that a list gives it, else that of the rule `--split_by`.

    `path` is the original's rule. The others keep photos together, those with the same content or of the same group, and then see
    to it that each class has a photo in each set, if it has photos enough that need not stay together.
    """
    percentages = options.testing_percentage, options.validation_percentage
    if options.split_by == BY_PATH:
        return [photo.split or which_split(photo.hashed, *percentages) for photo in photos]
    keys = [content_digest(photo) if options.split_by == BY_CONTENT else _group(photo) for photo in photos]
    given = {key: photo.split for key, photo in zip(keys, photos, strict=True) if photo.split}
    splits = given | {key: which_split(key, *percentages) for key in keys if key not in given}
    wanted = [TRAINING, *([VALIDATION] if percentages[1] else []), *([TESTING] if percentages[0] else [])]
    labels: dict[str, set[str]] = defaultdict(set)
    for key, photo in zip(keys, photos, strict=True):
        labels[key].update(photo.labels)
    _fill_empty_sets(splits, labels, wanted, frozenset(given))
    return [photo.split or splits[key] for key, photo in zip(keys, photos, strict=True)]


def _group(photo: Photo) -> str:
    return photo.group or photo.hashed.split(NOHASH, 1)[0]


def _fill_empty_sets(
    splits: dict[str, str], labels: Mapping[str, set[str]], wanted: Sequence[str], fixed: frozenset[str]
) -> None:
    """Move photos that stay together, by their key, such that each class has some in each set that is wanted, where it can be."""
    of_class = defaultdict(list)
    for key in sorted(splits, key=lambda each: hashlib.sha256(each.encode("utf-8", "surrogateescape")).digest()):
        for label in labels[key]:
            of_class[label].append(key)

    def count(label: str, split: str) -> int:
        return sum(splits[key] == split for key in of_class[label])

    for label in sorted(of_class):
        if len(of_class[label]) < len(wanted):
            continue
        for empty in (split for split in wanted if not count(label, split)):
            donors = [
                key for key in of_class[label] if key not in fixed and all(count(each, splits[key]) > 1 for each in labels[key])
            ]
            if donors:  # From the largest set of the class; the first by its hash.
                largest = max(count(label, splits[key]) for key in donors)
                splits[next(key for key in donors if count(label, splits[key]) == largest)] = empty
