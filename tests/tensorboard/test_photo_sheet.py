"""Sheets of photos, checked by their pixels."""

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from retrain.evaluation.answers import Answer
from retrain.tensorboard.photo_sheet import GAP, MOST_PHOTOS, SIDE, TILE, TITLE_LINE, photo_sheet

HOSTILE = '<script>alert(1)</script> & "x"'
TOP = 2 * GAP + TITLE_LINE  # Of the first photo, below one line of a title.


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    colours = ["red", "lime", "blue", "black"]
    for colour in colours:
        PIL.Image.new("RGB", (300, 300), colour).save(tmp_path / f"{colour}.png")
    return [str(tmp_path / f"{colour}.png") for colour in colours]


def answer(path: str, label: str = "cup", prediction: str = "mug", score: float = 0.9) -> Answer:
    return Answer(path, label, prediction, score, score)


def colour_at(sheet: PIL.Image.Image, row_top: int, column: int) -> list[int]:
    """Return the colour in the middle of a photo."""
    pixel: list[int] = np.asarray(sheet)[row_top + SIDE // 2, GAP + TILE * column + SIDE // 2].tolist()
    return pixel


def test_photos_stand_in_their_order(photos: list[str]) -> None:
    sheet = photo_sheet("A title", [answer(path) for path in photos], ("cup", "mug"))
    assert [colour_at(sheet, TOP, column) for column in range(3)] == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]
    row = (sheet.height - TOP) // 2
    assert colour_at(sheet, TOP + row, 0) == [0, 0, 0]
    assert colour_at(sheet, TOP + row, 1) == [255, 255, 255]


def test_a_correct_answer_has_a_line_less(photos: list[str]) -> None:
    wrong, right = (photo_sheet("A title", [answer(photos[0], prediction=each)], ("cup", "mug")) for each in ("mug", "cup"))
    assert wrong.height > right.height
    below = np.asarray(wrong)[TOP + SIDE :].reshape(-1, 3)
    assert (below[:, 0] - below[:, 1].astype(int) > 100).any(), "a prediction that is wrong is red"
    below = np.asarray(right)[TOP + SIDE :].reshape(-1, 3)
    assert not (below[:, 0] - below[:, 1].astype(int) > 100).any()


def test_a_photo_that_is_gone_is_a_grey_square(photos: list[str], tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no photo")
    sheet = photo_sheet("A title", [answer(str(tmp_path / name)) for name in ("gone.jpg", "text.jpg")], ("cup", "mug"))
    corner = np.asarray(sheet)[TOP + 5, GAP + 5].tolist()
    assert corner == np.asarray(sheet)[TOP + 5, GAP + TILE + 5].tolist() == [225, 225, 225]


@pytest.mark.parametrize("label", ["long " * 1000, "x" * 5000, HOSTILE, "花", "a|b|c", ""])
def test_the_size_is_bounded_whatever_the_labels(label: str, photos: list[str]) -> None:
    sheet = photo_sheet("A title", [answer(photos[0], label, "mug")] * MOST_PHOTOS, (label, "mug", "a", "b", "c"))
    assert sheet.width == 3 * TILE + GAP and sheet.height < 8 * 300
