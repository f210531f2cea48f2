"""Command lines: groups of the help, what mistyped arguments could mean, and arguments without their flag."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from label_image.__main__ import main as label_main
from label_image.config import LabelConfig
from retrain.__main__ import main as retrain_main
from retrain.config import RetrainConfig
from retrain.errors import FlagError
from retrain.options.command_line import build_parser, grouped
from retrain.options.flags import Options, flag, flags_of, group_of
from retrain.options.groups import GROUPS
from retrain.options.images import FOLDER_ARGUMENT
from retrain.options.nearest import did_you_mean, nearest
from retrain.options.stray_arguments import Positional, quoted
from retrain.sweep.__main__ import build_sweep_parser
from retrain.sweep.config import SweepConfig
from scripts.evaluate import EvaluateConfig

TITLE = re.compile(r"(?m)^(\S.*):$")
ALL_TITLES = [
    "options",
    "input (the images)",
    "network (the pretrained network, or the trained graph)",
    "head (the layers that are trained)",
    "augmentation (random distortions of training images)",
    "fine-tuning (training of the network's own weights)",
    "output (files, the log and reports)",
    "advanced (rarely needed)",
    "examples",
    "Then",
]


@dataclass(frozen=True, kw_only=True)
class Example(Options):
    """Flags of each kind, for the command lines of these tests."""

    folder: str | None = flag("A folder.", None, path="FOLDER")
    pictures: tuple[str, ...] = flag("Pictures.", (), path="PATH")
    word: str = flag("A word.", "none")
    count: int = flag("A number, in %.", 3, low=1, high=9)
    colour: str = flag("A colour.", "red", choices=("red", "dark_blue"))
    loud: bool = flag("A switch.", False)


def help_of(main: Callable[[Sequence[str] | None], int], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main(["--help"])
    return capsys.readouterr().out


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "500")


def test_the_groups_of_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert TITLE.findall(help_of(retrain_main, capsys)) == ALL_TITLES


def test_the_groups_of_labelling(capsys: pytest.CaptureFixture[str]) -> None:
    wanted = ("options", "input", "network", "output", "advanced", "examples")
    assert TITLE.findall(help_of(label_main, capsys)) == [title for title in ALL_TITLES if title.startswith(wanted)]


def test_the_groups_of_a_sweep() -> None:
    text = build_sweep_parser().format_help()
    expected = ["options", "sweep (the trainings that are compared)", *ALL_TITLES[1:-2]]
    assert TITLE.findall(text) == expected
    assert "--learning_rate VALUES Learning rate; lbfgs chooses its own step size. A number in (0, inf); " in " ".join(
        text.split()
    )


@pytest.mark.parametrize("config_class", [RetrainConfig, LabelConfig, SweepConfig])
def test_every_flag_of_these_commands_has_a_group(config_class: type) -> None:
    names = flags_of(config_class)
    assert {name: group_of(config_class, name) for name in names if group_of(config_class, name) not in GROUPS} == {}
    assert sorted(name for members in grouped(config_class, names).values() for name in members) == sorted(names)


@pytest.mark.parametrize("config_class", [RetrainConfig, LabelConfig, SweepConfig, EvaluateConfig])
def test_the_help_of_a_flag_is_one_sentence(config_class: type) -> None:
    texts = {name: about.help for name, about in flags_of(config_class).items()}
    assert {name: text for name, text in texts.items() if not text.endswith(".") or re.search(r"\. [A-Z]", text)} == {}


@pytest.mark.parametrize(
    "line",
    [
        "--image_dir FOLDER Folder with one folder of images for each class. Required, or --image_list.",
        "--testing_percentage INTEGER Percentage of the images in the testing set. An integer in [0, 100); default: 10.",
        "--channel_order CHOICE Order of the colours in the input: rgb; or bgr, for networks that were trained on images as "
        "OpenCV reads them. One of rgb, bgr; default: from the graph's metadata, else rgb.",
        "--hidden_units TEXT Sizes of hidden layers before the softmax, such as 128,64. Integers in [1, 100000], joined by "
        "commas; default: no hidden layer.",
        "--resume Resume the training in the checkpoint, if there is one. Default: off.",
        "--timing_report FILE File to write the times of the phases to, as JSON. Default: no file.",
    ],
)
def test_a_line_of_the_help(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert line in " ".join(help_of(retrain_main, capsys).split())


def test_a_percent_sign_in_the_help() -> None:
    assert "--count INTEGER A number, in %. An integer in [1, 9]; default: 3." in " ".join(
        build_parser(Example).format_help().split()
    )


def test_the_help_begins_with_the_usual_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert help_of(retrain_main, capsys).startswith(
        "usage: python -m retrain --image_dir FOLDER [--architecture NAME] [more flags]\n\nTrain an image classifier"
    )


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("imgae_dir", ["image_dir"]),
        ("Image-Dir", ["image_dir"]),
        ("image dir", ["image_dir"]),
        ("dir", ["image_dir", "model_dir"]),
        ("batch", ["train_batch_size", "test_batch_size"]),
        ("epochs", []),
        ("di", []),
        ("", []),
    ],
)
def test_the_nearest_names(name: str, found: list[str]) -> None:
    assert nearest(name, ["image_dir", "model_dir", "train_batch_size", "test_batch_size", "top_k"]) == found


def test_parts_of_names_may_be_left_out() -> None:
    assert nearest("dir", ["image_dir"], parts=False) == []


def test_at_most_three_names() -> None:
    names = [f"layer_{number}" for number in range(9)]
    assert did_you_mean("layer", names) == " Did you mean layer_0 or layer_1 or layer_2?"
    assert len(nearest("leyer_0", names)) <= 3


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Enter a folder with a few files and folders."""
    for name in ("photos", "my photos", "other"):
        (tmp_path / name).mkdir()
    for name in ("a.jpg", "my first photo.jpg", "b.jpg", "$x.jpg"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def problem(argv: Sequence[str], positional: Positional | None = None) -> str:
    with pytest.raises(FlagError) as caught:
        build_parser(Example, prog="program", positional=positional).parse_args(argv)
    return str(caught.value)


@pytest.mark.parametrize(
    ("argv", "path", "command"),
    [
        ("--folder my photos", "my photos", '--folder "my photos"'),
        ("--folder=my photos --loud", "my photos", '"--folder=my photos" --loud'),
        ("--fold my photos", "my photos", '--fold "my photos"'),
        ("--loud my photos", "my photos", '--loud "my photos"'),
        ("--pictures a.jpg my first photo.jpg b.jpg", "my first photo.jpg", '--pictures a.jpg "my first photo.jpg" b.jpg'),
        ("--word it's --folder my photos", "my photos", '--word "it\'s" --folder "my photos"'),
        ("--word $x --folder my photos", "my photos", "--word '$x' --folder \"my photos\""),
        ("--folder no such folder", "no such folder", '--folder "no such folder"'),
    ],
)
def test_a_path_with_spaces(argv: str, path: str, command: str, here: Path) -> None:
    assert problem(argv.split()) == f"{path}: a path that has spaces needs quotes. The command is then: program {command}"


@pytest.mark.parametrize(
    "argv",
    [
        ["--pictures", "a.jpg", "b.jpg"],
        ["--pictures", "missing.jpg", "none.jpg"],
        ["--pictures", *["missing.jpg"] * 2000],
        ["--folder", "my photos"],
        ["--pictures", "my first photo.jpg", "a.jpg"],
    ],
)
def test_values_that_are_no_parts_of_a_path(argv: list[str], here: Path) -> None:
    assert vars(build_parser(Example).parse_args(argv))[argv[0][2:]] in (argv[1:], argv[1])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["photos"], "photos belongs to no flag. --help lists the flags."),
        (["photos", "x"], "photos, x belong to no flag. --help lists the flags."),
        (["--folder", "photos", "other"], "other belongs to no flag. --help lists the flags."),
        (["--loud", "yes"], "--loud is a switch, which takes no value. Got yes. --help lists the flags."),
        (["--count", "-1", "-2"], "--count takes one value, -1, before -2. --help lists the flags."),
        (["--count=1", "2", "3e-5"], "--count takes one value, 1, before 2 3e-5. --help lists the flags."),
        (["--count", "1", "two"], "two belongs to no flag. --help lists the flags."),
        (["--loud=yes"], "--loud is a switch, which takes no value. Got yes. --help lists the flags."),
        (
            ["--lout", "--fodler", "x"],
            "--lout is no flag. Did you mean --loud?\n--fodler is no flag. Did you mean --folder? --help lists the flags.",
        ),
        (["--folder", "--lout"], "--lout is no flag. Did you mean --loud? --help lists the flags."),
        (["-word=x"], "-word is no flag. Did you mean --word? --help lists the flags."),
        (["-help"], "-help is no flag. Did you mean --help? --help lists the flags."),
        (["--zzz"], "--zzz is no flag. --help lists the flags."),
        (["--lout\n"], "--lout\\n is no flag. Did you mean --loud? --help lists the flags."),
        (["--folder"], "--folder needs a value. --help lists the flags."),
    ],
)
def test_arguments_that_belong_to_no_flag(argv: list[str], message: str, here: Path) -> None:
    assert problem(argv) == message


