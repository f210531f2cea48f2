"""Labelling from Python: `label_image.load(path).predict(photo)`."""

# mypy: disable-error-code="overload-overlap"
# Of `predict`: a text is an iterable of texts too, and an iterator is an iterable. The first one that fits is meant.

import dataclasses
import logging
import os
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt
import PIL.Image

from label_image.classify import Classification, classify_each
from label_image.config import ClassifierOptions
from label_image.opening import Classifier, open_classifier
from label_image.scoring import Images, Scorer
from retrain.data.sources import ImageSource
from retrain.errors import ImageError, shown
from retrain.options.from_python import check_names, with_documented_options

logger = logging.getLogger("retrain")

StrPath: TypeAlias = "str | os.PathLike[str]"
# A file, an encoded image, an image of Pillow's, or the pixels: uint8 [H, W, 3], red, green, blue.
ImageInput: TypeAlias = "StrPath | bytes | bytearray | memoryview | PIL.Image.Image | npt.NDArray[np.uint8]"
RAISE, NONE = "raise", "none"
Raise: TypeAlias = Literal["raise"]
OrNone: TypeAlias = Literal["none"]


@with_documented_options(ClassifierOptions)
def load(path: StrPath, **options: Any) -> "ImageClassifier":
    """Load a trained classifier.

    Args:
        path: of a frozen graph, a SavedModel's folder, or a .keras, .h5, .tflite or .onnx file: what `--graph` takes.
        options: the flags of `python -m label_image` that concern the classifier, by name, such as `labels` and `input_mean`;
            all of them are below.

    Raises:
        TypeError: there is no such option.
        FlagError: the value of an option is not allowed.
        GraphError: the file is missing, damaged or needs a package; or its input, its output or its labels are not known.
    """
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"load() takes the path of a model. Got {shown(repr(path)[:60])}.")
    check_names("load", ClassifierOptions, options)
    opened = os.path.expanduser(os.fspath(path))
    return ImageClassifier(opened, open_classifier(opened, ClassifierOptions(**options)))


@dataclasses.dataclass(frozen=True)
class _Failure:
    """An image that cannot be labelled: its path, if it is a file, and the reason."""

    path: str | None
    reason: str


