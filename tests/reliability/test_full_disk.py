"""Full disks and read-only folders.

On a small disk of its own, a tmpfs, so that the system itself says that there is no space or that nothing may be written.
"""

import contextlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from retrain.engines.store import VARIABLE
from tests.conftest import SMALL_CLASSES, SMALL_SPLIT, RunCli
from tests.reliability.conftest import Note
from tests.support.commands import DIRECT, FINAL_WEIGHTS, Outputs, assert_succeeded, bottleneck_counts, entries, step_lines
from tests.support.running import Running
from tests.support.stand_ins import ARCHIVE, serve_folder, tiny_inception_graph, write_inception_archive
from tests.support.tolerance import assert_same_bottleneck_file, assert_same_graph
from tests.support.undisturbed import has_made

pytestmark = pytest.mark.slow

N_SMALL = len(SMALL_CLASSES) * sum(SMALL_SPLIT.values())
DISK_BYTES, N_INODES = 8 << 20, 500
TRAINING = ["--how_many_training_steps=20", "--random_seed=3"]


class Disk:
    """A small disk that is made in a namespace of its own, so that no right is needed for it, and is reached through /proc.

    Use as a context manager: it is gone with the block. Where the system does not permit it the test is skipped.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._mount_point = folder, folder.with_name(f"{folder.name}_mount_point")
        self._mount_point.mkdir(parents=True)
        if not shutil.which("unshare") or not shutil.which("nsenter"):
            pytest.skip("no disk can be made here: there is no unshare or no nsenter")
        # The namespace lives as long as this process, which is until its stdin is closed.
        self._holder = subprocess.Popen(
            ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", "echo ready; cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._holder.stdout and self._holder.stderr
        if not self._holder.stdout.readline():
            pytest.skip(f"no disk can be made here: {self._holder.stderr.read().decode().strip()}")
        problem = self._do("mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},nr_inodes={N_INODES}", "tmpfs")
        if problem:
            self._holder.communicate()
            pytest.skip(f"no disk can be made here: {problem}")
        folder.symlink_to(f"/proc/{self._holder.pid}/root{self._mount_point}")

    def __enter__(self) -> "Disk":
        return self

    def __exit__(self, *exception: object) -> None:
        self._holder.communicate()

    def _do(self, *command: str) -> str:
        """Run a command on the mount point. Return what is wrong, or nothing."""
        namespace = ["nsenter", f"--target={self._holder.pid}", "--user", "--mount", "--preserve-credentials"]
        done = subprocess.run([*namespace, *command, self._mount_point], capture_output=True, text=True, check=False)
        return done.stderr.strip()

    def fill(self, but_for: int) -> None:
        """Leaves room for so many bytes only."""
        with open(self.folder / "filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(self.folder / "filler", (self.folder / "filler").stat().st_size - but_for)

    def fill_inodes(self, but_for: int) -> None:
        """Leaves room for so many files only, of any size."""
        with contextlib.suppress(OSError):
            for number in range(N_INODES):
                (self.folder / f"filler_{number}").touch()
        for number in range(but_for):
            (self.folder / f"filler_{number}").unlink()

    def make_room(self) -> None:
        for path in self.folder.glob("filler*"):
            path.unlink()

    def make_read_only(self) -> None:
        """By a read-only mount of the same over it, since the disk itself cannot be changed while a file is open for writing."""
        assert not self._do("mount", "--bind", str(self._mount_point))
        assert not self._do("mount", "-o", "remount,bind,ro", "tmpfs")

    def make_writable(self) -> None:
        assert not self._do("umount")


@dataclass(frozen=True)
class Place:
    """One of the places that a run writes to, on the disk.

    Attributes:
        flag: which.
        path: below the disk.
        room: bytes that are free on the full disk.
        at_end: whether it is written when training is done.
        replaces: whether what was there before stays until the new is there.
        more: flags that have it written at all.
    """

    flag: str
    path: str
    room: int
    at_end: bool = False
    replaces: bool = False
    more: tuple[str, ...] = ()

    def flags(self, disk: Disk) -> list[str]:
        return [f"--{self.flag}={disk.folder / self.path}", *self.more]


BOTTLENECKS = Place("bottleneck_dir", "cache", 0)
SUMMARIES = Place("summaries_dir", "summaries", 8192)
GRAPH = Place("output_graph", "graph.pb", 1 << 20, at_end=True, replaces=True)
LABELS = Place("output_labels", "labels.txt", 0, at_end=True, replaces=True)
CHECKPOINT = Place("checkpoint_path", "head", 4096, at_end=True)
SAVED_MODEL = Place("saved_model_dir", "saved", 1 << 20, at_end=True)
INTERMEDIATE = Place("intermediate_output_graphs_dir", "steps", 1 << 20, more=("--intermediate_store_frequency=10",))
QUICKLY = (SUMMARIES, GRAPH)
ALL = (*QUICKLY, LABELS, CHECKPOINT, SAVED_MODEL, INTERMEDIATE)


@pytest.fixture(scope="module")
def healthy(small_photos: Path, run_cli: RunCli, tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """Train where there is room."""
    outputs = Outputs(tmp_path_factory.mktemp("healthy"))
    process = run_cli("retrain", f"--image_dir={small_photos}", "--architecture=tiny_resnet_128", *TRAINING, *outputs.flags())
    assert_succeeded(process)
    return outputs


def flags_for(photos: Path, outputs: Outputs, healthy: Outputs) -> list[str]:
    """With the bottlenecks made already."""
    shutil.copytree(healthy.bottlenecks, outputs.bottlenecks)
    return [f"--image_dir={photos}", "--architecture=tiny_resnet_128", *TRAINING, *outputs.flags()]


def error_of(process: subprocess.CompletedProcess[str], code: int) -> str:
    """Return the error with which a command ended."""
    assert process.returncode == code and "Traceback" not in process.stderr, process.stderr
    assert process.stderr.count("error: ") == 1, process.stderr
    return process.stderr.split("error: ")[1].strip()


def shortened(text: str, folder: Path) -> str:
    """On one line, without the folder and what differs from run to run."""
    text = re.sub(r"(\.tfevents|\.tempstate|\.tmp-)[.\w]*\w", r"\1…", text.replace("\n", " "))
    return text.replace(f"{folder}/", "").replace(str(folder), folder.name)


def test_full_while_a_network_is_converted(
    small_photos: Path, mobilenet_model_dir: Path, run_cli: RunCli, tmp_path: Path, note: Note
) -> None:
    flags = [f"--image_dir={small_photos}", f"--model_dir={mobilenet_model_dir}", "--architecture=mobilenet_0.25_128", *TRAINING]
    graphs = []
    with Disk(tmp_path / "disk") as disk:
        disk.fill(but_for=200_000)
        for name in ("full", "with room", "converted"):
            outputs = Outputs(tmp_path / name)
            assert_succeeded(run_cli("retrain", *flags, *outputs.flags(), env={VARIABLE: str(disk.folder / "cache")}))
            graphs.append(outputs.graph)
            assert leftovers(disk.folder) == []
            kept = list(disk.folder.rglob("*.litert"))
            assert len(kept) == (name != "full")
            disk.make_room()
    for graph in graphs[1:]:
        assert_same_graph(graph, graphs[0])
    note(
        "a disk for conversions that is full",
        tried=1,
        happened="the conversion was used and not kept; with room, the next run kept it",
    )


def test_full_while_bottlenecks_are_made(
    small_photos: Path, healthy: Outputs, run_cli: RunCli, tmp_path: Path, long: bool, note: Note
) -> None:
    """Out of bytes, and out of inodes, which the system calls by the same name."""
    for what in ("bytes", "inodes") if long else ("bytes",):
        outputs = Outputs(tmp_path / what)
        with Disk(tmp_path / f"disk_of_few_{what}") as disk:
            if what == "bytes":
                disk.fill(but_for=200_000)
            else:
                disk.fill_inodes(but_for=40)
            flags = [f"--image_dir={small_photos}", "--architecture=tiny_resnet_128", *TRAINING, *outputs.flags()]
            flags += [f"--bottleneck_dir={disk.folder / 'cache'}", "--bottleneck_batch_size=4"]
            error = error_of(run_cli("retrain", *flags), 2)
            assert re.fullmatch(
                rf"In the bottleneck cache, {disk.folder}/cache.* cannot be written \(No space left on device\)\. What was made "
                r"before is kept: make room, or give another --bottleneck_dir, and run again\.",
                error,
            )
            kept = sorted((disk.folder / "cache").glob("*/*.txt"))
            for path in kept:
                assert_same_bottleneck_file(path, healthy.bottlenecks / path.parent.name / path.name)
            assert leftovers(disk.folder) == [] and not outputs.graph.exists()
            disk.make_room()
            again = run_cli("retrain", *flags)
            assert_succeeded(again)
        assert bottleneck_counts(again.stderr) == (N_SMALL - len(kept), len(kept)) and 0 < len(kept) < N_SMALL
        assert_same_graph(outputs.graph, healthy.graph)
        note(
            f"a disk of the cache that runs out of {what}",
            tried=1,
            happened=f"exit code 2: `{shortened(error, disk.folder)}`; {len(kept)} whole bottlenecks; with room, "
            f"the same command made the other {N_SMALL - len(kept)}",
        )


def test_full_when_outputs_are_written(
    small_photos: Path, healthy: Outputs, run_cli: RunCli, tmp_path: Path, long: bool, note: Note
) -> None:
    for place in ALL if long else QUICKLY:
        outputs = Outputs(tmp_path / place.flag)
        with Disk(tmp_path / f"disk_of_{place.flag}") as disk:
            flags = [*flags_for(small_photos, outputs, healthy), *place.flags(disk)]
            earlier = disk.folder / f"earlier_{place.path}"
            earlier.write_bytes(b"what was there before")
            if place.replaces:
                (disk.folder / place.path).write_bytes(b"what an earlier run wrote")
            disk.fill(place.room)
            failed = run_cli("retrain", *flags)
            error = error_of(failed, 1)
            assert "No space left on device" in error
            assert str(disk.folder / place.path) in error
            assert earlier.read_bytes() == b"what was there before"
            if place.replaces:
                assert (disk.folder / place.path).read_bytes() == b"what an earlier run wrote"
            assert leftovers(disk.folder) == []
            if place.at_end:
                _check_outputs(outputs, healthy, but=place.flag)
            disk.make_room()
            again = run_cli("retrain", *flags, "--resume")
            assert_succeeded(again)
            assert bottleneck_counts(again.stderr) == (0, N_SMALL)
            trained = place.at_end and place is not CHECKPOINT
            assert (step_lines(again.stderr) == []) == trained
            _check_outputs(outputs, healthy, but=place.flag)
            if place.replaces:
                expected = healthy.graph if place is GRAPH else healthy.labels
                assert (disk.folder / place.path).read_bytes() == expected.read_bytes()
        afterwards = "with room, `--resume` had nothing to train" if trained else "with room it succeeded"
        others = "the other outputs were written; " if place.at_end else ""
        note(
            f"a disk that is full when `--{place.flag}` is written",
            tried=1,
            happened=f"exit code 1: `{shortened(error, disk.folder)}`; {others}{afterwards}",
        )


def _check_outputs(outputs: Outputs, healthy: Outputs, but: str) -> None:
    """Assert that all are there, and are what they should be, but for one."""
    if but != "output_graph":
        assert outputs.graph.read_bytes() == healthy.graph.read_bytes()
    if but != "output_labels":
        assert outputs.labels.read_bytes() == healthy.labels.read_bytes()
    if but != "checkpoint_path":
        head, expected = (tf.train.load_checkpoint(str(each.checkpoint)) for each in (outputs, healthy))
        np.testing.assert_array_equal(head.get_tensor(FINAL_WEIGHTS), expected.get_tensor(FINAL_WEIGHTS))


def leftovers(folder: Path) -> list[Path]:
    """Temporary files, ours and TensorFlow's."""
    return [path for path in folder.rglob("*") if path.name.startswith(".tmp") or "temp" in path.name]


