"""Image folders: their classes, and the split into training, validation and testing sets. Loads no TensorFlow."""

import hashlib
import itertools
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from retrain.errors import ImageFolderError, shown
from retrain.options.images import ImageOptions

logger = logging.getLogger("retrain")

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
SPLITS = ("training", "validation", "testing")
FEW_IMAGES = 20
MOST_WARNINGS = 5  # Of one kind.
# The original hashes file names into this range; every split depends on the exact value.
MAX_IMAGES_PER_CLASS = 2**27 - 1


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image of the folder.

    Attributes:
        path: `os.path.join(image_dir, folder, file_name)`, exactly as built: the split depends on it.
        folder: the class folder's name.
        file_name: the file's name in it.
        class_index: index of the class's label.
        split: `training`, `validation` or `testing`.
    """

    path: str
    folder: str
    file_name: str
    class_index: int
    split: str


@dataclass(frozen=True)
class ImageLists:
    """Classes and images of a folder.

    Attributes:
        labels: the label of each class, in class order.
        folders: the class folders, in the same order.
        images: all images, class by class, sorted by file name.
    """

    labels: tuple[str, ...]
    folders: tuple[str, ...]
    images: tuple[LabelledImage, ...]

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the names of all images and their sets, in order."""
        lines = (f"{image.folder}/{image.file_name}\t{image.split}\n" for image in self.images)
        return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def indices(self, split: str) -> list[int]:
        """Return the indices in `images` of the images of one split."""
        return [i for i, image in enumerate(self.images) if image.split == split]


def create_image_lists(image_dir: str, testing_percentage: int, validation_percentage: int) -> ImageLists:
    """Find the classes and images below `image_dir`, and split them.

    Each direct sub-folder with images is a class; its index is its rank in sorted order. An empty one is skipped with a warning.

    Raises:
        ImageFolderError: the folder cannot be read, has fewer than two classes, two folders have the same label, or a class has
            no training image.
    """
    classes = {}
    folders, left_out = _folders_in(image_dir), dict[str, int]()
    for folder in (name for name in folders if not is_hidden(name)):
        path = os.path.join(image_dir, folder)
        names, below = _contents(path)
        deeper = _counts_in(path, below)
        if names:
            classes[folder] = names
            left_out.update(deeper)
        else:
            _warn_of_empty(path, deeper)
    _warn_of_hidden(image_dir, [name for name in folders if is_hidden(name)])
    _warn_of_deeper(left_out)
    _check_classes(image_dir, classes)
    labels = _labels(image_dir, classes)
    images = []
    for index, (folder, names) in enumerate(classes.items()):
        for name in names:
            path = os.path.join(image_dir, folder, name)
            split = which_split(path, testing_percentage, validation_percentage)
            images.append(LabelledImage(path, folder, name, index, split))
    lists = ImageLists(labels, tuple(classes), tuple(images))
    _check_splits(image_dir, lists, testing_percentage, validation_percentage)
    return lists


def report_failed(images: ImageLists, failed: Mapping[int, str], options: ImageOptions) -> None:
    """Warn of all images that cannot be decoded: `failed` has the reason of each by index.

    Raises:
        ImageFolderError: `strict` is on and there is one.
    """
    if not failed:
        return
    lines = [f"  {shown(images.images[index].path)}: {reason}" for index, reason in sorted(failed.items())]
    listing = "\n".join(lines)
    if options.strict:
        raise ImageFolderError(f"{len(lines)} images could not be decoded (--strict). Fix or remove them:\n{listing}")
    logger.warning("%d images could not be decoded and are skipped:\n%s", len(lines), listing)


def which_split(path: str, testing_percentage: int, validation_percentage: int) -> str:
    """Return the set an image belongs to: the original's rule, a hash of the path string, so that it never changes.

    Everything from the first `_nohash_` on is ignored: files that differ only there belong to the same set.
    """
    hashed = path.split("_nohash_", 1)[0].encode("utf-8", "surrogateescape")
    remainder = int(hashlib.sha1(hashed, usedforsecurity=False).hexdigest(), 16) % (MAX_IMAGES_PER_CLASS + 1)
    percentage = remainder * (100.0 / MAX_IMAGES_PER_CLASS)
    if percentage < validation_percentage:
        return "validation"
    return "testing" if percentage < testing_percentage + validation_percentage else "training"


def label_of(folder: str) -> str:
    """Return the label of a class folder: lower case, each run of characters outside `[a-z0-9]` replaced by one space."""
    return re.sub(r"[^a-z0-9]+", " ", folder.lower())


def _class_folders(image_dir: str) -> list[str]:
    return [name for name in _folders_in(image_dir) if not is_hidden(name)]


def _folders_in(image_dir: str) -> list[str]:
    try:
        with os.scandir(image_dir) as entries:
            return sorted(entry.name for entry in entries if os.path.isdir(entry.path))
    except OSError as error:
        raise ImageFolderError(
            f"--image_dir cannot be read: {image_dir} ({error.strerror}). Give a folder that holds one folder for each class."
        ) from error


def is_hidden(folder: str) -> bool:
    """Return True for the name of a folder that programs make for themselves, such as `.ipynb_checkpoints` or `__MACOSX`."""
    return folder.startswith(".") or folder == "__MACOSX"


