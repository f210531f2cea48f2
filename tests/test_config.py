"""The two configurations: their flags, defaults and legal values, as a user of the command line meets them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

import pytest

from label_image.__main__ import main as label_main
from label_image.config import LabelConfig
from retrain.__main__ import main as retrain_main
from retrain.config import RetrainConfig
from retrain.errors import FlagError
from retrain.options.command_line import parse_args
from retrain.options.flags import flags_of

N_RETRAIN_FLAGS = 68
N_LABEL_FLAGS = 27

# Name: type and default, from the table of the original's flags.
ORIGINAL_FLAGS: dict[str, tuple[object, object]] = {
    "image_dir": (str | None, None),
    "output_graph": (str, "/tmp/output_graph.pb"),
    "intermediate_output_graphs_dir": (str, "/tmp/intermediate_graph/"),
    "intermediate_store_frequency": (int, 0),
    "output_labels": (str, "/tmp/output_labels.txt"),
    "summaries_dir": (str, "/tmp/retrain_logs"),
    "how_many_training_steps": (int, 4000),
    "testing_percentage": (int, 10),
    "validation_percentage": (int, 10),
    "eval_step_interval": (int, 10),
    "train_batch_size": (int, 100),
    "test_batch_size": (int, -1),
    "print_misclassified_test_images": (bool, False),
    "model_dir": (str, "/tmp/imagenet"),
    "bottleneck_dir": (str, "/tmp/bottleneck"),
    "final_tensor_name": (str, "final_result"),
    "flip_left_right": (bool, False),
    "random_crop": (int, 0),
    "random_scale": (int, 0),
    "random_brightness": (int, 0),
    "logging_verbosity": (str, "INFO"),
    "checkpoint_path": (str, "/tmp/_retrain_checkpoint"),
    "saved_model_dir": (str | None, None),
}
# Flags that the original does not have, or whose default None is determined during the run.
OWN_FLAGS: dict[str, tuple[object, object]] = {
    "run_dir": (str | None, None),
    "report": (str | None, None),
    "image_list": (str | None, None),
    "split_by": (str, "path"),
    "save_split": (str | None, None),
    "label_names": (str | None, None),
    "all_images": (bool, False),
    "multi_label": (bool, False),
    "learning_rate": (float | None, None),
    "validation_batch_size": (int | None, None),
    "architecture": (str | None, None),
    "tfhub_module": (str | None, None),
    "input_layer": (str | None, None),
    "bottleneck_layer": (str | None, None),
    "input_height": (int | None, None),
    "input_width": (int | None, None),
    "input_mean": (float | None, None),
    "input_std": (float | None, None),
    "resize": (str | None, None),
    "decode_scale": (str | None, None),
    "exif_orientation": (str | None, None),
    "channel_order": (str | None, None),
    "engine": (str, "auto"),
    "model_url_base": (str | None, None),
    "strict": (bool, False),
    "no_progress": (bool, False),
    "resume": (bool, False),
    "precision": (str, "float32"),
    "bottleneck_batch_size": (int | None, None),
    "fine_tune_steps": (int, 0),
    "fine_tune_learning_rate": (float, 0.0003),
    "fine_tune_batch_size": (int, 32),
    "fine_tune_layers": (str | None, None),
    "random_seed": (int | None, None),
    "learning_rate_schedule": (str, "constant"),
    "optimizer": (str, "gradient_descent"),
    "hidden_units": (tuple[int, ...], ()),
    "dropout": (float, 0.0),
    "l2": (float, 0.0),
    "label_smoothing": (float, 0.0),
    "class_weights": (Mapping[str, float] | str | None, None),
    "early_stopping": (int, 0),
    "device": (str | None, None),
    "timing_report": (str | None, None),
    "export": (tuple[str, ...], ()),
}
# The original's defaults are those of one network; here None stands for what the graph says.
LABEL_FLAGS: dict[str, tuple[object, object]] = {
    "no_progress": (bool, False),
    "image": (tuple[str, ...], ()),
    "doctor": (bool, False),
    "image_dir": (str | None, None),
    "graph": (str | None, None),
    "architecture": (str | None, None),
    "model_dir": (str, "/tmp/imagenet"),
    "model_url_base": (str | None, None),
    "labels": (str | None, None),
    "input_height": (int | None, None),
    "input_width": (int | None, None),
    "input_mean": (float | None, None),
    "input_std": (float | None, None),
    "resize": (str | None, None),
    "decode_scale": (str | None, None),
    "exif_orientation": (str | None, None),
    "channel_order": (str | None, None),
    "engine": (str, "auto"),
    "input_layer": (str | None, None),
    "output_layer": (str | None, None),
    "allow_file_ops": (bool, False),
    "top_k": (int, 5),
    "output_format": (str, "text"),
    "serve": (bool, False),
    "host": (str, "127.0.0.1"),
    "port": (int, 0),
    "request_seconds": (float, 30.0),
}

TEXT = "a text that is not empty"
UNITS = "integers in [1, 100000], joined by commas"
PERCENTAGE = "an integer in [0, 100)"
BATCH_SIZE = "-1 or an integer in [1, 1000000]"
SWITCH = "--{name} is a switch, which takes no value. Got yes. --help lists the flags."

# Flag: what it must be, and for each wrong value on the command line how the error shows it.
WRONG_RETRAIN_VALUES: dict[str, tuple[str, dict[str, str]]] = {
    "image_dir": (TEXT, {"": "''"}),
    "output_graph": (TEXT, {"": "''"}),
    "intermediate_output_graphs_dir": (TEXT, {"": "''"}),
    "intermediate_store_frequency": ("an integer in [0, inf)", {"-1": "-1", "often": "often", "1.5": "1.5", "": "''"}),
    "output_labels": (TEXT, {"": "''"}),
    "summaries_dir": (TEXT, {"": "''"}),
    "how_many_training_steps": ("an integer in [0, 1000000000]", {"-1": "-1", "1000000001": "1000000001", "1e3": "1e3"}),
    "learning_rate": ("a number in (0, inf)", {"0": "0.0", "-0.1": "-0.1", "nan": "nan", "1e999": "inf", "fast": "fast"}),
    "learning_rate_schedule": ("one of constant, linear, cosine, exponential", {"slow": "slow", "": "''"}),
    "optimizer": ("one of gradient_descent, momentum, adam, lbfgs", {"sgd": "sgd", "": "''"}),
    "hidden_units": (UNITS, {"0": "0", "100001": "100001", "12,": "12,", "-5": "-5", "1.5": "1.5", "many": "many", "٣,٠": "٣,٠"}),
    "dropout": ("a number in [0, 1)", {"-0.1": "-0.1", "1": "1.0", "half": "half", "nan": "nan"}),
    "l2": ("a number in [0, 1000000]", {"-1": "-1.0", "1000001": "1000001.0", "x": "x"}),
    "label_smoothing": ("a number in [0, 1)", {"-0.1": "-0.1", "1": "1.0", "x": "x"}),
    "class_weights": (
        "balanced, or LABEL=NUMBER joined by commas, numbers in (0, 1000000]",
        {text: text for text in ("daisy", "daisy=", "=2", "daisy=0", "daisy=-1", "daisy=nan", "a=1,", "a=1000001", "a=b")},
    ),
    "early_stopping": ("an integer in [0, inf)", {"-1": "-1", "1.5": "1.5", "soon": "soon"}),
    "testing_percentage": (PERCENTAGE, {"-1": "-1", "100": "100", "120": "120", "10.5": "10.5", "10%": "10%"}),
    "validation_percentage": (PERCENTAGE, {"-1": "-1", "100": "100", "120": "120", "10.5": "10.5", "ten": "ten"}),
    "eval_step_interval": ("an integer in [1, inf)", {"0": "0", "-1": "-1", "x": "x"}),
    "train_batch_size": (BATCH_SIZE, {"0": "0", "-2": "-2", "1.0": "1.0", "1000001": "1000001"}),
    "test_batch_size": (BATCH_SIZE, {"0": "0", "-2": "-2", "all": "all"}),
    "validation_batch_size": (BATCH_SIZE, {"0": "0", "-2": "-2", " ": "' '"}),
    "print_misclassified_test_images": (SWITCH, {"yes": ""}),
    "strict": (SWITCH, {"yes": ""}),
    "no_progress": (SWITCH, {"yes": ""}),
    "run_dir": (TEXT, {"\0": "\0"}),
    "image_list": (TEXT, {"": "''"}),
    "split_by": ("one of path, content, group", {"name": "name", "": "''"}),
    "save_split": (TEXT, {"": "''"}),
    "report": ("a path, or an empty text", {"a\0b": "a\0b"}),
    "label_names": ("one of original, folder", {"file": "file", "": "''"}),
    "all_images": (SWITCH, {"yes": ""}),
    "multi_label": (SWITCH, {"yes": ""}),
    "model_dir": (TEXT, {"": "''"}),
    "model_url_base": (TEXT, {"": "''"}),
    "bottleneck_dir": (TEXT, {"": "''"}),
    "final_tensor_name": (TEXT, {"": "''"}),
    "flip_left_right": (SWITCH, {"yes": ""}),
    "random_crop": (PERCENTAGE, {"-1": "-1", "100": "100", "0.1": "0.1"}),
    "random_scale": ("an integer in [0, 1000]", {"-1": "-1", "1001": "1001", "0.1": "0.1"}),
    "random_brightness": ("an integer in [0, 100]", {"-1": "-1", "101": "101", "0.1": "0.1"}),
    "architecture": (TEXT, {"": "''"}),
    "tfhub_module": (TEXT, {"": "''"}),
    "input_layer": (TEXT, {"": "''"}),
    "bottleneck_layer": (TEXT, {"": "''"}),
    "input_height": ("an integer in [1, 8192]", {"0": "0", "-1": "-1", "224.0": "224.0", "8193": "8193"}),
    "input_width": ("an integer in [1, 8192]", {"0": "0", "-1": "-1", "wide": "wide", "8193": "8193"}),
    "input_mean": ("a number in (-inf, inf)", {"nan": "nan", "-inf": "-inf", "grey": "grey"}),
    "input_std": ("a number in (0, inf)", {"0": "0.0", "-1": "-1.0", "nan": "nan", "inf": "inf"}),
    "resize": ("one of squash, crop", {"fold": "fold", "": "''"}),
    "decode_scale": ("one of full, auto", {"half": "half", "": "''"}),
    "exif_orientation": ("one of ignore, apply", {"turn": "turn", "": "''"}),
    "channel_order": ("one of rgb, bgr", {"grey": "grey", "": "''"}),
    "engine": ("one of auto, litert, tensorflow", {"torch": "torch", "": "''"}),
    "saved_model_dir": (TEXT, {"\0": "\0"}),
    "export": (
        "one or more of tflite, tflite:float16, tflite:dynamic, tflite:int8, onnx, separated by spaces or commas",
        {"": "('',)", "pb": "pb", "tflite:int4": "tflite:int4", "tflite,pb": "tflite,pb"},
    ),
    "logging_verbosity": ("one of DEBUG, INFO, WARN, ERROR, FATAL", {"LOUD": "LOUD", "WARNING": "WARNING", "": "''"}),
    "checkpoint_path": (TEXT, {"": "''"}),
    "resume": (SWITCH, {"yes": ""}),
    "precision": ("one of float32, bfloat16_products, bfloat16", {"float16": "float16"}),
    "bottleneck_batch_size": ("an integer in [1, 1000000]", {"0": "0", "1000001": "1000001", "many": "many"}),
    "device": ("cpu, gpu or gpu:NUMBER", {"GPU": "GPU", "gpu:": "gpu:", "tpu": "tpu", "gpu:-1": "gpu:-1"}),
    "timing_report": (TEXT, {"\0": "\0"}),
    "fine_tune_steps": ("an integer in [0, 1000000000]", {"-1": "-1", "1000000001": "1000000001", "few": "few"}),
    "fine_tune_learning_rate": ("a number in (0, inf)", {"0": "0.0", "-1": "-1.0", "nan": "nan", "inf": "inf"}),
    "fine_tune_batch_size": ("an integer in [1, 1000000]", {"0": "0", "-1": "-1", "1000001": "1000001"}),
    "fine_tune_layers": (TEXT, {"": "''"}),
    "random_seed": ("an integer in [0, 4294967296)", {"-1": "-1", "4294967296": "4294967296", "dice": "dice"}),
}
WRONG_LABEL_VALUES: dict[str, tuple[str, dict[str, str]]] = {
    "no_progress": (SWITCH, {"yes": ""}),
    "image": (TEXT, {"": "('',)"}),
    "graph": (TEXT, {"": "''"}),
    "architecture": (TEXT, {"": "''"}),
    "model_dir": (TEXT, {"": "''"}),
    "model_url_base": (TEXT, {"": "''"}),
    "labels": (TEXT, {"": "''"}),
    "input_height": ("an integer in [1, 8192]", {"0": "0", "8193": "8193", "224.0": "224.0"}),
    "input_width": ("an integer in [1, 8192]", {"0": "0", "8193": "8193", "wide": "wide"}),
    "input_mean": ("a number in (-inf, inf)", {"nan": "nan", "-inf": "-inf", "grey": "grey"}),
    "input_std": ("a number in (0, inf)", {"0": "0.0", "-1": "-1.0", "nan": "nan", "inf": "inf"}),
    "resize": ("one of squash, crop", {"fold": "fold", "": "''"}),
    "decode_scale": ("one of full, auto", {"half": "half", "": "''"}),
    "exif_orientation": ("one of ignore, apply", {"turn": "turn", "": "''"}),
    "channel_order": ("one of rgb, bgr", {"grey": "grey", "": "''"}),
    "engine": ("one of auto, litert, tensorflow", {"torch": "torch", "": "''"}),
    "input_layer": (TEXT, {"": "''"}),
    "output_layer": (TEXT, {"": "''"}),
    "allow_file_ops": (SWITCH, {"yes": ""}),
    "doctor": (SWITCH, {"yes": ""}),
    "image_dir": (TEXT, {"": "''"}),
    "top_k": ("an integer in [1, inf)", {"0": "0", "-1": "-1", "5.0": "5.0", "five": "five"}),
    "output_format": ("one of text, json, csv", {"xml": "xml", "": "''"}),
    "serve": (SWITCH, {"yes": ""}),
    "host": (TEXT, {"": "''"}),
    "port": ("an integer in [0, 65535]", {"-1": "-1", "65536": "65536", "http": "http", "80.0": "80.0"}),
    "request_seconds": ("a number in (0, 86400]", {"0": "0.0", "86401": "86401.0", "nan": "nan", "long": "long"}),
}
# The least and the greatest legal values, or the only ones; with those above, both sides of each bound are tested.
LEGAL_RETRAIN_VALUES: dict[str, list[Any]] = {
    "split_by": ["path", "content", "group"],
    "label_names": [None, "original", "folder"],
    "intermediate_store_frequency": [0, 10**9],
    "how_many_training_steps": [0, 1_000_000_000],
    "learning_rate": [None, 1e-30, 1e30, 1],
    "resize": [None, "squash", "crop"],
    "decode_scale": [None, "full", "auto"],
    "exif_orientation": [None, "ignore", "apply"],
    "engine": ["auto", "litert", "tensorflow"],
    "learning_rate_schedule": ["constant", "linear", "cosine", "exponential"],
    "optimizer": ["gradient_descent", "momentum", "adam", "lbfgs"],
    "hidden_units": [(), (1,), (100_000,), (128, 64)],
    "dropout": [0, 0.999],
    "l2": [0, 1e6],
    "label_smoothing": [0, 0.999],
    "class_weights": [None, "balanced", {"daisy": 1e-9}, {"red roses": 2.5, "daisy": 1_000_000}],
    "early_stopping": [0, 10**9],
    "export": [(), ("tflite",), ("onnx", "tflite:int8", "tflite:dynamic", "tflite:float16")],
    "device": [None, "cpu", "gpu", "gpu:0", "gpu:999"],
    "testing_percentage": [0, 89],
    "validation_percentage": [0, 89],
    "eval_step_interval": [1, 10**9],
    "train_batch_size": [-1, 1, 1_000_000],
    "test_batch_size": [-1, 1],
    "validation_batch_size": [-1, 1],
    "flip_left_right": [True, False],
    "random_crop": [0, 99],
    "random_scale": [0, 1000],
    "random_brightness": [0, 100],
    "architecture": [None, "inception_v3", "pixels_28", "some/graph.pb"],
    "tfhub_module": [None, "https://example.org/module", "folder"],
    "logging_verbosity": ["DEBUG", "INFO", "WARN", "ERROR", "FATAL"],
    "precision": ["float32", "bfloat16_products", "bfloat16"],
    "bottleneck_batch_size": [None, 1, 1_000_000],
    "fine_tune_steps": [0, 1_000_000_000],
    "fine_tune_learning_rate": [1e-30, 1],
    "fine_tune_batch_size": [1, 1_000_000],
    "fine_tune_layers": [None, ".", "gamma$|beta$"],
    "random_seed": [None, 0, 4294967295],
}
LEGAL_LABEL_VALUES: dict[str, list[Any]] = {
    "input_height": [None, 1],
    "input_mean": [None, 0.0, -1.0, 0],
    "input_std": [None, 1e-30],
    "resize": [None, "squash", "crop"],
    "decode_scale": [None, "full", "auto"],
    "exif_orientation": [None, "ignore", "apply"],
    "channel_order": [None, "rgb", "bgr"],
    "engine": ["auto", "litert", "tensorflow"],
    "top_k": [1, 10**9],
    "output_format": ["text", "json", "csv"],
}

Table = dict[str, tuple[str, dict[str, str]]]
Main = Callable[[Sequence[str] | None], int]


# Choices that a mistyped one of the tables above resembles.
MEANT = {"WARNING": "WARN", "tflite:int4": "tflite:int8", "float16": "bfloat16_products or bfloat16"}


def wrong_values(table: Table) -> list[tuple[str, str, str]]:
    """Flag, wrong text, and the sentence to expect, for each of the table."""
    cases = []
    for name, (legal, values) in table.items():
        for text, shown in values.items():
            sentence = legal.format(name=name) if legal is SWITCH else f"--{name} must be {legal}. Got {shown}."
            cases.append((name, text, f"{sentence} Did you mean {MEANT[text]}?" if text in MEANT else sentence))
    return cases


def argv_of(required: str, name: str, text: str) -> list[str]:
    """Return a command line that is right except for one flag."""
    others = [] if name == required else [f"--{required}", "photos"]
    return [*others, f"--{name}={text}"]


def assert_refused(main: Main, argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Assert that the command prints the one sentence, nothing else, and ends with exit code 2."""
    assert main(argv) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"error: {sentence}\n")


