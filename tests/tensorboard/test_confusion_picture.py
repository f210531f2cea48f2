"""The confusion matrix as a picture, checked by its pixels."""

import numpy as np
import PIL.Image
import pytest

from retrain.evaluation.metrics import Evaluation, evaluate
from retrain.tensorboard.confusion_picture import CELL, DARKEST, LARGEST_CELL, MARGIN, confusion_picture, most_confused

WHITE = (255, 255, 255)


def measures_of(pairs: list[tuple[int, int]], n_classes: int) -> Evaluation:
    """Return the measures of images with these classes and predictions."""
    classes, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    return evaluate(np.eye(n_classes, dtype=np.float32)[predicted], classes)


def cell_colours(image: PIL.Image.Image, rows: int, columns: int, cell: int) -> list[list[tuple[int, ...]]]:
    """Return the colour near the corner of each cell, where no number is."""
    right, bottom = image.width - MARGIN, image.height - MARGIN
    return [
        [
            tuple(np.asarray(image)[bottom - cell * (rows - row) + 5, right - cell * (columns - column) + 5].tolist())
            for column in range(columns)
        ]
        for row in range(rows)
    ]


def test_the_shade_is_the_share_of_the_row() -> None:
    # 3 of 3 images of the first class are correct; of the second class one of four.
    image = confusion_picture(["a class", "b class"], measures_of([(0, 0)] * 3 + [(1, 1)] + [(1, 0)] * 3, 2))
    [[first, nothing], [wrong, right]] = cell_colours(_without_margin(image, 2), 2, 2, LARGEST_CELL)
    assert first == DARKEST and nothing == WHITE
    assert sum(DARKEST) < sum(wrong) < sum(right) < sum(WHITE)


def _without_margin(image: PIL.Image.Image, columns: int) -> PIL.Image.Image:
    """Return the picture without what is right of the cells, where a long title has room."""
    pixels = np.asarray(image)
    line = pixels[image.height - MARGIN - 5]  # Through the last row of cells.
    last = int(np.flatnonzero((line != 255).any(axis=1))[-1])
    return image.crop((0, 0, last + MARGIN, image.height))


def test_of_many_classes_the_most_confused_are_shown() -> None:
    n_classes = 500
    pairs = [(each, each) for each in range(n_classes)] + [(400 + each, 401 + each) for each in range(29)]
    measures = measures_of(pairs, n_classes)
    assert most_confused(measures.confusion) == list(range(400, 430))
    image = confusion_picture([f"class {each}" for each in range(n_classes)], measures)
    assert 31 * CELL < image.width < 31 * CELL + 200 and 30 * CELL < image.height < 30 * CELL + 250


def test_a_class_without_images_is_white() -> None:
    image = _without_margin(confusion_picture(["a", "b", "c"], measures_of([(0, 0), (1, 2)], 3)), 3)
    assert cell_colours(image, 3, 3, LARGEST_CELL)[2] == [WHITE] * 3


@pytest.mark.parametrize("label", ["x" * 5000, '<script>alert(1)</script> & "x"', "花", "", "\x1b[31m\n"])
def test_the_size_is_bounded_whatever_the_labels(label: str) -> None:
    image = confusion_picture([label, "b"], measures_of([(0, 1), (1, 1)], 2))
    assert image.width < 500 and image.height < 500