def test_abbreviations_of_flags_are_kept() -> None:
    found = build_parser(Example).parse_args(["--fol=x", "--col", "red", "--lou", "--pic", "a", "b", "--cou=-1"])
    assert (found.folder, found.colour, found.loud, found.pictures, found.count) == ("x", "red", True, ["a", "b"], "-1")


@pytest.mark.parametrize("argv", [["photos"], ["--loud", "photos"], ["photos", "--count", "2"], ["--", "photos"]])
def test_an_argument_is_taken_for_a_flag(argv: list[str], here: Path) -> None:
    parser = build_parser(Example, positional=Positional("folder", os.path.isdir, "an existing folder"))
    assert parser.parse_args(argv).folder == "photos"
    assert parser.remarks == ["photos: taken for --folder."]


def test_arguments_are_added_to_a_flag_of_several_values(here: Path) -> None:
    positional = Positional("pictures", os.path.isfile, "an existing file", several=True)
    parser = build_parser(Example, positional=positional)
    assert parser.parse_args(["b.jpg", "--pictures", "a.jpg", "--loud", "$x.jpg"]).pictures == ["a.jpg", "b.jpg", "$x.jpg"]
    assert parser.remarks == ["b.jpg, $x.jpg: taken for --pictures."]


def test_remarks_reach_the_log(here: Path, logged: list[str]) -> None:
    parser = build_parser(RetrainConfig, positional=FOLDER_ARGUMENT)
    parser.parse_args(["photos"])
    parser.log_remarks()
    assert logged == ["INFO: photos: taken for --image_dir."]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("photos/a.jpg", "photos/a.jpg"),
        ("größe.jpg", "größe.jpg"),
        ("my photos", '"my photos"'),
        ("", '""'),
        ("a$b c", "'a$b c'"),
        ("it's", '"it\'s"'),
        ("*.jpg", '"*.jpg"'),
    ],
)
def test_arguments_are_quoted_for_a_shell(typed: str, shown: str) -> None:
    assert quoted(typed) == shown
