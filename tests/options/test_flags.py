"""Command lines made from dataclasses: what is read, what is refused, and what starting one costs."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from label_image.__main__ import TEXTS as LABEL_TEXTS
from label_image.__main__ import main as label_main
from label_image.config import LabelConfig
from retrain.__main__ import TEXTS as RETRAIN_TEXTS
from retrain.__main__ import main as retrain_main
from retrain.config import RetrainConfig
from retrain.errors import FlagError
from retrain.options.command_line import metavar, parse_args
from retrain.options.flags import check, default_text, flag, flags_of, kind_of, range_text
from tests.conftest import ROOT, RunCli

Main = Callable[[Sequence[str] | None], int]
REQUIRED = {RetrainConfig: "image_dir", LabelConfig: "image"}
# The slow ones to load of what the project uses.
HEAVY = ["tensorflow", "tensorboard", "numpy", "PIL", "orjson"]
PLAIN_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
ANY_VALUES = PLAIN_VALUES | st.lists(PLAIN_VALUES) | st.tuples(PLAIN_VALUES)


@dataclass(frozen=True, kw_only=True)
class Example:
    """One flag of each kind."""

    place: str = flag("Where.")
    count: int = flag("How many.", 3, low=1, high=5, also=-1)
    share: float = flag("How much, in %.", 0.5, low=0, high=1, low_open=True, high_open=True)
    any_number: float | None = flag("Any number.", None, shown_default="inferred")
    loud: bool = flag("Say it loudly.", False)
    colour: str = flag("Which colour.", "Red", choices=("Red", "Green"))
    files: tuple[str, ...] = flag("Files.", ("a", "b"))

    def __post_init__(self) -> None:
        check(self)


def test_each_kind_of_flag_is_read() -> None:
    argv = "--place here --count 5 --share .25 --any_number=-1e3 --loud --colour Green --files x y z"
    expected = Example(place="here", count=5, share=0.25, any_number=-1000.0, loud=True, colour="Green", files=("x", "y", "z"))
    assert parse_args(Example, argv.split()) == expected


def test_defaults_are_kept_where_nothing_is_given() -> None:
    assert parse_args(Example, ["--place=here"]) == Example(place="here")


def test_minus_one_may_stand_apart_from_its_flag() -> None:
    assert parse_args(Example, ["--place", "here", "--count", "-1"]).count == -1


@pytest.mark.parametrize("typed", ["Green", "green", "GREEN", "gReEn"])
def test_choices_are_read_in_any_case(typed: str) -> None:
    assert parse_args(Example, ["--place=here", f"--colour={typed}"]).colour == "Green"


@pytest.mark.parametrize("typed", ["debug", "Warn", "fatal"])
def test_the_level_of_logging_is_read_in_any_case(typed: str) -> None:
    assert parse_args(RetrainConfig, ["--image_dir=p", f"--logging_verbosity={typed}"]).logging_verbosity == typed.upper()


@pytest.mark.parametrize("name", ["print_misclassified_test_images", "flip_left_right"])
def test_a_switch_is_on_where_it_is_named(name: str) -> None:
    assert getattr(parse_args(RetrainConfig, ["--image_dir=photos"]), name) is False
    assert getattr(parse_args(RetrainConfig, ["--image_dir=photos", f"--{name}"]), name) is True


def test_several_images_are_read_after_one_flag() -> None:
    assert parse_args(LabelConfig, ["--image", "a.jpg", "b.png", "--top_k=1"]).image == ("a.jpg", "b.png")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("place", "a text that is not empty"),
        ("count", "-1 or an integer in [1, 5]"),
        ("share", "a number in (0, 1)"),
        ("any_number", "a number in (-inf, inf)"),
        ("loud", "True or False"),
        ("colour", "one of Red, Green"),
    ],
)
def test_the_legal_range_in_words(name: str, expected: str) -> None:
    assert range_text(Example, name) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("place", "required"), ("count", "3"), ("any_number", "inferred"), ("loud", "off"), ("colour", "Red")]
)
def test_the_default_in_words(name: str, expected: str) -> None:
    assert default_text(Example, name) == expected


def test_the_kind_of_a_flag_is_without_none() -> None:
    assert [kind_of(Example, name) for name in flags_of(Example)] == [str, int, float, float, bool, str, tuple]


def test_flags_that_cannot_be_combined_are_reported_with_the_wrong_ones(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = "--dropout=2 --testing_percentage=60 --validation_percentage=50 --fine_tune_layers=( --optimizer=lbfgs"
    assert retrain_main(["--image_dir=photos", *wrong.split()]) == 2
    assert capsys.readouterr().err.splitlines() == [  # lbfgs with dropout is not reported: the dropout is wrong by itself
        "error: --dropout must be a number in [0, 1). Got 2.0.",
        "--testing_percentage and --validation_percentage must leave images to train on: their sum must be below 100. "
        "Got 60 + 50.",
        "--fine_tune_layers must be a regular expression (missing ), unterminated subpattern at position 0). Got (.",
    ]


def test_all_wrong_flags_are_reported_together(capsys: pytest.CaptureFixture[str]) -> None:
    wrong = "--validation_percentage=120 --learning_rate=fast --train_batch_size=0 --random_seed=-1"
    assert retrain_main(["--image_dir=photos", *wrong.split()]) == 2
    assert capsys.readouterr().err.splitlines() == [  # in the order of the flags, not of the command line
        "error: --validation_percentage must be an integer in [0, 100). Got 120.",
        "--learning_rate must be a number in (0, inf). Got fast.",
        "--train_batch_size must be -1 or an integer in [1, 1000000]. Got 0.",
        "--random_seed must be an integer in [0, 4294967296). Got -1.",
    ]


@pytest.mark.parametrize(
    ("main", "argv", "sentence"),
    [
        (retrain_main, [], "--image_dir is required: Folder with one folder of images for each class. Or give --image_list."),
        (label_main, [], "--image is required: Images to label; a folder stands for all images below it."),
        (retrain_main, ["--image_dir=p", "--no_such_flag=3"], "--no_such_flag is no flag. --help lists the flags."),
        (label_main, ["--image=a", "--no_such_flag"], "--no_such_flag is no flag. --help lists the flags."),
        (
            retrain_main,
            ["photos", "--image_dir=p"],
            "photos belongs to no flag: --image_dir takes an existing folder. --help lists the flags.",
        ),
        (retrain_main, ["--image_dir"], "--image_dir needs a value. --help lists the flags."),
        (label_main, ["--image"], "--image needs one value or more. --help lists the flags."),
        (
            retrain_main,
            ["--image_dir=p", "--random=3"],
            "ambiguous option: --random=3 could match --random_crop, --random_scale, --random_brightness, --random_seed. "
            "--help lists the flags.",
        ),
    ],
)
def test_a_command_line_that_cannot_be_read(
    main: Main, argv: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(argv) == 2
    assert capsys.readouterr() == ("", f"error: {sentence}\n")


@pytest.mark.parametrize(("main", "config_class"), [(retrain_main, RetrainConfig), (label_main, LabelConfig)])
def test_help_mentions_every_flag_with_its_default(
    main: Main, config_class: type, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "500")
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    words = " ".join(out.partition("options:")[2].split())
    for name, described in flags_of(config_class).items():
        kind, word = kind_of(config_class, name), metavar(config_class, name)
        value = "" if kind is bool else f"{word} [{word} ...] " if kind is tuple else f"{word} "
        start, _, rest = words.partition(f"--{name} {value}{described.help} ")
        assert rest, f"--{name} is missing after {start[-200:]}"
        default = default_text(config_class, name)
        assert f"{default[0].upper() if default.startswith('required') else default[0]}{default[1:]}." in rest[:400]


@given(name=st.sampled_from(list(flags_of(RetrainConfig))), text=st.text())
@example(name="train_batch_size", text="1" + "0" * 400)  # beyond all floats
@example(name="train_batch_size", text="1" * 5000)  # longer than Python reads
@example(name="image_dir", text="\0")
def test_any_text_for_training_gives_a_configuration_or_a_flag_error(name: str, text: str) -> None:
    assert_configuration_or_flag_error(RetrainConfig, name, text)


@given(name=st.sampled_from(list(flags_of(LabelConfig))), text=st.text())
@example(name="top_k", text="1" + "0" * 400)
def test_any_text_for_labelling_gives_a_configuration_or_a_flag_error(name: str, text: str) -> None:
    assert_configuration_or_flag_error(LabelConfig, name, text)


def assert_configuration_or_flag_error(config_class: type, name: str, text: str) -> None:
    required = REQUIRED[config_class]
    argv = [f"--{required}=photos", f"--{name}={text}"]
    try:
        config: object = parse_args(config_class, argv)
    except FlagError as error:
        assert f"--{name}" in str(error)
    else:
        assert isinstance(config, config_class)


@settings(max_examples=50)
@given(argv=st.lists(st.text() | st.sampled_from([f"--{name}" for name in flags_of(RetrainConfig)])))
def test_any_command_line_gives_a_configuration_help_or_a_flag_error(argv: list[str]) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            assert isinstance(parse_args(RetrainConfig, argv), RetrainConfig)
        except FlagError as error:
            assert str(error)
        except SystemExit as ended:
            assert ended.code == 0


@given(name=st.sampled_from(list(flags_of(RetrainConfig))), value=ANY_VALUES)
@example(name="learning_rate", value=10**400)
def test_any_value_for_a_field_of_training_gives_a_configuration_or_a_flag_error(name: str, value: Any) -> None:
    try:
        RetrainConfig(**{"image_dir": "photos", name: value})
    except FlagError as error:
        assert f"--{name}" in str(error)


@given(name=st.sampled_from(list(flags_of(LabelConfig))), value=ANY_VALUES)
@example(name="image", value=7)
def test_any_value_for_a_field_of_labelling_gives_a_configuration_or_a_flag_error(name: str, value: Any) -> None:
    try:
        LabelConfig(**{"image": ("photo.jpg",), name: value})
    except FlagError as error:
        assert f"--{name}" in str(error)


@pytest.mark.parametrize(
    "statements",
    [
        "import retrain",
        "import label_image",
        "from retrain import RetrainConfig, RetrainError; RetrainConfig(image_dir='photos')",
        "import retrain.__main__; retrain.__main__.main(['--help'])",
        "import label_image.__main__; label_image.__main__.main(['--help'])",
        "import retrain.__main__; retrain.__main__.main(['--learning_rate=fast'])",
        "import label_image.__main__; label_image.__main__.main(['--top_k=many'])",
    ],
)
def test_starting_loads_nothing_heavy_and_touches_no_environment(statements: str, run_python: Callable[[str], Any]) -> None:
    program = f"""
import json, os, sys
before = dict(os.environ)
try:
    {statements}
except SystemExit:
    pass
print(json.dumps([[name for name in {HEAVY} if name in sys.modules], dict(os.environ) == before]))
"""
    assert run_python(program) == [[], True]


@pytest.fixture
def run_python() -> Callable[[str], Any]:
    """Run a program in a fresh Python; return what its last line says in JSON."""

    def run(program: str) -> Any:
        # Nothing is inherited: a variable that the tests have set could not be seen being set again.
        clean = {"PATH": os.environ["PATH"]}
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=clean, capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_help_as_a_command(run_cli: RunCli) -> None:
    for command, texts in (("retrain", RETRAIN_TEXTS), ("label_image", LABEL_TEXTS)):
        done = run_cli(command, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"usage: {texts['prog']} ")


def test_a_wrong_flag_as_a_command(run_cli: RunCli) -> None:
    done = run_cli("retrain", "--image_dir=photos", "--learning_rate=fast")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: --learning_rate must be a number in (0, inf). Got fast.\n"
