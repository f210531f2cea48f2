"""Image folders: the classes in them, their images, and what is left out. Loads no TensorFlow."""

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from retrain.data.endings import ENDINGS, HEIF_ENDINGS, ORIGINAL_ENDINGS, is_image_name, is_unnamed_image, reads_heif
from retrain.data.labels import folder_label
from retrain.data.photos import Photo
from retrain.errors import ImageFolderError, counted, listing, shown

logger = logging.getLogger("retrain")


@dataclass
class _LeftOut:
    """Images that are not used.

    Attributes:
        deeper: number of images by folder, of those below class folders that have images of their own.
        other_endings: number of images by ending, of those with an ending that is not used.
        unnamed: paths of images whose names have no ending of an image.
    """

    deeper: dict[str, int] = field(default_factory=dict)
    other_endings: Counter[str] = field(default_factory=Counter)
    unnamed: list[str] = field(default_factory=list)


def read_folder(image_dir: str, label_names: str, endings: tuple[str, ...]) -> list[Photo]:
    """Find the images below `image_dir`, class by class, sorted by name. Each direct sub-folder with images is a class.

    An empty folder is skipped with a warning, and what is left out is counted.

    Args:
        image_dir: the folder, as it was typed: the split depends on it.
        label_names: rule for the labels, one of `options.images.LABEL_NAMES`.
        endings: of the images that are used.

    Raises:
        ImageFolderError: a folder cannot be read, or its name cannot be a label.
    """
    folders, classes, left_out = _folders_in(image_dir), dict[str, list[str]](), _LeftOut()
    for folder in (name for name in folders if not is_hidden(name)):
        path = os.path.join(image_dir, folder)
        names, others, below = _contents(path, endings)
        left_out.other_endings.update(_ending(name) for name in others if is_image_name(name))
        left_out.unnamed.extend(os.path.join(path, name) for name in others if not is_image_name(name))
        deeper = _counts_in(path, below)
        if names:
            classes[folder] = names
            left_out.deeper.update(deeper)
        else:
            _warn_of_empty(path, deeper, others)
    _warn_of_hidden(image_dir, [name for name in folders if is_hidden(name)])
    _warn_of_left_out(left_out)
    labels = {folder: folder_label(folder, label_names) for folder in classes}
    return [
        Photo(path, path, folder, name, (labels[folder],))
        for folder, names in classes.items()
        for name, path in ((name, os.path.join(image_dir, folder, name)) for name in names)
    ]


def is_hidden(folder: str) -> bool:
    """Return True for the name of a folder that programs make for themselves, such as `.ipynb_checkpoints` or `__MACOSX`."""
    return folder.startswith(".") or folder == "__MACOSX"


