"""Commands on a terminal: bars, warnings, a summary, and nothing of TensorFlow's."""

import os
import re
import signal
from pathlib import Path

import pytest

from tests.conftest import RunCli
from tests.support.commands import assert_succeeded
from tests.support.terminal import Screen, on_terminal

pytestmark = pytest.mark.slow
CHATTER = re.compile(r"cuda|oneDNN|absl|rebuild TensorFlow|XNNPACK|delegate", re.IGNORECASE)
STEP_LINE = re.compile(r"Step \d+: ")
BAR = re.compile(r"^([a-z-]+): +(\d+)%\|.*\| (\S+)/(\S+) \[(.*)\]$")
NETWORK = ("--architecture=tiny_resnet_128", "--random_seed=1")


def bars_of(screen: Screen) -> list[tuple[str, str, str]]:
    """Return phase, percentage and count of each bar, as it was in the end."""
    return [(found[1], found[2], found[3]) for line in screen.lines if (found := BAR.match(line))]


def after_bars(screen: Screen) -> str:
    """Return the text below the last bar."""
    last = max(index for index, line in enumerate(screen.lines) if BAR.match(line))
    return "\n".join(screen.lines[last + 1 :])


@pytest.fixture
def folder(small_photos: Path, tmp_path: Path) -> Path:
    (tmp_path / "photos").symlink_to(small_photos)
    return tmp_path


def training(*more: str) -> list[str]:
    outputs = ("--bottleneck_dir=cache", "--run_dir=run", "--output_graph=graph.pb", "--output_labels=labels.txt")
    return ["retrain", "--image_dir=photos", *NETWORK, *outputs, "--how_many_training_steps=50", *more]


def test_a_run_is_bars_and_a_summary(folder: Path) -> None:
    screen = on_terminal(*training("--engine=tensorflow", "--fine_tune_steps=2"), folder=folder)
    assert screen.code == 0
    assert not CHATTER.search(screen.raw)
    assert not STEP_LINE.search(screen.raw)
    assert bars_of(screen) == [
        ("bottlenecks", "100", "75"),
        ("training", "100", "50"),
        ("fine-tuning", "100", "2"),
        ("evaluation", "100", "9"),
        ("export", "100", "4"),
    ]
    details = [found[5] for line in screen.lines if (found := BAR.match(line))]
    assert all(re.match(r"\d\d:\d\d<\d\d:\d\d, ", detail) and ("/s" in detail or "s/ " in detail) for detail in details)
    assert all(re.search(r"validation accuracy \d+\.\d%$", detail) for detail in details[1:3])
    summary = after_bars(screen)
    assert re.search(
        r"(?m)^Test accuracy: 100\.0% of 9 images; of others, between 70\.1% and 100\.0% \(95% interval\)\n"
        r" +images  recall  precision\n"
        r"blue stripes       3  100\.0%     100\.0%\n"
        r"green rings        3  100\.0%     100\.0%\n"
        r"red dots           3  100\.0%     100\.0%\n"
        r"Written:\n"
        r"  graph   graph\.pb\n"
        r"  labels  labels\.txt\n"
        r"  split   graph_split\.csv\n"
        r"  report  run/report\.html\n"
        r"Next:\n"
        r"  python -m label_image --graph graph\.pb --image photo\.jpg\n"
        r"  tensorboard --logdir run/training_summaries$",
        summary,
    ), summary
    # The next command works as it stands there.
    (folder / "photo.jpg").write_bytes(next((folder / "photos" / "red dots").iterdir()).read_bytes())
    labelled = on_terminal("label_image", "--graph", "graph.pb", "--image", "photo.jpg", folder=folder)
    assert labelled.code == 0 and any(line.startswith("red dots (score=") for line in labelled.lines)


def test_a_narrow_terminal_shows_the_whole_accuracy(folder: Path) -> None:
    screen = on_terminal(*training("--how_many_training_steps=4000"), folder=folder, columns=80)
    assert screen.code == 0
    [line] = [line for line in screen.lines if line.startswith("training: ")]
    assert re.fullmatch(r"training: 100% 4000/4000 \[00:00 left, +\S+ steps/s, validation \d+\.\d%\]", line) and len(line) <= 80


def test_mistakes_and_skipped_images_are_in_the_summary(folder: Path, small_photos: Path) -> None:
    (folder / "photos").unlink()
    for label in sorted(small_photos.iterdir()):
        (folder / "photos" / label.name).mkdir(parents=True)
        for photo in label.iterdir():
            (folder / "photos" / label.name / photo.name).write_bytes(photo.read_bytes())
    for photo in (folder / "photos" / "red dots").iterdir():  # Dots under the label of the rings.
        photo.rename(folder / "photos" / "green rings" / f"dots_{photo.name}")
        break
    (folder / "photos" / "red dots" / "damaged\n.jpg").write_bytes(b"no image")
    screen = on_terminal(*training("--how_many_training_steps=0"), folder=folder)
    assert screen.code == 0
    summary = after_bars(screen)
    assert (
        "Skipped, since they cannot be decoded: 1\n  photos/red dots/damaged\\n.jpg: it is no image in a known format" in summary
    )
    assert re.search(r"(?m)^Most often confused: \d of \d [a-z ]+ predicted as [a-z ]+", summary)
    assert re.search(
        r"(?m)^Mistakes: \d, the worst first\n  photos/[a-z ]+/\S+: [a-z ]+, but [a-z ]+ was predicted \(0\.\d\d\)$", summary
    )


