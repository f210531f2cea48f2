"""Text in pictures: names that can be drawn, lines that fit, colours that can be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.tensorboard.drawing import (
    BLACK,
    WHITE,
    drawable_names,
    font_of,
    relative_luminance,
    shortened,
    text_colour,
    width_of,
    wrapped,
)

FONT = font_of(13)


def test_names_that_the_font_lacks_are_numbered() -> None:
    labels = ["daisy", "花", "line\nbreak", '<b> & "x"', "\u202eback", " "]
    assert drawable_names(labels) == ["daisy", "class 1", "class 2", '<b> & "x"', "class 4", "class 5"]


def test_accents_that_the_font_lacks_are_left_out_where_that_is_clear() -> None:
    assert drawable_names(["Gänseblümchen", "Rosé", "Rosè", "Spieß"]) == ["Ganseblumchen", "class 1", "class 2", "Spiess"]
    assert drawable_names(["Rose", "Rosé"]) == ["Rose", "class 1"]


def test_a_text_is_shortened_if_it_is_too_wide() -> None:
    assert shortened("daisy", FONT, 100) == "daisy"
    assert shortened("a very long name of a class", FONT, 80).endswith("...")
    assert width_of(shortened("a very long name of a class", FONT, 80), FONT) <= 80


def test_lines_are_broken_at_blanks() -> None:
    assert wrapped("red dots on a blue wall", FONT, 80, 3) == ["red dots on a", "blue wall"]
    assert wrapped("short", FONT, 80, 3) == ["short"]


@given(st.text(alphabet="ab cdW", max_size=80), st.integers(60, 200), st.integers(1, 4))
def test_wrapped_lines_fit(text: str, width: int, most: int) -> None:
    lines = wrapped(text.strip(), FONT, width, most)
    assert 1 <= len(lines) <= most
    assert all(width_of(line, FONT) <= width for line in lines)
    whole = "".join(lines).replace(" ", "")
    assert whole == text.replace(" ", "") or whole.endswith("...")


@pytest.mark.parametrize(("background", "expected"), [((255, 255, 255), BLACK), ((8, 48, 107), WHITE), ((255, 255, 0), BLACK)])
def test_text_has_the_higher_contrast(background: tuple[int, int, int], expected: tuple[int, int, int]) -> None:
    assert text_colour(background) == expected


def test_luminance_is_that_of_wcag() -> None:
    assert relative_luminance(BLACK) == 0 and relative_luminance(WHITE) == pytest.approx(1)
    assert relative_luminance((255, 0, 0)) == pytest.approx(0.2126)
