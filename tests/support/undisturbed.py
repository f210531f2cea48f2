"""A training that nothing disturbs, and what those that are killed, interrupted or run side by side must come to."""

import dataclasses
import os
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retrain.head.checkpoint import read_checkpoint
from tests.conftest import SMALL_CLASSES, draw_photo
from tests.support.commands import Outputs, entries, read_bottleneck
from tests.support.running import Running
from tests.support.tolerance import assert_same_bottlenecks, assert_same_graph, same_files

PHOTOS_PER_CLASS = 60
N_PHOTOS = PHOTOS_PER_CLASS * len(SMALL_CLASSES)
BOTTLENECK_SIZE = 512  # tiny_resnet_128's.

STOPPED_IN_EXTRACTION = "Stopped. Finished bottlenecks are kept: run the same command again to continue.\n"
STOPPED_IN_TRAINING = re.compile(r"(?m)^Stopped\. Run the same command with --resume to continue after step (\d+)\.$")
RESUMES = re.compile(r"(?m)^Training resumes after step (\d+) of (.*)\.$")


@dataclasses.dataclass(frozen=True)
class Undisturbed:
    """A training that nothing disturbed. `flags` are all of its flags but the outputs', `seconds` its wall time."""

    outputs: Outputs
    flags: tuple[str, ...]
    seconds: float

    def start(self, outputs: Outputs, *more: str, below: Sequence[str] = ()) -> Running:
        """Start the same training with other outputs."""
        return Running(outputs.folder, *self.flags, *outputs.flags(), *_intermediate(outputs), *more, below=below)

    @property
    def log(self) -> str:
        return (self.outputs.folder / "log_0").read_text(encoding="utf-8")

    def check_log(self, log: str) -> None:
        """Assert that a run of the same training warned of nothing else."""
        assert "Traceback" not in log
        assert set(_warnings(log)) <= set(_warnings(self.log)), log

    def check_same_end(self, outputs: Outputs, cache: Path | None = None) -> None:
        """Assert that all bottlenecks are there and agree, and that the graph is what an undisturbed run makes of them.

        That is, to the last bit: of the same bottlenecks. If those were made in other batches and differ from the undisturbed
        run's in their last bits, the same training runs once more, undisturbed, on them.
        """
        cache = cache or outputs.bottlenecks
        assert check_whole(self, outputs, cache).keys() == check_whole(self, self.outputs).keys()
        assert_same_graph(outputs.graph, self.outputs.graph)
        expected = self.outputs
        if not same_files(cache, expected.bottlenecks):
            expected = Outputs(outputs.folder / "undisturbed")
            shutil.copytree(cache, expected.bottlenecks)
            with self.start(expected) as run:
                assert run.end() == 0, run.log
        assert outputs.graph.read_bytes() == expected.graph.read_bytes()
        assert outputs.labels.read_bytes() == expected.labels.read_bytes()


def run_undisturbed(folder: Path, *flags: str) -> Undisturbed:
    outputs, start = Outputs(folder), time.monotonic()
    with Running(folder, *flags, *outputs.flags(), *_intermediate(outputs)) as run:
        assert run.end() == 0, run.log
    return Undisturbed(outputs, flags, time.monotonic() - start)


def _warnings(log: str) -> list[str]:
    return [line for line in log.splitlines() if line.startswith("WARNING")]


def _intermediate(outputs: Outputs) -> list[str]:
    return [f"--intermediate_output_graphs_dir={outputs.folder / 'intermediate'}"]


def draw_photos(folder: Path) -> Path:
    """Draw an image folder of `N_PHOTOS` small photos: enough that making their bottlenecks takes a while."""
    for label in SMALL_CLASSES:
        (folder / label).mkdir(parents=True)
        for seed in range(PHOTOS_PER_CLASS):
            draw_photo(label, seed).save(folder / label / f"photo_{seed:03d}.jpg", quality=90)
    return folder


def has_made(cache: Path, count: int) -> bool:
    return len(entries(cache)) >= count


def check_whole(undisturbed: Undisturbed, outputs: Outputs, cache: Path | None = None) -> dict[str, tuple[int, int]]:
    """Assert that all bottlenecks and intermediate graphs that are there are whole, and agree with the undisturbed run's.

    Return each bottleneck's inode and modification time.
    """
    found, cache = {}, cache or outputs.bottlenecks
    for path in entries(cache):
        name = str(path.relative_to(cache))
        values = read_bottleneck(path)
        assert values.shape == (BOTTLENECK_SIZE,) and np.isfinite(values).all(), name
        assert_same_bottlenecks(values, read_bottleneck(undisturbed.outputs.bottlenecks / name))
        found[name] = path.stat().st_ino, path.stat().st_mtime_ns
    for graph in (outputs.folder / "intermediate").glob("*.pb"):
        assert_same_graph(graph, undisturbed.outputs.folder / "intermediate" / graph.name)
    return found


def checkpoint_step(prefix: Path) -> int:
    """Assert that a checkpoint is whole; return how many steps it has seen, 0 if there is none."""
    if not prefix.parent.exists():
        return 0
    with tempfile.TemporaryDirectory() as copy:  # What has to be put right after a kill, the next run is to find.
        shutil.copytree(prefix.parent, copy, dirs_exist_ok=True)
        checkpoint = read_checkpoint(os.path.join(copy, prefix.name))
    if checkpoint is None:
        return 0
    assert all(np.isfinite(variable).all() for variable in checkpoint.variables)
    return checkpoint.step
