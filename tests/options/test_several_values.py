"""Flags with several values: fixed choices are separated by spaces or commas, free texts by spaces alone."""

from dataclasses import dataclass

import pytest

from label_image.config import LabelConfig
from retrain.config import RetrainConfig
from retrain.errors import FlagError
from retrain.options.command_line import parse_args
from retrain.options.flags import Options, flag, range_text


@dataclass(frozen=True, kw_only=True)
class Example(Options):
    """A flag with several values of each kind."""

    colours: tuple[str, ...] = flag("Colours.", (), choices=("red", "light:green", "Blue"))
    files: tuple[str, ...] = flag("Files.", ("a",))


@pytest.mark.parametrize(
    "typed",
    [
        ["red", "Blue"],
        ["red,Blue"],
        ["red,", "Blue"],
        ["red", ",Blue"],
        ["red", ",", "Blue"],
        ["red , Blue"],
        ["red Blue"],
        ["RED,blue"],
        ["red", "--colours", "Blue"],
    ],
    ids=" | ".join,
)
def test_choices_are_separated_by_spaces_or_commas(typed: list[str]) -> None:
    assert parse_args(Example, ["--colours", *typed]).colours == ("red", "Blue")


def test_spaces_and_commas_may_be_mixed() -> None:
    assert parse_args(Example, ["--colours=red,light:green", "--colours", "Blue"]).colours == ("red", "light:green", "Blue")


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        (["red,,Blue"], "red,,Blue."),
        (["red,"], "red,."),
        ([",red"], ",red."),
        (["red", ",", ",", "Blue"], "red , , Blue."),
        (["red,pink"], "red,pink."),
        (["RED", "pink"], "RED pink."),
        (["red;Blue"], "red;Blue. Did you mean Blue?"),
        (["light_green"], "light_green. Did you mean light:green?"),
        ([","], ",."),
        ([""], "('',)."),
    ],
)
def test_a_wrong_or_empty_part_is_an_error_that_shows_what_was_typed(typed: list[str], shown: str) -> None:
    with pytest.raises(FlagError) as caught:
        parse_args(Example, ["--colours", *typed])
    sentence = f"--colours must be one or more of red, light:green, Blue, separated by spaces or commas. Got {shown}"
    assert str(caught.value) == sentence


def test_free_texts_keep_their_commas_and_spaces() -> None:
    assert parse_args(Example, ["--files", "a,b.jpg", "c, d.jpg", "e f.jpg"]).files == ("a,b.jpg", "c, d.jpg", "e f.jpg")
    assert parse_args(LabelConfig, ["--image", "rose,red.jpg", "x"]).image == ("rose,red.jpg", "x")
    assert range_text(Example, "files") == "a text that is not empty"


def test_export() -> None:
    argv = ["--image_dir=photos", "--export", "tflite,", "TFLite:int8,onnx"]
    assert parse_args(RetrainConfig, argv).export == ("tflite", "tflite:int8", "onnx")


def test_a_format_that_is_named_twice() -> None:
    with pytest.raises(FlagError) as caught:
        parse_args(RetrainConfig, ["--image_dir=photos", "--export", "tflite,onnx,tflite"])
    assert str(caught.value) == "--export must name each format once. Got tflite onnx tflite."