class ImageClassifier:
    """Trained classifier. Any number of threads may use it at once.

    The network is loaded by the first call of `predict`.

    Attributes:
        path: of the model.
    """

    def __init__(self, path: str, classifier: Classifier) -> None:
        """Store an opened classifier; use `load` to open one."""
        self.path = path
        self._scorer = Scorer(classifier)

    def __repr__(self) -> str:
        size = f"{self.input_size[0]} × {self.input_size[1]} pixels" if self.input_size else "files"
        return f"<{type(self).__name__} {shown(self.path)}: {len(self.labels)} labels, input {size}>"

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order of the network's outputs."""
        return self._scorer.classifier.description.labels

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width of the network's input, in pixels; None if it takes files and decodes them itself."""
        opened = self._scorer.classifier
        return None if opened.file_network else (opened.description.input_height, opened.description.input_width)

    @overload
    def predict(self, x: ImageInput, top_k: int = 5, *, on_error: Raise = "raise") -> Classification: ...
    @overload
    def predict(self, x: ImageInput, top_k: int = 5, *, on_error: OrNone) -> Classification | None: ...
    @overload
    def predict(self, x: Iterator[ImageInput], top_k: int = 5, *, on_error: Raise = "raise") -> Iterator[Classification]: ...
    @overload
    def predict(self, x: Iterator[ImageInput], top_k: int = 5, *, on_error: OrNone) -> Iterator[Classification | None]: ...
    @overload
    def predict(self, x: Iterable[ImageInput], top_k: int = 5, *, on_error: Raise = "raise") -> list[Classification]: ...
    @overload
    def predict(self, x: Iterable[ImageInput], top_k: int = 5, *, on_error: OrNone) -> list[Classification | None]: ...

    def predict(self, x: Any, top_k: int = 5, *, on_error: str = RAISE) -> Any:
        """Label an image, or several.

        Args:
            x: an image: the path of a file, the content of one (bytes), an image of Pillow's, or pixels, uint8 [H, W, 3] of red,
                green and blue. Or a list of images, or an iterator of images.
            top_k: number of labels for each image; all of them if there are fewer.
            on_error: `raise` raises the error of an image that cannot be decoded; `none` returns None in its place, with a
                warning.

        Returns:
            The labels of an image; of a list, a list of them. Of an iterator, an iterator of them, which draws images as it is
            read, several batches ahead.

        Raises:
            ImageError: an image cannot be read or decoded; the message names its path, or its index.
            TypeError, ValueError: `x` is none of these; an array has another type or shape; another argument is wrong.
            GraphError: the labels do not fit the network, or it does not run.
        """
        if not isinstance(top_k, int | np.integer) or top_k < 1:
            raise ValueError(f"top_k must be an integer of at least 1. Got {top_k!r}.")
        if on_error not in (RAISE, NONE):
            raise ValueError(f"on_error must be {RAISE!r} or {NONE!r}. Got {on_error!r}.")
        if _is_one_image(x) or not isinstance(x, Iterable):
            [found] = self._each([_checked(x)], 1, top_k)
            return _answer(found, None, on_error)
        if isinstance(x, Iterator):
            return self._answers(self._each((_checked(image, i) for i, image in enumerate(x)), None, top_k), on_error)
        images = [_checked(image, index) for index, image in enumerate(x)]
        return list(self._answers(self._each(images, len(images), top_k), on_error))

    def _answers(self, found: "Iterator[Classification | _Failure]", on_error: str) -> Iterator[Classification | None]:
        for index, each in enumerate(found):
            yield _answer(each, index, on_error)

    def _each(self, sources: Iterable[ImageSource], count: int | None, top_k: int) -> "Iterator[Classification | _Failure]":
        """Yield what becomes of each image, in their order. An error of the iterator is raised after the images before it."""
        raised: list[Exception] = []

        def drawn() -> Iterator[ImageSource]:
            try:
                yield from sources
            except Exception as error:  # noqa: BLE001 - It is the caller's own, and raised below.
                raised.append(error)

        images = Images(drawn(), count)
        expected = 0
        for index, answer in classify_each(self._scorer, images, top_k):
            for failed in range(expected, index):
                yield _Failure(images.paths.pop(failed, None), images.failed.pop(failed))
            images.paths.pop(index, None)
            expected = index + 1
            yield answer
        for failed in sorted(images.failed):
            yield _Failure(images.paths.pop(failed, None), images.failed.pop(failed))
        if raised:
            raise raised[0]


def _answer(found: Classification | _Failure, index: int | None, on_error: str) -> Classification | None:
    if isinstance(found, Classification):
        return found
    text = f"{shown(found.path) if found.path else _name(index)} cannot be labelled: {found.reason}"
    if on_error == RAISE:
        raise ImageError(text)
    logger.warning("%s", text)
    return None


def _name(index: int | None) -> str:
    return "The image" if index is None else f"The image at index {index}"


def _is_one_image(x: Any) -> bool:
    """Return True for an image, and for what can only be meant as one."""
    return (
        isinstance(x, str | bytes | bytearray | memoryview | os.PathLike | PIL.Image.Image)
        or hasattr(x, "__array__")
        or hasattr(x, "read")
    )


def _checked(x: Any, index: int | None = None) -> ImageSource:
    """Return an image as the loader takes it. Raises TypeError or ValueError."""
    if isinstance(x, str | os.PathLike):
        return os.path.expanduser(os.fsdecode(x))
    if isinstance(x, bytes | bytearray | memoryview):
        return bytes(x)
    if isinstance(x, PIL.Image.Image):
        return x
    expected = "a path, bytes, an image of Pillow's, or an array, uint8 [height, width, 3] of red, green and blue"
    if not isinstance(x, np.ndarray):
        advice = ": read it first, file.read()" if hasattr(x, "read") else ""
        raise TypeError(f"{_name(index)} must be {expected}. Got {type(x).__name__}{advice}.")
    got = f"Got {x.dtype} {list(x.shape)}."
    if x.dtype != np.uint8:
        raise TypeError(f"{_name(index)} must be {expected}. {got}")
    if x.ndim != 3 or x.shape[2] != 3 or not x.size:
        several = " For several images, use list(array)." if x.ndim == 4 else ""
        raise ValueError(f"{_name(index)} must be {expected}. {got}{several}")
    return x