def walk_visible(folder: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each folder from `folder` on, sorted, with the names of its files. Hidden folders below it are left out."""
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield path, names


def is_file_or_dead_link(path: str) -> bool:
    """Return True for a file, and for a broken link, which is reported as an image that cannot be read.

    Reading anything else, such as a device or a pipe, might never end.
    """
    return os.path.isfile(path) or (os.path.islink(path) and not os.path.exists(path))


def warn_of_images_beside(image_dir: str) -> None:
    """Warn of images that lie in `image_dir` itself."""
    if beside := _n_images(image_dir):
        they = "it is" if beside == 1 else "they are"
        count = counted(beside, "image lies", "images lie")
        logger.warning("%s directly in %s, in no class folder: %s not used.", count, image_dir, they)


def too_few_classes(image_dir: str, folders: Iterable[str]) -> str:
    """Return the error for a folder with no class or one, `folders`; it says where the images may be instead."""
    first = next(iter(folders), None)
    found = f"one folder of images, {first}" if first else "no folder of images"
    if beside := _n_images(image_dir):
        found += f", but {counted(beside, 'image', 'images')} in no folder"
    endings = ", ".join(ORIGINAL_ENDINGS)
    text = f"Training needs at least two classes. In {image_dir}, there is {found}."
    parent = os.path.dirname(os.path.abspath(image_dir))
    if not first and beside and _n_classes(parent) >= 2:
        return f"{text} There are folders of images in {parent}: perhaps that is the --image_dir you mean."
    text += f" Put the images ({endings}) of each class into a folder of its own there."
    for folder in _sub_folders(image_dir):
        if _n_classes(folder) >= 2:
            return f"{text} There are folders of images in {folder}: perhaps that is the --image_dir you mean."
    for folder in _sub_folders(image_dir):
        if folder_below := next(iter(_counts_in(folder, _contents(folder)[2])), None):
            return f"{text} There are images further down, in {folder_below}: they must lie in the class's folder itself."
    return text


def check_level(image_dir: str, counts: Mapping[str, int]) -> None:
    """Check that no class folder holds classes itself, as it does if `image_dir` is one level too high.

    Args:
        image_dir: the folder.
        counts: number of images by class folder.

    Raises:
        ImageFolderError: a class folder has two or more folders of images.
    """
    for folder in counts:
        path = os.path.join(image_dir, folder)
        inner = [os.path.basename(each) for each in _sub_folders(path) if _n_images(each)]
        if len(inner) >= 2:
            classes = listing([f"{shown(name)} ({count} image{'s' * (count > 1)})" for name, count in counts.items()])
            names = listing([shown(name) for name in inner])
            raise ImageFolderError(
                f"--image_dir {image_dir} may be one level too high. Its classes would be {classes}, but there are folders of "
                f"images in {shown(path)}: {names}. If these are classes, give --image_dir {shown(path)}. "
                f"If {shown(folder)} is one class, move their images into {shown(path)} itself."
            )


def _folders_in(image_dir: str) -> list[str]:
    try:
        with os.scandir(image_dir) as entries:
            return sorted(entry.name for entry in entries if os.path.isdir(entry.path))
    except OSError as error:
        raise ImageFolderError(
            f"--image_dir cannot be read: {image_dir} ({error.strerror}). Give a folder that holds one folder for each class."
        ) from error


def _sub_folders(folder: str) -> list[str]:
    return [os.path.join(folder, name) for name in _folders_in(folder) if not is_hidden(name)]


def _contents(folder: str, endings: tuple[str, ...] = ENDINGS) -> tuple[list[str], list[str], list[str]]:
    """Return the sorted names in a folder: images with one of the endings, other images, and folders."""
    names, others, below = [], [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    below.append(entry.name)
                elif is_image_name(entry.name, endings) and _is_file(entry):
                    names.append(entry.name)
                elif _is_file(entry) and (is_image_name(entry.name) or is_unnamed_image(entry.path)):
                    others.append(entry.name)
    except OSError as error:
        raise ImageFolderError(f"The class folder {folder} cannot be read ({error.strerror}).") from error
    return sorted(names), sorted(others), sorted(below)


def _n_images(folder: str) -> int:
    return len(_contents(folder)[0])


def _n_classes(folder: str) -> int:
    """Return the number of folders of images in a folder; 0 if it cannot be read."""
    try:
        return sum(bool(_n_images(path)) for path in _sub_folders(folder))
    except ImageFolderError:
        return 0


def _counts_in(folder: str, below: Iterable[str]) -> dict[str, int]:
    """Return the number of images in each of the folders `below` a folder, at any depth, without those that have none."""
    visible = (os.path.join(folder, name) for name in below if not is_hidden(name))
    counts = {path: sum(map(is_image_name, names)) for top in visible for path, names in walk_visible(top)}
    return {path: count for path, count in counts.items() if count}


def _is_file(entry: "os.DirEntry[str]") -> bool:
    return entry.is_file(follow_symlinks=False) or (entry.is_symlink() and is_file_or_dead_link(entry.path))


def _ending(name: str) -> str:
    return os.path.splitext(name)[1].lower()


def _warn_of_hidden(image_dir: str, names: list[str]) -> None:
    if names:
        logger.warning("Hidden folders in %s are no classes and are left out: %s.", image_dir, listing(names))


def _warn_of_empty(folder: str, deeper: Mapping[str, int], others: list[str]) -> None:
    hint = f" There are images further down, in {next(iter(deeper))}." if deeper else ""
    if others:
        hint = f" It has {counted(len(others), 'image of another kind', 'images of other kinds')}."
    logger.warning("No images in %s: the folder is skipped.%s", folder, hint)


def _warn_of_left_out(left_out: _LeftOut) -> None:
    if left_out.deeper:
        n_deeper, folders = sum(left_out.deeper.values()), listing(list(left_out.deeper))
        lie = counted(n_deeper, "image lies", "images lie")
        are = "it is" if n_deeper == 1 else "they are"
        logger.warning("%s in a folder within a class's folder, where %s not used: %s.", lie, are, folders)
    unread = () if reads_heif() else HEIF_ENDINGS
    heif = Counter({ending: count for ending, count in left_out.other_endings.items() if ending in unread})
    if other := left_out.other_endings - heif:
        text = "Images that are not used, as the original would not use them: %s. Add --all_images to use them."
        logger.warning(text, _counts(other))
    if heif:
        logger.warning("Images that are not used: %s. Install the package that reads them: pip install '.[heif]'", _counts(heif))
    if left_out.unnamed:
        count = counted(len(left_out.unnamed), "image is", "images are")
        logger.warning("%s not used for want of an ending such as .jpg in the name: %s.", count, listing(left_out.unnamed))


def _counts(by_ending: Counter[str]) -> str:
    return ", ".join(f"{count} {ending}" for ending, count in sorted(by_ending.items()))
