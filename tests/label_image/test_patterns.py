"""Patterns such as `*.jpg`, which Windows' shells leave as they are."""

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import Label

pytestmark = pytest.mark.slow


def test_a_pattern_that_no_shell_expanded(bundled: Path, few_photos: list[Path], tmp_path: Path, label: Label) -> None:
    for index, photo in enumerate(few_photos):  # Photos of two classes may have the same name.
        shutil.copy(photo, tmp_path / f"{index}_{photo.name}")
    done = label("--graph", bundled, "--output_format", "csv", "--image", f"{tmp_path}{os.sep}*.jpg")
    assert (done.code, done.err) == (0, "")
    assert len({line.split(",")[0] for line in done.out.splitlines()[1:]}) == len(few_photos)


def test_a_pattern_without_a_match_is_named(bundled: Path, tmp_path: Path, label: Label) -> None:
    done = label("--graph", bundled, "--image", f"{tmp_path}/*.jpg")
    assert (done.code, done.err) == (2, f"error: --image {tmp_path}/*.jpg does not exist.\n")
