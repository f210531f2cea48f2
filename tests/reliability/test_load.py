"""Load.

Tens of thousands of images through the whole job, as the command that a user types. With them grows what has to: an array of
bottlenecks and the list of files.
"""

import dataclasses
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.reliability.conftest import Note
from tests.support.commands import Outputs, bottleneck_counts

pytestmark = pytest.mark.slow

BOTTLENECK_SIZE = 512  # Of tiny_resnet_128.
SIZE = 16  # Pixels.
SHARE = 10  # The run to compare with has this part of the images.
# What a run may take for each image more: its bottleneck, float32, three times over. One is the array of all; the rest is for the
# path, the name and the record as Python objects, and for copies of parts.
BYTES_PER_IMAGE = 3 * BOTTLENECK_SIZE * 4
# By so much two runs on the same images differ: the threads of TensorFlow do not always hold the same number of batches.
NOISE_BYTES = 100e6


@dataclasses.dataclass(frozen=True)
class Measured:
    """A run of the command that has succeeded: what it logged, its peak of resident memory in bytes, its wall time."""

    log: str
    peak: int
    seconds: float


def draw_photos(folder: Path, n_images: int, n_classes: int) -> None:
    """Small JPEGs, all different: each class has a colour, each image its noise."""
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (n_classes, 1, 1, 3))
    for label in range(n_classes):
        (folder / f"class {label:03}").mkdir(parents=True)
    for number in range(n_images):
        label = number % n_classes
        pixels = np.clip(colours[label] + rng.integers(-30, 31, (1, SIZE, SIZE, 3)), 0, 255)[0]
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"class {label:03}" / f"{number:05}.jpg")


def link_some(photos: Path, folder: Path) -> None:
    """Link the first images of each class, one in `SHARE`."""
    for path in photos.iterdir():
        (folder / path.name).mkdir(parents=True)
        names = sorted(os.listdir(path))
        for name in names[: len(names) // SHARE]:
            os.link(path / name, folder / path.name / name)


def train(photos: Path, outputs: Outputs) -> Measured:
    """Run the command in a process of its own, and ask the system what it took."""
    outputs.folder.mkdir(exist_ok=True)
    command = ["retrain", f"--image_dir={photos}", "--architecture=tiny_resnet_128", "--how_many_training_steps=20"]
    start = time.perf_counter()
    with open(outputs.folder / "log", "w+", encoding="utf-8") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, *outputs.flags()], stderr=log, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        log.seek(0)
        text = log.read()
    assert process.returncode == 0, text[-2000:]
    return Measured(text, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024), seconds)


def used_images(log: str) -> list[int]:
    """Return the number of images in the three sets."""
    [counts] = re.findall(r"(?m)^Training on (\d+) training \+ (\d+) validation \+ (\d+) testing images of \d+ classes\.$", log)
    return [int(count) for count in counts]


def check_bottlenecks(photos: Path, outputs: Outputs) -> None:
    """Each image has a bottleneck of finite numbers, and there is no other."""
    images = {f"{path.parent.name}/{path.name}" for path in photos.glob("*/*.jpg")}
    found: Counter[str] = Counter()
    for path in outputs.bottlenecks.glob("*/*.txt"):
        values = np.array(path.read_text(encoding="ascii").split(","), np.float32)
        assert values.shape == (BOTTLENECK_SIZE,) and np.isfinite(values).all(), path
        found[f"{path.parent.name}/{path.name.removesuffix('_tiny_resnet_128.txt')}"] += 1
    assert found == Counter(images)


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="this system does not say how much memory a process took")
def test_many_images(long: bool, note: Note, tmp_path: Path) -> None:
    n_images, n_classes = (50_000, 500) if long else (300, 6)
    photos, some, all_outputs = tmp_path / "photos", tmp_path / "some", Outputs(tmp_path / "all")
    draw_photos(photos, n_images, n_classes)
    link_some(photos, some)

    few = train(some, Outputs(tmp_path / "few"))
    first = train(photos, all_outputs)
    assert bottleneck_counts(few.log) == (n_images // SHARE, 0)
    assert bottleneck_counts(first.log) == (n_images, 0)
    assert sum(used_images(first.log)) == n_images
    assert len(all_outputs.labels.read_text(encoding="utf-8").splitlines()) == n_classes
    check_bottlenecks(photos, all_outputs)

    second = train(photos, all_outputs)
    assert bottleneck_counts(second.log) == (0, n_images)
    assert used_images(second.log) == used_images(first.log)

    allowed = few.peak + (n_images - n_images // SHARE) * BYTES_PER_IMAGE + NOISE_BYTES
    assert max(first.peak, second.peak) < allowed
    sets = " + ".join(f"{count:,}" for count in used_images(first.log))
    peaks = [f"{run.peak / 1e6:,.0f} MB" for run in (first, second, few)]
    note(
        f"{n_images:,} images in {n_classes} classes, trained on twice",
        tried=n_images,
        happened=f"{n_images:,} bottlenecks made and {sets} images used; the second run made 0, read {n_images:,} and took "
        f"{second.seconds / first.seconds:.0%} of the time. Peak memory {peaks[0]} and {peaks[1]}; "
        f"of a run on {n_images // SHARE:,} images {peaks[2]}",
    )
