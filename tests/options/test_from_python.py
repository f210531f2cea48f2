"""Options in Python: values of many types, wrong names, and the documentation of the fields."""

import inspect
import pydoc
import re
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrain
from label_image.config import ClassifierOptions
from retrain.options.flags import flags_of
from retrain.options.from_python import check_names

UNITS = "integers in [1, 100000], joined by commas"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("image_dir", Path("photos"), "photos"),
        ("image_dir", Path("~/photos"), str(Path.home() / "photos")),
        ("output_graph", Path("graph.pb"), "graph.pb"),
        ("how_many_training_steps", np.int64(7), 7),
        ("learning_rate", np.float32(0.5), 0.5),
        ("flip_left_right", np.bool_(True), True),
        ("architecture", np.str_("pixels_28"), "pixels_28"),
        ("learning_rate", np.array(0.5), 0.5),
        ("hidden_units", [128, np.int32(64)], (128, 64)),
        ("hidden_units", [], ()),
        ("export", ["onnx"], ("onnx",)),
        ("export", "onnx", ("onnx",)),
        ("class_weights", {"daisy": np.float32(2)}, {"daisy": 2.0}),
        ("class_weights", "balanced", "balanced"),
    ],
)
def test_values_that_mean_the_same(name: str, value: Any, expected: Any) -> None:
    config = retrain.RetrainConfig(**{"image_dir": "photos", name: value})
    found = getattr(config, name)
    assert (found, type(found)) == (expected, type(expected))


def test_a_dict_may_change_afterwards() -> None:
    weights = {"daisy": 2.0}
    config = retrain.RetrainConfig(image_dir="photos", class_weights=weights)
    weights["daisy"] = 3.0
    assert config.class_weights == {"daisy": 2.0}


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("hidden_units", 128, "--hidden_units must be integers in [1, 100000], joined by commas. Got 128. In Python: (128, 64)."),
        (
            "hidden_units",
            "128,64",
            "--hidden_units must be integers in [1, 100000], joined by commas. Got 128,64. In Python: (128, 64).",
        ),
        ("hidden_units", "many", "--hidden_units must be integers in [1, 100000], joined by commas. Got many."),
        (
            "class_weights",
            "daisy=2",
            "--class_weights must be balanced, or LABEL=NUMBER joined by commas, numbers in (0, 1000000]. Got daisy=2. "
            'In Python: {"daisy": 2, "roses": 0.5}, or "balanced".',
        ),
        ("image_dir", b"photos", "--image_dir must be a text that is not empty. Got b'photos'."),
        ("flip_left_right", 1, "--flip_left_right must be True or False. Got 1."),
        ("how_many_training_steps", np.float64(7), "--how_many_training_steps must be an integer in [0, 1000000000]. Got 7.0."),
        ("learning_rate", np.array([0.5]), "--learning_rate must be a number in (0, inf). Got array([0.5])."),
    ],
)
def test_values_that_are_not_allowed(name: str, value: Any, error: str) -> None:
    with pytest.raises(retrain.RetrainError) as caught:
        retrain.RetrainConfig(**{"image_dir": "photos", name: value})
    assert str(caught.value) == error


def test_wrong_names() -> None:
    check_names("run", retrain.RetrainConfig, ["image_dir", "learning_rate"])
    for names, error in (
        (["lerning_rate"], "run() has no option lerning_rate. Did you mean learning_rate?"),
        (["zzzz"], "run() has no option zzzz. help(retrain.RetrainConfig) lists them."),
        (["lerning_rate", "image_dir", "x"], "run() has no option lerning_rate, x. help(retrain.RetrainConfig) lists them."),
    ):
        with pytest.raises(TypeError) as caught:
            check_names("run", retrain.RetrainConfig, names)
        assert str(caught.value) == error
    with pytest.raises(TypeError, match=r"^load\(\) has no option zzzz\. The options are: .*\blabels, "):
        check_names("load", ClassifierOptions, ["zzzz"])


def test_help_documents_each_field_once_in_its_group() -> None:
    text = pydoc.plain(pydoc.render_doc(retrain.RetrainConfig))
    described = text.partition("Method resolution order")[0]
    for name, flag in flags_of(retrain.RetrainConfig).items():
        [found] = re.findall(rf"(?m)^ \|      {name}: .+\n((?: \|          .+\n)+)", described)
        assert " ".join(line.removeprefix(" |").strip() for line in found.splitlines()).startswith(flag.help)
    groups = re.findall(r"(?m)^ \|  ([a-z-]+) \(.+\):$", described)
    assert groups == ["input", "network", "head", "augmentation", "fine-tuning", "output", "advanced"]


@pytest.mark.parametrize(
    "paragraph",
    [
        "image_dir: str | None = None\n"
        "    Folder with one folder of images for each class. None: required, or --image_list.",
        "testing_percentage: int = 10\n"
        "    Percentage of the images in the testing set. An integer in [0, 100).",
        "hidden_units: tuple[int, ...] = ()\n"
        "    Sizes of hidden layers before the softmax, such as 128,64. In Python (128, 64).",
        "flip_left_right: bool = False\n"
        "    Mirror half of the training images, at random.",
        "export: tuple[str, ...] = ()\n"
        "    More formats to write beside --output_graph, for other runtimes, each compared with the graph. Any\n"
        "    of tflite, tflite:float16, tflite:dynamic, tflite:int8, onnx.",
    ],
)  # fmt: skip
def test_a_field_is_documented_as_python_declares_it(paragraph: str) -> None:
    documented = inspect.getdoc(retrain.RetrainConfig)
    assert documented and textwrap.indent(paragraph, "    ") in documented
