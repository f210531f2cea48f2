"""Input settings: the options precede the metadata, and the metadata precedes what the input reveals."""

import dataclasses

import pytest

from retrain.errors import FlagError, GraphError
from retrain.graphdef.description import Description
from retrain.graphdef.input_settings import InferredInput, infer_input, input_origins, resolve_input
from retrain.input_spec import InputSpec
from retrain.options.network_input import NetworkInputOptions

NO_OPTIONS = NetworkInputOptions()
METADATA = Description(("a", "b"), "pixels:0", 20, 30, 1.0, 2.0, "final_result:0", "some network")
ALL_KNOWN = InferredInput("pixels", 20, 30, 127.5, 127.5)
NOTHING_KNOWN = InferredInput("pixels")


def test_what_is_inferred_is_the_last_resort() -> None:
    assert resolve_input(NO_OPTIONS, None, ALL_KNOWN) == InputSpec(20, 30, 127.5, 127.5)


def test_the_metadata_precedes_it() -> None:
    for inferred in (ALL_KNOWN, NOTHING_KNOWN):
        assert resolve_input(NO_OPTIONS, METADATA, inferred) == InputSpec(20, 30, 1.0, 2.0)


def test_metadata_of_another_input_is_ignored() -> None:
    inferred = InferredInput("other", 20, 30, 127.5, 127.5)
    assert resolve_input(NO_OPTIONS, METADATA, inferred) == InputSpec(20, 30, 127.5, 127.5)


@pytest.mark.parametrize("metadata", [None, METADATA])
def test_options_precede_both_one_by_one(metadata: Description | None) -> None:
    options = NetworkInputOptions(input_mean=0.0, input_height=20)
    std = 2.0 if metadata else 127.5
    assert resolve_input(options, metadata, ALL_KNOWN) == InputSpec(20, 30, 0.0, std)
    everything = NetworkInputOptions(input_height=8, input_width=9, input_mean=3.0, input_std=4.0)
    assert resolve_input(everything, metadata, NOTHING_KNOWN) == InputSpec(8, 9, 3.0, 4.0)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (NetworkInputOptions(input_height=21), "--input_height must be 20, the height of the input layer pixels. Got 21."),
        (NetworkInputOptions(input_width=20), "--input_width must be 30, the width of the input layer pixels. Got 20."),
    ],
)
def test_a_given_size_that_the_input_does_not_take(options: NetworkInputOptions, sentence: str) -> None:
    for metadata in (None, METADATA):
        with pytest.raises(FlagError) as caught:
            resolve_input(options, metadata, ALL_KNOWN)
        assert str(caught.value) == sentence


def test_another_size_where_the_input_takes_several() -> None:
    inferred = InferredInput("images", 20, 30, 0.0, 255.0, takes_other_sizes=True)
    assert resolve_input(NO_OPTIONS, None, inferred) == InputSpec(20, 30, 0.0, 255.0)
    assert resolve_input(NetworkInputOptions(input_width=40), None, inferred) == InputSpec(20, 40, 0.0, 255.0)


def test_metadata_that_contradicts_the_input() -> None:
    with pytest.raises(GraphError) as caught:
        resolve_input(NO_OPTIONS, METADATA, InferredInput("pixels", 20, 64))
    assert str(caught.value) == (
        "The width in the model's metadata must be 64, that of its input layer pixels. It is 30: set --input_width=64."
    )
    options = NetworkInputOptions(input_width=64)
    assert resolve_input(options, METADATA, InferredInput("pixels", 20, 64)) == InputSpec(20, 64, 1.0, 2.0)


@pytest.mark.parametrize(
    ("inferred", "sentence"),
    [
        (
            InferredInput("pixels", 20, 30, None, 1.0),
            "The pixel mean of the input layer pixels cannot be inferred. Set --input_mean.",
        ),
        (
            InferredInput("pixels", None, None, 0.0, 1.0),
            "The height and width of the input layer pixels cannot be inferred. Set --input_height and --input_width.",
        ),
    ],
)
def test_settings_that_are_not_known_are_named_together(inferred: InferredInput, sentence: str) -> None:
    with pytest.raises(GraphError) as caught:
        resolve_input(NO_OPTIONS, None, inferred)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("name", "shape", "inferred"),
    [
        ("input", [None, 128, 96, 3], InferredInput("input", 128, 96, 127.5, 127.5)),
        ("Placeholder", (None, None, 224, 3), InferredInput("Placeholder", None, 224, 0.0, 255.0)),
        ("Mul", [], InferredInput("Mul", 299, 299, 128.0, 128.0)),
        ("pixels", [None, 10, 12, 3], InferredInput("pixels", 10, 12)),
        ("pixels", [None, 10], InferredInput("pixels")),
    ],
)
def test_what_a_name_and_a_shape_reveal(name: str, shape: list[int | None], inferred: InferredInput) -> None:
    assert infer_input(name, shape) == inferred


def test_the_way_of_resizing() -> None:
    cropped = dataclasses.replace(METADATA, input_resize="crop")
    assert resolve_input(NO_OPTIONS, None, ALL_KNOWN).resize == "squash"
    assert resolve_input(NO_OPTIONS, cropped, ALL_KNOWN).resize == "crop"
    assert resolve_input(NetworkInputOptions(resize="squash"), cropped, ALL_KNOWN).resize == "squash"


def test_where_each_setting_comes_from() -> None:
    size = {"height": "from the input's shape", "width": "from the input's shape"}
    levels = {"mean": "inferred from the input's name", "std": "inferred from the input's name"}
    assert input_origins(NO_OPTIONS, None, ALL_KNOWN) == {**size, **levels, "resize": "by default"}
    assert set(input_origins(NO_OPTIONS, METADATA, ALL_KNOWN).values()) == {"from the metadata"}
    options = NetworkInputOptions(input_mean=0.0, resize="crop")
    assert input_origins(options, None, ALL_KNOWN) == {**size, **levels, "mean": "given", "resize": "given"}