def lines_of_the_log(text: str) -> list[str]:
    """Return the lines of a log without times and speeds."""
    without_times = re.sub(r"\d{4}-\d\d-\d\d [\d:.]+|\d+\.\d+ s\b", "TIME", text.replace("\r\n", "\n"))
    return re.sub(r"\([^()]*/s\)|\(TIME, [^()]*\)|\(TIME\)", "", without_times).splitlines()


def test_through_a_pipe_and_with_no_progress_the_log_is_the_originals(folder: Path, run_cli: RunCli) -> None:
    (folder / "piped").mkdir()
    (folder / "piped" / "photos").symlink_to(folder / "photos")
    piped = run_cli(*training(), cwd=folder / "piped")
    assert_succeeded(piped)
    assert len(STEP_LINE.findall(piped.stderr)) == 18 and "%|" not in piped.stderr and piped.stdout == ""
    assert "Final test accuracy = 100.0% (N=9)\n" in piped.stderr
    for name, flags, env in (("flag", ["--no_progress"], {}), ("dumb", [], {"TERM": "dumb"})):
        (folder / name).mkdir()
        (folder / name / "photos").symlink_to(folder / "photos")
        screen = on_terminal(*training(*flags), folder=folder / name, env=env)
        assert screen.code == 0
        assert lines_of_the_log(screen.raw) == lines_of_the_log(piped.stderr)


def test_debug_shows_the_steps(folder: Path) -> None:
    screen = on_terminal(*training("--logging_verbosity=DEBUG"), folder=folder)
    assert screen.code == 0
    assert len(STEP_LINE.findall(screen.raw)) == 18 and bars_of(screen) == []


@pytest.mark.parametrize("level", ["WARN", "ERROR"])
def test_whoever_wants_no_messages_sees_none(level: str, folder: Path) -> None:
    screen = on_terminal(*training(f"--logging_verbosity={level}", "--testing_percentage=50"), folder=folder)
    assert (screen.code, [line for line in screen.lines if not line.startswith("WARNING: ")]) == (0, [])


def test_a_narrow_terminal(folder: Path) -> None:
    screen = on_terminal(*training(), folder=folder, columns=40)
    assert screen.code == 0
    assert [line for line in screen.lines if line.startswith("training:")], screen.lines


def test_ctrl_c_ends_the_bar_and_then_says_how_to_continue(folder: Path) -> None:
    stopped: list[int] = []

    def stop(written: str, pid: int) -> None:
        if re.search(r"training: .*\| [1-9]\d*/", written) and not stopped:
            stopped.append(pid)
            os.kill(pid, signal.SIGINT)

    steps = "--how_many_training_steps=100000000"
    screen = on_terminal(*training(steps), folder=folder, watch=stop)
    assert screen.code == 130
    assert bars_of(screen)[-1][0] == "training"
    assert re.fullmatch(r"Stopped\. Run the same command with --resume to continue after step \d+\.", screen.lines[-1])


@pytest.fixture
def graph(folder: Path, run_cli: RunCli) -> Path:
    assert_succeeded(run_cli(*training(), cwd=folder))
    return folder / "graph.pb"


def test_labelling_shows_a_bar_where_its_labels_go_into_a_file(graph: Path) -> None:
    labelling = ["label_image", "--graph=graph.pb", "--image=photos", "--output_format=csv"]
    screen = on_terminal(*labelling, ">labels.csv", folder=graph.parent)
    assert (screen.code, bars_of(screen)) == (0, [("labelling", "100", "75")])
    assert len((graph.parent / "labels.csv").read_text().splitlines()) == 226
    for more in ([], [">more.csv"]):
        screen = on_terminal(*labelling, *(["--no_progress", *more] if more else []), folder=graph.parent)
        assert (screen.code, bars_of(screen)) == (0, [])
        assert len(screen.lines) == (0 if more else 226)


def test_evaluation_and_sweep_show_bars(graph: Path) -> None:
    evaluation = on_terminal("scripts.evaluate", "graph.pb", "--image_dir=photos", folder=graph.parent)
    assert (evaluation.code, bars_of(evaluation)) == (0, [("evaluation", "100", "9")])
    assert "Accuracy = 100.0% (N=9)" in evaluation.lines
    sweep = ["retrain.sweep", "--image_dir=photos", *NETWORK, "--bottleneck_dir=cache", "--learning_rate=0.01,0.1"]
    screen = on_terminal(*sweep, "--how_many_training_steps=20", "--sweep_dir=sweep", folder=graph.parent)
    assert (screen.code, bars_of(screen)) == (0, [("bottlenecks", "100", "75"), ("training", "100", "2")])
    assert not STEP_LINE.search(screen.raw) and "heads trained" not in screen.raw
    assert any(line.startswith("| ") and "0.1" in line for line in screen.lines)
