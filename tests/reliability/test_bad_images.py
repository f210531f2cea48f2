"""Bad images. What can be decoded by its content is used; what cannot is skipped, and named with its reason."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrain.data.splitting import which_split
from tests.conftest import SMALL_CLASSES
from tests.reliability.bad_images import (
    BAD_CLASS,
    BOMB_SIDE,
    EXACT,
    LEFT_ASIDE,
    N_PHOTOS,
    NAMES,
    ORDINARY,
    UNUSABLE,
    USED,
    encoded,
    jpeg,
    write_photos,
    write_unusable,
    write_usable,
)
from tests.reliability.conftest import Note
from tests.reliability.privilege import unprivileged
from tests.support.commands import (
    ROOT,
    Outputs,
    bottleneck_counts,
    final_test_accuracy,
    own_environment,
    read_bottleneck,
    step_lines,
)
from tests.support.tolerance import SCORE_TOLERANCE, are_same_bottlenecks

pytestmark = pytest.mark.slow

# All paths are relative to the current folder: the split depends on them, and so comes out the same in each run.
PHOTOS, OUTPUTS = Path("photos"), Outputs(Path("out"))
# One engine: TensorFlow, which `auto` may choose on a busy machine, takes a gigabyte of memory.
ENGINE = "--engine=litert"
FLAGS = [f"--image_dir={PHOTOS}", "--architecture=tiny_resnet_128", "--random_seed=1", ENGINE, *OUTPUTS.flags()]
TRAINING_PREFIX = "odd_nohash_"  # Files that differ only after `_nohash_` are in one set.
TIMEOUT = 300  # Seconds after which a command counts as hung; it takes a few.
# A process between, since what counts as a program's peak includes the memory of the process that started it. Its limit is
# for this machine's sake: a program that reads /dev/zero would take all there is.
WITH_PEAK = """
import resource, subprocess, sys
resource.setrlimit(resource.RLIMIT_DATA, (8 << 30, 8 << 30))
code = subprocess.call(sys.argv[2:])
open(sys.argv[1], "w").write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(code)
"""


@dataclass(frozen=True)
class Ended:
    """A command that has ended; `peak` is the most memory it had, in megabytes."""

    code: int
    stdout: str
    stderr: str
    peak: float


@contextmanager
def started(folder: Path, *args: str | Path) -> Iterator["subprocess.Popen[str]"]:
    """`python -m ARGS…` in `folder`, without root's privilege to read any file; nothing of it outlives the block."""
    command = [sys.executable, "-c", WITH_PEAK, folder / "peak", *(unprivileged() or []), sys.executable, "-m", *args]
    environment = {**own_environment(), "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        list(map(str, command)), cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        alarm = threading.Timer(TIMEOUT, os.killpg, (process.pid, signal.SIGKILL))
        alarm.start()
        try:
            yield process
        finally:
            alarm.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def ended(process: "subprocess.Popen[str]", folder: Path) -> Ended:
    stdout, stderr = process.communicate()
    assert process.returncode != -signal.SIGKILL, f"the command hung: {stderr}"
    assert "Traceback" not in stderr
    return Ended(process.returncode, stdout, stderr, int((folder / "peak").read_text()) / 1000)


def run(folder: Path, *args: str | Path) -> Ended:
    with started(folder, *args) as process:
        return ended(process, folder)


SKIPPED, STRICT = "and are skipped", r"\(--strict\)\. Fix or remove them"


def reasons(log: str, ending: str = SKIPPED) -> dict[str, str]:
    """By path, what the one message says of the images that cannot be decoded."""
    [(count, listing)] = re.findall(rf"(?m)^(?:WARNING|error): (\d+) images could not be decoded {ending}:\n((?:  .*\n)+)", log)
    found = dict(re.findall(r"(?m)^  (.+?): (.+)$", listing))
    assert len(found) == int(count) == listing.count("\n")
    return found


@dataclass(frozen=True)
class Ran:
    """Result of three commands on one folder with all bad images in it; `n_usable` is how many can be decoded."""

    folder: Path
    n_usable: int
    training: Ended
    strict: Ended
    labelling: Ended
    graph_before_strict: bytes

    def bottleneck(self, name: str) -> Path:
        return self.folder / OUTPUTS.bottlenecks / BAD_CLASS / f"{name}_tiny_resnet_128.txt"

    def answers(self) -> dict[str, list[dict[str, Any]]]:
        """By path, the labels and scores that label_image gave, the best first."""
        return {answer["image"]: answer["predictions"] for answer in json.loads(self.labelling.stdout)}

    def predictions(self, name: str) -> list[dict[str, Any]]:
        return self.answers()[str(PHOTOS / BAD_CLASS / name)]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("bad_images")
    for label in SMALL_CLASSES:
        write_photos(folder / PHOTOS / label)
    n_usable = len(SMALL_CLASSES) * N_PHOTOS + write_usable(folder / PHOTOS / BAD_CLASS)
    write_unusable(folder / PHOTOS / BAD_CLASS)
    training = run(folder, "retrain", *FLAGS, "--how_many_training_steps=100")
    assert training.code == 0, training.stderr
    graph = (folder / OUTPUTS.graph).read_bytes()
    strict = run(folder, "retrain", *FLAGS, "--strict")
    labelling = run(folder, "label_image", f"--graph={OUTPUTS.graph}", f"--image={PHOTOS}", "--output_format=json", ENGINE)
    return Ran(folder, n_usable, training, strict, labelling, graph)


@pytest.fixture(scope="module")
def distorted(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """Train with distortions on one class of WebPs, one of CMYK JPEGs, and one with the bad images, none held out."""
    folder = tmp_path_factory.mktemp("distorted")
    webp, cmyk, ordinary = (folder / PHOTOS / label for label in SMALL_CLASSES)
    write_photos(webp, lambda image: encoded(image, "WEBP", lossless=True))
    write_photos(cmyk, lambda image: jpeg(image.convert("CMYK")))
    write_photos(ordinary)
    write_unusable(ordinary, TRAINING_PREFIX)
    assert which_split(f"{BAD_CLASS}/{TRAINING_PREFIX}", 30, 0) == "training"
    flags = ["--flip_left_right", "--testing_percentage=30", "--validation_percentage=0"]
    return run(folder, "retrain", *FLAGS, *flags, "--how_many_training_steps=10", "--train_batch_size=30")


@dataclass(frozen=True)
class Vanishing:
    """A training during which the files `doomed` were removed, and the same command again."""

    doomed: list[Path]
    n_left: int
    first: Ended
    second: Ended


@pytest.fixture(scope="module")
def vanishing(tmp_path_factory: pytest.TempPathFactory) -> Vanishing:
    folder, count = tmp_path_factory.mktemp("vanishing"), 40
    for label in SMALL_CLASSES:
        write_photos(folder / PHOTOS / label, count=count)
    doomed = [PHOTOS / BAD_CLASS / f"{seed:03d}.jpg" for seed in range(count - 5, count)]
    # Few images at a time, so that the last are not decoded yet when the first are kept.
    command = ["retrain", *FLAGS, "--how_many_training_steps=20", "--bottleneck_batch_size=2"]
    with started(folder, *command) as process:
        while not any((folder / OUTPUTS.bottlenecks).glob("*/*.txt")):
            assert process.poll() is None, "the command ended without a bottleneck"
            time.sleep(0.01)
        for path in doomed:
            (folder / path).unlink()
        first = ended(process, folder)
    return Vanishing(doomed, len(SMALL_CLASSES) * count - len(doomed), first, run(folder, *command))


def test_the_rest_is_trained(ran: Ran) -> None:
    assert bottleneck_counts(ran.training.stderr) == (ran.n_usable, 0)
    assert {Path(path).name for path in reasons(ran.training.stderr)} | {"unreadable.jpg"} == UNUSABLE.keys()
    right = [path for path, (best, *_) in ran.answers().items() if best["label"] == Path(path).parent.name]
    assert len(ran.answers()) == ran.n_usable
    assert len(right) >= 0.95 * ran.n_usable


@pytest.mark.parametrize("name", USED)
def test_what_can_be_decoded_is_used(ran: Ran, note: Note, name: str) -> None:
    fault, *_, allowed = USED[name]
    ours, plain, other = (read_bottleneck(ran.bottleneck(each)) for each in (name, f"plain_{name}.png", "other.jpg"))
    difference = float(np.abs(ours - plain).mean())
    assert difference <= allowed < 0.5 * np.abs(ours - other).mean()
    assert ran.predictions(name)[0]["label"] == ran.predictions(f"plain_{name}.png")[0]["label"]
    loss = "" if allowed == EXACT else f", but for the JPEG's loss (mean difference {difference:.2f})"
    note(fault, tried=1, happened=f"used: its bottleneck is that of the same picture as an ordinary PNG{loss}")


@pytest.mark.parametrize("fault", NAMES)
def test_any_name_will_do(ran: Ran, note: Note, fault: str) -> None:
    name, ordinary = NAMES[fault], read_bottleneck(ran.bottleneck(ORDINARY))
    scores = {each["label"]: each["score"] for each in ran.predictions(name)}
    assert scores == pytest.approx({each["label"]: each["score"] for each in ran.predictions(ORDINARY)}, abs=SCORE_TOLERANCE)
    if len(os.fsencode(name)) < 200:
        assert are_same_bottlenecks(read_bottleneck(ran.bottleneck(name)), ordinary)
    cached = [read_bottleneck(path) for path in ran.bottleneck(name).parent.glob("*.txt")]
    assert len(cached) == ran.n_usable - 2 * N_PHOTOS
    assert sum(are_same_bottlenecks(each, ordinary) for each in cached) == 1 + len(NAMES)
    other = read_bottleneck(ran.bottleneck("other.jpg"))
    assert sum(are_same_bottlenecks(each, other) for each in cached) == 2  # Its own and that of NEARLY_THE_SAME.
    note(fault, tried=1, happened="used, and read from the cache by the second run")


@pytest.mark.parametrize("name", UNUSABLE)
def test_what_cannot_be_decoded_is_skipped(ran: Ran, distorted: Ended, note: Note, name: str) -> None:
    """By the extraction, and in a training with distortions."""
    fault, reason = UNUSABLE[name]
    if name == "unreadable.jpg" and unprivileged() is None:
        pytest.skip("root reads every file here, and setpriv cannot change that")
    found = reasons(ran.training.stderr)[str(PHOTOS / BAD_CLASS / name)]
    assert re.fullmatch(reason, found)
    assert reasons(distorted.stderr)[str(PHOTOS / BAD_CLASS / f"{TRAINING_PREFIX}{name}")] == found
    note(fault, tried=2, happened=f"skipped: {found}")


@pytest.mark.parametrize("name", LEFT_ASIDE)
def test_what_is_no_file_is_left_aside(ran: Ran, distorted: Ended, note: Note, name: str) -> None:
    """And never opened: to read a FIFO or /dev/zero would have no end."""
    logs = [ran.training.stderr, ran.strict.stderr, ran.labelling.stderr, ran.labelling.stdout, distorted.stderr]
    assert not any(name in log for log in logs)
    assert not ran.bottleneck(name).exists()
    note(LEFT_ASIDE[name], tried=len(logs) - 1, happened="left aside by each command")


def test_bombs_are_not_unpacked(ran: Ran, distorted: Ended, vanishing: Vanishing, note: Note) -> None:
    commands = (ran.training, ran.strict, ran.labelling, distorted)
    most, without, pixels = max(each.peak for each in commands), vanishing.first.peak, BOMB_SIDE**2 * 3 / 1e6
    assert most < without + pixels / 2
    happened = f"{most:,.0f} MB of memory at most, and {without:,.0f} without bombs; the pixels of one are {pixels:,.0f} MB"
    note("three such bombs, in each of four commands", tried=3 * len(commands), happened=happened)


def test_strict_is_an_error_before_training(ran: Ran, note: Note) -> None:
    """It is the second run, too: all bottlenecks are read, those of the 255-byte names as well."""
    assert ran.strict.code == 2
    assert bottleneck_counts(ran.strict.stderr) == (0, ran.n_usable)
    assert "Training on" not in ran.strict.stderr and step_lines(ran.strict.stderr) == []
    assert (ran.folder / OUTPUTS.graph).read_bytes() == ran.graph_before_strict
    found = reasons(ran.strict.stderr, STRICT)
    assert found == reasons(ran.training.stderr)
    [heading] = re.findall(r"(?m)^error: .*$", ran.strict.stderr)
    note(
        "all images above that are skipped, with --strict",
        tried=len(found),
        happened=f"exit code {ran.strict.code}, before training: {heading}",
    )


def test_labelling_the_folder_names_them_too(ran: Ran, note: Note) -> None:
    assert ran.labelling.code == 1
    lines = ran.labelling.stderr.removeprefix("error: ").splitlines()
    found = dict(line.split(" cannot be labelled: ") for line in lines)
    assert found == reasons(ran.training.stderr)
    happened = f"exit code {ran.labelling.code}; {len(ran.answers())} images labelled, and a line for each of these {len(lines)}"
    note("all images above, given to label_image", tried=len(found), happened=happened)


def test_distorted_training_uses_what_only_pillow_decodes(distorted: Ended, note: Note) -> None:
    """Each step draws from all three classes; without photos of two of them, the head would not know these."""
    assert distorted.code == 0, distorted.stderr
    accuracy, count = final_test_accuracy(distorted.stderr)
    training, testing = map(int, re.findall(r"Training on (\d+) training \+ 0 validation \+ (\d+) testing", distorted.stderr)[0])
    assert training + testing == len(SMALL_CLASSES) * N_PHOTOS and testing == count
    assert accuracy >= 90
    tried = 2 * N_PHOTOS
    note("WebPs and CMYK JPEGs, with --flip_left_right", tried=tried, happened=f"used: {accuracy}% of {count} test images right")


def test_files_that_vanish_during_the_extraction(vanishing: Vanishing, note: Note) -> None:
    first, second, left = vanishing.first, vanishing.second, vanishing.n_left
    assert first.code == 0, first.stderr
    assert bottleneck_counts(first.stderr) == (left, 0)
    assert reasons(first.stderr) == {str(path): "No such file or directory" for path in vanishing.doomed}
    assert second.code == 0, second.stderr
    assert bottleneck_counts(second.stderr) == (0, left)
    assert "could not be decoded" not in second.stderr
    [reason] = set(reasons(first.stderr).values())
    happened = f"skipped: {reason}; {left} others made, and read by the next run"
    note("a file that vanishes while bottlenecks are made", tried=len(vanishing.doomed), happened=happened)


def test_training_images_that_all_vanish_during_distorted_training(tmp_path: Path, note: Note) -> None:
    for label in SMALL_CLASSES:
        write_photos(tmp_path / PHOTOS / label)
    flags = ["--flip_left_right", "--how_many_training_steps=60", "--train_batch_size=10", "--eval_step_interval=1"]
    with started(tmp_path, "retrain", *FLAGS, *flags) as process:
        assert process.stderr is not None
        while ": Step 3: " not in (line := process.stderr.readline()):
            assert line, "the training ended before it had begun"
        shutil.rmtree(tmp_path / PHOTOS)
        last = ended(process, tmp_path)
    assert last.code == 0, last.stderr
    assert ": Step 59: " in last.stderr and (tmp_path / OUTPUTS.graph).exists()
    happened = "they were in memory by then: exit code 0, and the graph was written (beyond a gigabyte of photos it is an error)"
    note("all images vanish during distorted training", tried=1, happened=happened)


def test_a_class_of_which_nothing_can_be_decoded(tmp_path: Path, note: Note) -> None:
    for label in SMALL_CLASSES:
        write_photos(tmp_path / PHOTOS / label)
    for path in (tmp_path / PHOTOS / BAD_CLASS).iterdir():
        path.write_bytes(b"")
    last = run(tmp_path, "retrain", *FLAGS)
    assert last.code == 2
    [message] = re.findall(r"(?m)^error: .*$", last.stderr)
    assert message == f"error: No image of the class {BAD_CLASS} is left to train on: none could be decoded."
    assert set(reasons(last.stderr).values()) == {"the file is empty"}
    assert "Training on" not in last.stderr and not (tmp_path / OUTPUTS.graph).exists()
    note("a class of empty files only", tried=1, happened=f"exit code {last.code}, before training: {message}")
