"""Paths as people type them, caches on disks that cannot be written to, and photos that change between two runs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, RunCli
from tests.support.commands import assert_succeeded, bottleneck_counts, own_environment

pytestmark = pytest.mark.slow
NETWORK = ("--architecture=tiny_resnet_128", "--how_many_training_steps=5")
OUTPUTS = ("bottleneck_dir", "summaries_dir", "output_graph", "output_labels", "checkpoint_path")


def outputs_in(folder: str | Path) -> list[str]:
    return [f"--{name}={folder}/{name}" for name in OUTPUTS]


def run_at_home(home: Path, here: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    here.mkdir()
    environment = {**own_environment(), "HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "retrain", *NETWORK, *flags]
    return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)


def test_a_tilde_is_the_home_folder(small_photos: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(small_photos, home / "flowers")
    done = run_at_home(home, tmp_path / "here", "--image_dir=~/flowers", *outputs_in("~/made"))
    assert_succeeded(done)
    assert (home / "made" / "output_graph").is_file()
    assert list((tmp_path / "here").iterdir()) == []


def test_nothing_is_made_if_the_images_are_missing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = run_at_home(home, tmp_path / "here", "--image_dir=~/flowers", *outputs_in("made"))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: --image_dir cannot be read: {home}/flowers (No such file or directory). Give a folder that holds one folder for "
        "each class.\n"
    )
    assert list((tmp_path / "here").iterdir()) == []


def test_a_complete_cache_is_read_where_nothing_can_be_written(run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
    shell = ["unshare", "-m", "bash", "-c"]
    if not shutil.which("unshare") or subprocess.run([*shell, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system mounts nothing for its tests")
    flags = [f"--image_dir={small_photos}", *NETWORK, *outputs_in(tmp_path)]
    first = run_cli("retrain", *flags)
    assert_succeeded(first)
    n_photos = bottleneck_counts(first.stderr)[0]
    cache = tmp_path / "bottleneck_dir"
    mount = f"mount --bind {cache} {cache} && mount -o remount,ro,bind {cache}"
    command = [*shell, f'{mount} && exec "$@"', "bash", sys.executable, "-m", "retrain", *flags]
    done = subprocess.run(command, cwd=ROOT, env=own_environment(), capture_output=True, text=True, check=False)
    assert_succeeded(done)
    assert bottleneck_counts(done.stderr) == (0, n_photos)
    missing = next(cache.glob("*/*.txt"))
    missing.unlink()
    done = subprocess.run(command, cwd=ROOT, env=own_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "error: In the bottleneck cache, " in done.stderr
    assert "cannot be written (Read-only file system). What was made before is kept: make room, or give another" in done.stderr


def test_resume_refuses_other_photos(run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(small_photos, photos)
    flags = [f"--image_dir={photos}", *NETWORK, *outputs_in(tmp_path)]
    assert_succeeded(run_cli("retrain", *flags))
    assert_succeeded(run_cli("retrain", *flags, "--resume"))
    photo = next(photos.glob("*/*.jpg"))
    shutil.copy(photo, photo.with_name("another.jpg"))
    done = run_cli("retrain", *flags, "--resume")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"error: The checkpoint {tmp_path}/checkpoint_path (--checkpoint_path) belongs to another training: images differ. Name "
        "the checkpoint of this one, or leave --resume out to train from the start."
    )