def walk_visible(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder from `folder` on, sorted, with the names of its files. Hidden folders below it are left out."""
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield path, names


def _warn_of_hidden(image_dir: str, names: list[str]) -> None:
    if names:
        logger.warning("Hidden folders in %s are no classes and are left out: %s.", image_dir, _listing(names))


def _contents(folder: str) -> tuple[list[str], list[str]]:
    """Return the names of the images and of the folders in a folder, both sorted."""
    names, below = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.name)
                elif _is_image_name(entry.name) and _is_file(entry):
                    names.append(entry.name)
    except OSError as error:
        raise ImageFolderError(f"The class folder {folder} cannot be read ({error.strerror}).") from error
    return sorted(names), sorted(below)


def _counts_in(folder: str, below: Iterable[str]) -> dict[str, int]:
    """Return the number of images in each of the folders `below` a folder, at any depth, without those that have none."""
    visible = (os.path.join(folder, name) for name in below if not is_hidden(name))
    counts = {path: sum(map(_is_image_name, names)) for top in visible for path, names in walk_visible(top)}
    return {path: count for path, count in counts.items() if count}


def _is_image_name(name: str) -> bool:
    return name.lower().endswith(IMAGE_ENDINGS)


def _image_names(folder: str) -> list[str]:
    return _contents(folder)[0]


def _is_file(entry: "os.DirEntry[str]") -> bool:
    return entry.is_file(follow_symlinks=False) or (entry.is_symlink() and is_file_or_dead_link(entry.path))


def is_file_or_dead_link(path: str) -> bool:
    """Return True for a file, and for a broken link, which is reported as an image that cannot be read.

    Reading anything else, such as a device or a pipe, might never end.
    """
    return os.path.isfile(path) or (os.path.islink(path) and not os.path.exists(path))


def _warn_of_empty(folder: str, deeper: Mapping[str, int]) -> None:
    hint = f" There are images further down, in {next(iter(deeper))}." if deeper else ""
    logger.warning("No images in %s: the folder is skipped.%s", folder, hint)


def _warn_of_deeper(counts: Mapping[str, int]) -> None:
    """Warn of images below class folders that have images of their own: `counts` has their number by folder."""
    if counts:
        text = "%d images lie further down than in their class's folder and are not used: those in %s."
        logger.warning(text, sum(counts.values()), _listing(list(counts)))


def _sub_folders(folder: str) -> list[str]:
    return [os.path.join(folder, name) for name in _class_folders(folder)]


def _check_classes(image_dir: str, classes: dict[str, list[str]]) -> None:
    beside = len(_image_names(image_dir))
    if len(classes) < 2:
        raise ImageFolderError(_too_few_classes(image_dir, classes, beside))
    if beside:
        logger.warning("%d images lie directly in %s, in no class folder: they are not used.", beside, image_dir)
    small = {folder: len(names) for folder, names in classes.items() if len(names) < FEW_IMAGES}
    for folder, count in itertools.islice(small.items(), MOST_WARNINGS):
        path = os.path.join(image_dir, folder)
        logger.warning("%s has only %d images; with fewer than %d the result may be poor.", path, count, FEW_IMAGES)
    if len(small) > MOST_WARNINGS:
        logger.warning("%d more classes have fewer than %d images.", len(small) - MOST_WARNINGS, FEW_IMAGES)


def _too_few_classes(image_dir: str, classes: dict[str, list[str]], beside: int) -> str:
    found = f"one folder of images, {next(iter(classes))}" if classes else "no folder of images"
    if beside:
        found += ", and images beside the folders, where they belong to no class"
    endings = ", ".join(IMAGE_ENDINGS)
    text = (
        f"Training needs at least two classes. Found {found}, in {image_dir}. Put the images ({endings}) of each class "
        "into a folder of its own there."
    )
    for folder in _sub_folders(image_dir):
        if sum(bool(_image_names(path)) for path in _sub_folders(folder)) >= 2:
            return f"{text} There are folders of images in {folder}: perhaps that is the --image_dir you mean."
    for folder in _sub_folders(image_dir):
        if folder_below := next(iter(_counts_in(folder, _contents(folder)[1])), None):
            return f"{text} There are images further down, in {folder_below}: they must lie in the class's folder itself."
    return text


def _labels(image_dir: str, folders: Iterable[str]) -> tuple[str, ...]:
    owner: dict[str, str] = {}
    for folder in folders:
        label = label_of(folder)
        if label in owner:
            raise ImageFolderError(
                f'The folders {owner[label]!r} and {folder!r} in {image_dir} both give the label "{label}". Rename one, or '
                "merge them."
            )
        owner[label] = folder
    return tuple(owner)


def _check_splits(image_dir: str, lists: ImageLists, testing_percentage: int, validation_percentage: int) -> None:
    """Raise an error for classes without training images; warn of those without validation or testing images."""
    members = {split: {i.class_index for i in lists.images if i.split == split} for split in SPLITS}
    untrained = _missing(lists.folders, members["training"])
    if untrained:
        raise ImageFolderError(
            f"No training image is left in {_listing(untrained)} of {image_dir}: the split sent all of them to validation "
            "and testing. Add images, or lower --testing_percentage and --validation_percentage."
        )
    for split, percentage in (("validation", validation_percentage), ("testing", testing_percentage)):
        missing = _missing(lists.folders, members[split]) if percentage else []
        if missing:
            logger.warning("The %s set has no image of %s: add images to measure them.", split, _listing(missing))


def _missing(folders: Sequence[str], present: set[int]) -> list[str]:
    return [folder for index, folder in enumerate(folders) if index not in present]


def _listing(names: list[str], most: int = MOST_WARNINGS) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