def test_every_flag_has_a_wrong_value_tested() -> None:
    assert set(WRONG_RETRAIN_VALUES) == set(flags_of(RetrainConfig))
    assert set(WRONG_LABEL_VALUES) == set(flags_of(LabelConfig))
    assert (len(WRONG_RETRAIN_VALUES), len(WRONG_LABEL_VALUES)) == (N_RETRAIN_FLAGS, N_LABEL_FLAGS)
    assert all(values for _, values in [*WRONG_RETRAIN_VALUES.values(), *WRONG_LABEL_VALUES.values()])


@pytest.mark.parametrize(("name", "text", "sentence"), wrong_values(WRONG_RETRAIN_VALUES))
def test_a_wrong_value_for_training_is_refused(name: str, text: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(retrain_main, argv_of("image_dir", name, text), sentence, capsys)


@pytest.mark.parametrize(("name", "text", "sentence"), wrong_values(WRONG_LABEL_VALUES))
def test_a_wrong_value_for_labelling_is_refused(name: str, text: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(label_main, argv_of("image", name, text), sentence, capsys)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in LEGAL_RETRAIN_VALUES.items() for value in values])
def test_a_legal_value_for_training_is_kept(name: str, value: Any) -> None:
    assert getattr(RetrainConfig(**{"image_dir": "photos", name: value}), name) == value


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in LEGAL_LABEL_VALUES.items() for value in values])
def test_a_legal_value_for_labelling_is_kept(name: str, value: Any) -> None:
    assert getattr(LabelConfig(**{"image": ("photo.jpg",), name: value}), name) == value


