"""Sheets of test photos: each with its label, its prediction and its score."""

from collections.abc import Sequence

import PIL.Image
import PIL.ImageDraw

from retrain.data.image_list import BETWEEN_LABELS
from retrain.data.thumbnail import small_photos
from retrain.evaluation.answers import Answer
from retrain.tensorboard.drawing import BLACK, GREY, LIGHT_GREY, WHITE, Colour, drawable_names, font_of, width_of, wrapped

MOST_PHOTOS = 24
COLUMNS = 3  # TensorBoard shows about 340 pixels, in which the captions of three photos can still be read.
SIDE = 120  # Pixels, of a photo.
TILE = 148  # Width, with the gap.
LINE, TITLE_LINE = 16, 20
GAP = 10
MOST_LINES = 2  # Of a label.
GREEN, RED = (0, 110, 40), (190, 20, 20)


def photo_sheet(title: str, answers: Sequence[Answer], labels: Sequence[str]) -> PIL.Image.Image:
    """Draw photos, as many as `answers`, in rows of 3. A photo that cannot be read is a grey square that says so.

    `title` may have several lines.
    """
    photos = [photo or _unreadable() for photo in small_photos([each.path for each in answers], SIDE)]
    names = dict(zip(labels, drawable_names(labels), strict=True))
    captions = [_caption(each, names) for each in answers]
    rows = [range(start, min(start + COLUMNS, len(answers))) for start in range(0, len(answers), COLUMNS)]
    heights = [SIDE + LINE * max(len(captions[index]) for index in row) + 2 * GAP for row in rows]
    font = font_of(15)
    lines = title.splitlines()
    width = max(TILE * min(COLUMNS, len(answers)) + GAP, *(width_of(line, font) + 2 * GAP for line in lines))
    top = 2 * GAP + TITLE_LINE * len(lines)
    image = PIL.Image.new("RGB", (width, top + sum(heights)), WHITE)
    pen = PIL.ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        pen.text((GAP, GAP + TITLE_LINE * number), line, BLACK, font)
    y = top
    for row, height in zip(rows, heights, strict=True):
        for column, index in enumerate(row):
            x = GAP + TILE * column
            photo = photos[index]
            image.paste(photo, (x + (SIDE - photo.width) // 2, y + (SIDE - photo.height) // 2))
            for number, (text, colour) in enumerate(captions[index]):
                pen.text((x, y + SIDE + 4 + LINE * number), text, colour, font_of(13))
        y += height
    return image


def _unreadable() -> PIL.Image.Image:
    image = PIL.Image.new("RGB", (SIDE, SIDE), LIGHT_GREY)
    PIL.ImageDraw.Draw(image).text((SIDE / 2, SIDE / 2), "not readable", GREY, font_of(13), anchor="mm")
    return image


def _caption(answer: Answer, names: dict[str, str]) -> list[tuple[str, Colour]]:
    """Return lines and their colours: the label, the prediction if it is another, and the score."""
    lines = [(line, GREEN) for line in _wrapped(answer.label, names)]
    if not answer.is_correct:
        lines += [(line, RED) for line in _wrapped(answer.prediction, names)]
    return [*lines, (f"score {answer.score:.3f}", GREY)]


def _wrapped(label: str, names: dict[str, str]) -> list[str]:
    """Return one label, or several joined ones, in lines."""
    parts = [label] if label in names else label.split(BETWEEN_LABELS)
    text = ", ".join(names.get(part, part) for part in parts) or "no label"
    return wrapped(text, font_of(13), TILE - GAP, MOST_LINES)
