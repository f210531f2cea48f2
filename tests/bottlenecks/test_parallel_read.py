"""Reading of many bottleneck files by several processes."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from retrain.arrays import FloatArray
from retrain.bottlenecks import extract
from retrain.bottlenecks.cache import BottleneckCache, format_values
from retrain.bottlenecks.extract import Extractor
from retrain.bottlenecks.parallel_read import CHUNK, read_rows
from retrain.data.image_lists import LabelledImage
from retrain.input_spec import InputSpec

SIZE = 7
ANY_SPEC = InputSpec(1, 1, 0.0, 1.0)


@pytest.fixture
def values() -> FloatArray:
    return np.random.default_rng(5).standard_normal((2 * CHUNK + 3, SIZE), dtype=np.float32)


def write(folder: Path, values: FloatArray) -> list[str]:
    paths = [folder / f"{number}, odd name.txt" for number in range(len(values))]
    for path, row in zip(paths, values, strict=True):
        path.write_bytes(format_values(row))
    return [str(path) for path in paths]


def read(paths: list[str], n_processes: int) -> FloatArray:
    found = np.zeros((len(paths), SIZE), np.float32)
    for start, rows in read_rows(paths, SIZE, n_processes):
        found[start : start + len(rows)] = rows
    return found


@pytest.mark.parametrize("n_processes", [1, 2, 3, 5])
def test_every_value_is_read_into_its_own_row(tmp_path: Path, values: FloatArray, n_processes: int) -> None:
    np.testing.assert_array_equal(read(write(tmp_path, values), n_processes), values)


def test_what_cannot_be_used_is_a_row_of_nan(tmp_path: Path, values: FloatArray) -> None:
    paths = write(tmp_path, values)
    Path(paths[0]).unlink()
    Path(paths[3]).write_bytes(b"1,2,3")
    Path(paths[300]).write_bytes(b"not,numbers")
    Path(paths[301]).write_bytes(b"")
    unusable = np.isnan(read(paths, 2)).all(axis=1)
    assert np.flatnonzero(unusable).tolist() == [0, 3, 300, 301]


@pytest.mark.slow
def test_a_large_cache_is_read_as_a_small_one_is(
    tmp_path: Path, values: FloatArray, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    """Read the same images in both ways: equal values, equal reasons for what has to be made, equal messages."""
    images = [LabelledImage(f"/nowhere/{n}.jpg", "class", f"{n}.jpg", 0, "training") for n in range(len(values))]
    cache = BottleneckCache(str(tmp_path), "network", SIZE, "fingerprint")
    (tmp_path / "class").mkdir()
    for image, row in zip(images, values, strict=True):
        Path(cache.path(image)).write_bytes(format_values(row))
    Path(cache.path(images[1])).write_bytes(b"1,nan")
    Path(cache.path(images[2])).unlink()

    def outcome() -> tuple[list[bool], int, Mapping[int, str], list[str]]:
        logged.clear()
        result = Extractor(images, cache, lambda: lambda batch: batch, ANY_SPEC).bottlenecks(range(len(images)))
        usable = [0, *range(3, len(values))]  # The rows of what failed are undefined.
        equal = (result.values[usable] == values[usable]).all(axis=1).tolist()
        return equal, result.n_read, result.failed, sorted(logged)

    logging.getLogger("retrain").setLevel(logging.INFO)
    small = outcome()
    monkeypatch.setattr(extract, "MANY", 1)
    assert outcome() == small
    assert small[1] == sum(small[0]) == len(values) - 2


def test_a_file_of_the_originals_name_in_the_current_folder_is_not_run(
    tmp_path: Path, values: FloatArray, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "retrain.py").write_text("open('was_run', 'w').close()\nraise SystemExit\n")
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(read(write(tmp_path, values), 2), values)
    assert not (tmp_path / "was_run").exists()