# From Python the type of a value can be wrong as well: a flag's name, a value, and how the error shows it.
@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("image_dir", None, "--image_dir is required: Folder with one folder of images for each class. Or give --image_list."),
        ("image_dir", b"photos", "--image_dir must be a text that is not empty. Got b'photos'."),
        ("image_dir", "a\0b", "--image_dir must be a text that is not empty. Got a\0b."),
        ("output_graph", None, "--output_graph must be a text that is not empty. Got None."),
        (
            "learning_rate",
            "0.1",
            "--learning_rate must be a number in (0, inf). Got 0.1. In Python: a number, not the text '0.1'.",
        ),
        ("learning_rate", "fast", "--learning_rate must be a number in (0, inf). Got fast."),
        ("image_dir", ["a"], "--image_dir must be a text that is not empty. Got ('a',)."),
        ("learning_rate", True, "--learning_rate must be a number in (0, inf). Got True."),
        ("train_batch_size", 1.0, "--train_batch_size must be -1 or an integer in [1, 1000000]. Got 1.0."),
        ("train_batch_size", True, "--train_batch_size must be -1 or an integer in [1, 1000000]. Got True."),
        ("flip_left_right", 1, "--flip_left_right must be True or False. Got 1."),
        ("flip_left_right", None, "--flip_left_right must be True or False. Got None."),
        ("random_seed", 0.5, "--random_seed must be an integer in [0, 4294967296). Got 0.5."),
        (
            "logging_verbosity",
            "info",
            "--logging_verbosity must be one of DEBUG, INFO, WARN, ERROR, FATAL. Got info. Did you mean INFO?",
        ),
        ("logging_verbosity", 20, "--logging_verbosity must be one of DEBUG, INFO, WARN, ERROR, FATAL. Got 20."),
    ],
)
def test_a_field_of_the_wrong_type_is_refused(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(FlagError) as caught:
        RetrainConfig(**{"image_dir": "photos", name: value})
    assert str(caught.value) == sentence


def test_one_image_may_stand_without_a_tuple() -> None:
    assert LabelConfig(image="photo.jpg") == LabelConfig(image=("photo.jpg",))  # type: ignore[arg-type]


@pytest.mark.parametrize("images", [b"photo.jpg", 7, (), ("a.jpg", ""), ("a.jpg", 7)])
def test_images_that_are_not_several_texts_are_refused(images: Any) -> None:
    with pytest.raises(FlagError) as caught:
        LabelConfig(image=images)
    assert str(caught.value).startswith("--image must be " if images else "--image is required: ")


@pytest.mark.parametrize("value", [10**400, -(10**400)], ids=["10**400", "-10**400"])
@pytest.mark.parametrize("name", ["learning_rate", "train_batch_size", "random_seed"])
def test_a_number_beyond_all_floats_is_refused_or_kept(name: str, value: Any) -> None:
    """math.isfinite(10**400) raises OverflowError; the flag must not."""
    try:
        config = RetrainConfig(**{"image_dir": "photos", name: value})
    except FlagError as error:
        assert str(error).startswith(f"--{name} must be ")
    else:
        assert getattr(config, name) == value


def test_what_is_no_regular_expression_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = "--fine_tune_layers must be a regular expression (missing ), unterminated subpattern at position 0). Got (conv."
    assert_refused(retrain_main, ["--image_dir=photos", "--fine_tune_layers=(conv"], sentence, capsys)


@pytest.mark.parametrize(("testing", "validation"), [(50, 50), (99, 1), (1, 99), (60, 70)])
def test_percentages_that_leave_nothing_to_train_on_are_refused(
    testing: int, validation: int, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["--image_dir=photos", f"--testing_percentage={testing}", f"--validation_percentage={validation}"]
    sentence = (
        "--testing_percentage and --validation_percentage must leave images to train on: their sum must be below 100. "
        f"Got {testing} + {validation}."
    )
    assert_refused(retrain_main, argv, sentence, capsys)


@pytest.mark.parametrize(("testing", "validation"), [(0, 0), (99, 0), (49, 50)])
def test_percentages_that_leave_something_are_kept(testing: int, validation: int) -> None:
    config = RetrainConfig(image_dir="photos", testing_percentage=testing, validation_percentage=validation)
    assert (config.testing_percentage, config.validation_percentage) == (testing, validation)


def test_names_types_and_defaults_of_training_are_the_originals() -> None:
    assert table_of(RetrainConfig) == {**ORIGINAL_FLAGS, **OWN_FLAGS}
    assert len(ORIGINAL_FLAGS) + len(OWN_FLAGS) == N_RETRAIN_FLAGS


def test_names_types_and_defaults_of_labelling() -> None:
    assert table_of(LabelConfig) == LABEL_FLAGS
    assert len(LABEL_FLAGS) == N_LABEL_FLAGS


def table_of(config_class: type) -> dict[str, tuple[object, object]]:
    hints = get_type_hints(config_class)
    return {field.name: (hints[field.name], field.default) for field in dataclasses.fields(config_class)}


def test_configurations_do_not_change() -> None:
    config = RetrainConfig(image_dir="photos")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.learning_rate = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, False),
        ({"flip_left_right": True}, True),
        ({"random_crop": 1}, True),
        ({"random_scale": 1}, True),
        ({"random_brightness": 1}, True),
    ],
)
def test_any_distortion_flag_turns_distorting_on(changed: dict[str, Any], expected: bool) -> None:
    assert RetrainConfig(image_dir="photos", **changed).distorts is expected


