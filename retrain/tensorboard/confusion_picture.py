"""Confusion matrix as a picture: a row for each label, a column for each prediction, the counts in the cells."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw

from retrain.arrays import IndexArray
from retrain.evaluation.metrics import Evaluation
from retrain.tensorboard.drawing import (
    BLACK,
    GREY,
    LIGHT_GREY,
    WHITE,
    Colour,
    drawable_names,
    font_of,
    shortened,
    text_colour,
    width_of,
)

MOST_CLASSES = 30
DARKEST: Colour = (8, 48, 107)  # Of a cell with all images of its class.
CELL, LARGEST_CELL = 38, 64  # Pixels, of many classes and of few.
WIDEST_LABEL = 220
MARGIN, LINE = 14, 22
REST = "others"


def confusion_picture(labels: Sequence[str], measures: Evaluation) -> PIL.Image.Image:
    """Draw the confusion matrix; of more than 30 classes, that of the 30 that are confused most.

    The shade of a cell is its share of the images of its row's class. If there are more classes, a last column counts the
    predictions of all others, so that a row still adds up to the images of its class.
    """
    chosen = most_confused(measures.confusion)
    counts = measures.confusion[np.ix_(chosen, chosen)]
    names = [drawable_names(labels)[index] for index in chosen]
    columns = list(names)
    if len(chosen) < len(labels):
        counts = np.column_stack([counts, measures.n_images[chosen] - counts.sum(axis=1)])
        columns.append(REST)
    return _draw(names, columns, counts, _title(len(chosen), len(labels), measures))


def most_confused(confusion: IndexArray) -> list[int]:
    """Return the indices of the 30 classes with the most wrong predictions, of their images and as their label, in order."""
    wrong = confusion.sum(axis=0) + confusion.sum(axis=1) - 2 * confusion.diagonal()
    return sorted(np.argsort(-wrong, kind="stable")[:MOST_CLASSES].tolist())


def _title(n_shown: int, n_classes: int, measures: Evaluation) -> str:
    about = f"{measures.count} test images, {measures.accuracy:.1%} correct"
    return about if n_shown == n_classes else f"{about}; the {n_shown} of {n_classes} classes that are confused most"


def _draw(rows: Sequence[str], columns: Sequence[str], counts: IndexArray, title: str) -> PIL.Image.Image:
    font, cell = font_of(15), max(CELL, min(LARGEST_CELL, 640 // len(columns)))
    left = min(WIDEST_LABEL, max(width_of(name, font) for name in rows)) + 2 * MARGIN + LINE
    above = min(WIDEST_LABEL, max(width_of(name, font) for name in columns))
    slanted = any(width_of(name, font) > cell - 6 for name in columns)
    top = MARGIN + 2 * LINE + (above if slanted else LINE) + 6
    width = max(left + cell * len(columns) + MARGIN, width_of(title, font) + 2 * MARGIN)
    image = PIL.Image.new("RGB", (width, top + cell * len(rows) + MARGIN), WHITE)
    pen = PIL.ImageDraw.Draw(image)
    pen.text((MARGIN, MARGIN), title, BLACK, font)
    pen.text((left + cell * len(columns) / 2, MARGIN + LINE + 4), "prediction", GREY, font, anchor="ma")
    _upright_text(image, "label", (MARGIN, top + cell * len(rows) // 2), GREY)
    for column, name in enumerate(columns):
        middle = left + cell * column + cell // 2
        if slanted:
            _upright_text(image, shortened(name, font, WIDEST_LABEL), (middle - LINE // 2, top - 6), BLACK, from_below=True)
        else:
            pen.text((middle, top - 6), name, BLACK, font, anchor="ms")
    n_images = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    for row, name in enumerate(rows):
        y = top + cell * row
        pen.text((left - 8, y + cell // 2), shortened(name, font, WIDEST_LABEL), BLACK, font, anchor="rm")
        for column, count in enumerate(counts[row].tolist()):
            shade = _shade(count / int(n_images[row, 0]))
            x = left + cell * column
            pen.rectangle((x, y, x + cell, y + cell), shade, LIGHT_GREY)
            colour = text_colour(shade) if count else (170, 170, 170)
            size = 15 if len(str(count)) * 9 <= cell - 4 else 11
            pen.text((x + cell / 2, y + cell / 2), str(count), colour, font_of(size), anchor="mm")
        pen.rectangle((left + cell * row, y, left + cell * (row + 1), y + cell), outline=GREY)  # The correct ones.
    return image


def _shade(share: float) -> Colour:
    """Return a colour between white, for 0, and dark blue, for 1."""
    red, green, blue = (round(255 + share**0.75 * (dark - 255)) for dark in DARKEST)
    return red, green, blue


def _upright_text(image: PIL.Image.Image, text: str, place: tuple[int, int], colour: Colour, from_below: bool = False) -> None:
    """Draw text that reads from below: its left edge at x; at y its middle, or with `from_below` its beginning."""
    font = font_of(15)
    line = PIL.Image.new("L", (width_of(text, font) + 2, LINE), 0)
    PIL.ImageDraw.Draw(line).text((0, LINE // 2), text, 255, font, anchor="lm")
    line = line.transpose(PIL.Image.Transpose.ROTATE_90)
    x, y = place
    image.paste(colour, (x, y - (line.height if from_below else line.height // 2)), line)