def test_full_while_the_network_is_downloaded(small_photos: Path, run_cli: RunCli, tmp_path: Path, note: Note) -> None:
    mirror, outputs = tmp_path / "mirror", Outputs(tmp_path / "run")
    mirror.mkdir()
    write_inception_archive(mirror, tiny_inception_graph())
    with Disk(tmp_path / "disk") as disk, serve_folder(mirror) as server:
        models = disk.folder / "models"
        flags = [f"--image_dir={small_photos}", "--architecture=inception_v3", f"--model_dir={models}", *outputs.flags()]
        flags += [f"--model_url_base={server.url}", *TRAINING]
        disk.fill(40_000)
        error = error_of(run_cli("retrain", *flags, env=DIRECT), 1)
        assert "No space left on device" in error and str(models) in error
        assert [path for path in models.rglob("*") if path.is_file()] == []
        disk.make_room()
        assert_succeeded(run_cli("retrain", *flags, env=DIRECT))
        assert (models / ARCHIVE).read_bytes() == (mirror / ARCHIVE).read_bytes()
        assert server.requests == [f"/{ARCHIVE}"] * 2
    note(
        "a disk that is full while a network is downloaded to `--model_dir`",
        tried=1,
        happened=f"exit code 1: `{shortened(error, disk.folder).replace(server.url, 'http://…/')}`; no part of the archive left; "
        "with room, the same command ran to its end",
    )


