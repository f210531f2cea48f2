"""Paths as people type them, and photos that change between two runs."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, RunCli
from tests.support.commands import Outputs, assert_succeeded, own_environment

pytestmark = pytest.mark.slow
NETWORK = ("--architecture=tiny_resnet_128", "--how_many_training_steps=5")


def run_at_home(home: Path, here: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    here.mkdir()
    environment = {**own_environment(), "HOME": str(home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "retrain", *NETWORK, *flags]
    return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, check=False)


def test_a_tilde_is_the_home_folder(small_photos: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(small_photos, home / "flowers")
    done = run_at_home(home, tmp_path / "here", "--image_dir=~/flowers", *Outputs(Path("~/made")).flags())
    assert_succeeded(done)
    assert Outputs(home / "made").graph.is_file()
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("program", ["count_ops", "evaluate"])
def test_a_tilde_in_a_path_of_a_script(program: str, tmp_path: Path, run_cli: RunCli) -> None:
    process = run_cli(f"scripts.{program}", "~/none.pb", env={"HOME": str(tmp_path)})
    assert process.returncode == 2
    assert process.stderr == f"error: The graph {tmp_path}/none.pb cannot be read (No such file or directory).\n"


def test_nothing_is_made_if_the_images_are_missing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = run_at_home(home, tmp_path / "here", "--image_dir=~/flowers", *Outputs(Path("made")).flags())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: --image_dir cannot be read: {home}/flowers (No such file or directory). Give a folder that holds one folder for "
        "each class.\n"
    )
    assert list((tmp_path / "here").iterdir()) == []


def test_resume_refuses_other_photos(run_cli: RunCli, small_photos: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(small_photos, photos)
    outputs = Outputs(tmp_path)
    flags = [f"--image_dir={photos}", *NETWORK, *outputs.flags()]
    assert_succeeded(run_cli("retrain", *flags))
    assert_succeeded(run_cli("retrain", *flags, "--resume"))
    photo = next(photos.glob("*/*.jpg"))
    shutil.copy(photo, photo.with_name("another.jpg"))
    done = run_cli("retrain", *flags, "--resume")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"error: The checkpoint {outputs.checkpoint} (--checkpoint_path) belongs to another training: images differ. Name "
        "the checkpoint of this one, or leave --resume out to train from the start."
    )