def test_one_file_for_graph_and_labels_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert retrain_main(["--image_dir=photos", "--output_graph=same", "--output_labels=same"]) == 2
    assert capsys.readouterr().err == "error: --output_graph and --output_labels must be different files. Got same for both.\n"


def test_texts_are_parsed_at_the_command_line_and_values_taken_in_python() -> None:
    typed = ["--image_dir=photos", "--hidden_units=128, 64", "--class_weights=daisy=2, red roses=0.5"]
    from_text = parse_args(RetrainConfig, typed)
    assert from_text == RetrainConfig(image_dir="photos", hidden_units=(128, 64), class_weights={"daisy": 2.0, "red roses": 0.5})
    assert parse_args(RetrainConfig, ["--image_dir=photos", "--class_weights=Balanced"]).class_weights == "balanced"


@pytest.mark.parametrize("name", ["hidden_units", "class_weights", "saved_model_dir", "timing_report", "run_dir"])
def test_an_empty_text_is_the_default(name: str) -> None:
    assert parse_args(RetrainConfig, ["--image_dir=photos", f"--{name}="]) == RetrainConfig(image_dir="photos")


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            ["--early_stopping=5", "--validation_percentage=0"],
            "--early_stopping needs validation images: --validation_percentage must not be 0.",
        ),
        *(
            (
                ["--optimizer=lbfgs", flag],
                "--optimizer lbfgs needs a loss that stays the same from step to step: no --dropout and no distortions.",
            )
            for flag in ("--dropout=0.1", "--flip_left_right", "--random_crop=10")
        ),
        (
            ["--engine=litert", "--precision=bfloat16"],
            "--engine litert computes in float32: --precision must be float32. Got bfloat16.",
        ),
        (["--engine=litert", "--device=gpu:1"], "--engine litert runs on the CPU: --device must be cpu or left out. Got gpu:1."),
    ],
)
def test_flags_that_do_not_go_together(flags: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert retrain_main(["--image_dir=photos", *flags]) == 2
    assert capsys.readouterr().err == f"error: {sentence}\n"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["--export", "onnx", "tflite", "ONNX"], "--export must name each format once. Got onnx tflite onnx."),
        (
            ["--export", "onnx", "--output_graph=flowers.pb", "--output_labels=flowers.onnx"],
            "--export onnx would be written to flowers.onnx, which is --output_labels. Give that another name.",
        ),
        (
            ["--export", "tflite:int8", "--output_graph=a.pb", "--output_labels=a.int8.tflite"],
            "--export tflite:int8 would be written to a.int8.tflite, which is --output_labels. Give that another name.",
        ),
    ],
)
def test_exports_that_would_overwrite_something_are_refused(
    argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert_refused(retrain_main, ["--image_dir=photos", *argv], sentence, capsys)


@pytest.mark.parametrize(("name", "value"), [("port", 0), ("port", 65535), ("request_seconds", 1e-9), ("request_seconds", 86400)])
def test_a_legal_value_for_serving_is_kept(name: str, value: Any) -> None:
    assert getattr(LabelConfig(**{"serve": True, name: value}), name) == value


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (
            ["--serve", "--image=a.jpg"],
            "--image is not for --serve: leave it out, and send the images to the page that --serve opens.",
        ),
        (["--serve", "--doctor"], "--doctor and --serve cannot go together, nor --image_dir and --serve: leave one out."),
        (["--serve", "--image_dir=a"], "--doctor and --serve cannot go together, nor --image_dir and --serve: leave one out."),
        (
            ["--serve", "--output_format=csv"],
            "--output_format is not for --serve, whose POST /classify always answers JSON: leave it out.",
        ),
        (["--image=a.jpg", "--port=80"], "--port is only for --serve: add --serve, or leave it out."),
        (
            ["--image=a.jpg", "--host=localhost", "--port=80", "--request_seconds=1"],
            "--host and --port and --request_seconds are only for --serve: add --serve, or leave them out.",
        ),
    ],
)
def test_flags_that_serving_excludes_or_needs(argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert_refused(label_main, argv, sentence, capsys)


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("a.tflite", "add --export tflite to write such a file beside it"),
        ("a.ONNX", "add --export onnx to write such a file beside it"),
        ("a.h5", "such a file is not written"),
        ("a.keras", "such a file is not written"),
    ],
)
def test_a_graph_with_the_ending_of_another_kind_of_model_is_refused(
    name: str, cure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ending = name[1:].lower()
    sentence = f"--output_graph is a frozen graph, and must not end in {ending}: {cure}. Got {name}."
    assert_refused(retrain_main, ["--image_dir=photos", f"--output_graph={name}"], sentence, capsys)


def test_a_graph_and_a_network_together_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    sentence = "--graph and --architecture cannot go together. Got a.pb and inception_v3: leave one out."
    assert_refused(label_main, ["--image=a.jpg", "--graph=a.pb", "--architecture=inception_v3"], sentence, capsys)