def test_read_only_folders(small_photos: Path, healthy: Outputs, run_cli: RunCli, tmp_path: Path, long: bool, note: Note) -> None:
    """Said before anything is made or trained, naming the flag."""
    errors = []
    outputs = Outputs(tmp_path / "run")
    flags = flags_for(small_photos, outputs, healthy)
    places = (*ALL, BOTTLENECKS) if long else (LABELS, BOTTLENECKS)
    for place in places:
        with Disk(tmp_path / f"disk_of_{place.flag}") as disk:
            disk.make_read_only()
            process = run_cli("retrain", *flags, *place.flags(disk))
            error = error_of(process, 2)
            assert error.startswith(f"--{place.flag}: the folder {disk.folder}"), error
            assert "Training on" not in process.stderr
            assert not outputs.graph.exists() and not list(outputs.checkpoint.parent.glob("*"))
            disk.make_writable()
            errors.append(shortened(error, disk.folder))
    assert_succeeded(run_cli("retrain", *flags))
    listed = "; ".join(f"`{error}`" for error in errors)
    note("a read-only folder for each output in turn", tried=len(places), happened=f"exit code 2, before any work: {listed}")


def test_a_complete_cache_on_a_read_only_disk(
    small_photos: Path, healthy: Outputs, run_cli: RunCli, tmp_path: Path, note: Note
) -> None:
    """It is read; with one bottleneck missing, the error says that it cannot be written."""
    outputs = Outputs(tmp_path / "run")
    flags = flags_for(small_photos, outputs, healthy)
    with Disk(tmp_path / "disk") as disk:
        cache = disk.folder / BOTTLENECKS.path
        shutil.copytree(healthy.bottlenecks, cache)
        disk.make_read_only()
        process = run_cli("retrain", *flags, *BOTTLENECKS.flags(disk))
        assert_succeeded(process)
        n_made, n_read = bottleneck_counts(process.stderr)
        assert (n_made, n_read) == (0, 75)
        disk.make_writable()
        next(cache.glob("*/*.txt")).unlink()
        disk.make_read_only()
        error = error_of(run_cli("retrain", *flags, *BOTTLENECKS.flags(disk)), 2)
        assert error.startswith("In the bottleneck cache, "), error
        assert "cannot be written (Read-only file system). What was made before is kept: " in error
        disk.make_writable()
    note(
        "a complete cache on a read-only disk, and one that lacks a bottleneck",
        tried=2,
        happened=f"the first was read, {n_read} of {n_read}; of the second, exit code 2: `{shortened(error, disk.folder)}`",
    )


def test_read_only_in_the_midst(small_photos: Path, healthy: Outputs, tmp_path: Path, note: Note) -> None:
    """As a system makes a disk that gives errors."""
    outputs = Outputs(tmp_path / "run")
    with Disk(tmp_path / "disk") as disk:
        cache = disk.folder / "cache"
        flags = [f"--image_dir={small_photos}", "--architecture=tiny_resnet_128", *TRAINING, *outputs.flags()]
        flags += [f"--bottleneck_dir={cache}", "--bottleneck_batch_size=1"]
        with Running(outputs.folder, *flags) as run:
            run.wait_until(partial(has_made, cache, 3))
            disk.make_read_only()
            assert run.end() == 2, run.log
        error = run.log.splitlines()[-1].removeprefix("error: ")
        assert re.fullmatch(rf"In the bottleneck cache, {cache}/.* cannot be written \(Read-only file system\)\..*", error)
        kept = entries(cache)
        for path in kept:
            assert_same_bottleneck_file(path, healthy.bottlenecks / path.parent.name / path.name)
        disk.make_writable()
        with Running(outputs.folder, *flags) as run:
            assert run.end() == 0, run.log
    assert bottleneck_counts(run.log) == (N_SMALL - len(kept), len(kept))
    assert_same_graph(outputs.graph, healthy.graph)
    note(
        "a disk that becomes read-only while bottlenecks are made",
        tried=1,
        happened=f"exit code 2: `{shortened(error, disk.folder)}`; {len(kept)} whole bottlenecks; writable again, the same "
        f"command made the other {N_SMALL - len(kept)}",
    )
