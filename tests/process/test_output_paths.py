"""Places that cannot be written to are found before the work begins."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from retrain.errors import OutputError
from retrain.process.output_paths import prepare_file, prepare_folder, prepare_new_folder


def error_of(prepare: Callable[[str, str], None], flag: str, path: Path | str) -> str:
    with pytest.raises(OutputError) as caught:
        prepare(flag, str(path))
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_the_folder_of_a_file_is_made_but_not_the_file(tmp_path: Path) -> None:
    file = tmp_path / "a" / "b" / "graph.pb"
    prepare_file("output_graph", str(file))
    assert file.parent.is_dir()
    assert not file.exists()


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "graph.pb"
    file.write_bytes(b"old")
    prepare_file("output_graph", str(file))
    assert file.read_bytes() == b"old"


def test_a_file_name_alone_is_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare_file("output_graph", "graph.pb")
    assert os.listdir(tmp_path) == []


def test_a_folder_where_a_file_should_be(tmp_path: Path) -> None:
    assert error_of(prepare_file, "output_graph", tmp_path) == (
        f"--output_graph must be a file. Got {tmp_path}, which is a folder."
    )


def test_a_file_name_that_ends_like_a_folder(tmp_path: Path) -> None:
    """`--output_graph=graphs/` names no file; an hour later writing it would fail."""
    assert error_of(prepare_file, "output_graph", f"{tmp_path}/graphs/").startswith("--output_graph must be a file. Got ")


@pytest.mark.parametrize("below", ["folder", "folder/deeper"])
def test_a_file_in_the_way_of_a_folder(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / below
    expected = f"--bottleneck_dir: the folder {folder} cannot be made (Not a directory). Give another place."
    assert error_of(prepare_folder, "bottleneck_dir", folder) == expected
    assert error_of(prepare_file, "bottleneck_dir", folder / "graph.pb") == expected


def test_a_file_in_place_of_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert error_of(prepare_folder, "bottleneck_dir", file) == f"--bottleneck_dir must be a folder. Got {file}, which is a file."


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a file system that takes no file from anyone")
def test_a_place_where_no_folder_can_be_made() -> None:
    assert error_of(prepare_folder, "bottleneck_dir", "/proc/bottlenecks").startswith(
        "--bottleneck_dir: the folder /proc/bottlenecks cannot be made ("
    )


def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with as_ordinary_user():
        sentence = error_of(prepare_folder, "bottleneck_dir", tmp_path)
    assert sentence == f"--bottleneck_dir: the folder {tmp_path} cannot be written to. Give another place."


@contextlib.contextmanager
def as_ordinary_user() -> Iterator[None]:
    """Root may write everywhere, so here a root is asked for its access as the user `nobody` would be."""
    if os.getuid() != 0:
        yield
        return
    os.setresuid(65534, 0, 0)  # access(2) asks for the real user id
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_folders_are_made_and_may_be_there_already(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    for _ in range(2):
        prepare_folder("bottleneck_dir", str(folder))
        assert folder.is_dir()


def test_the_parent_of_a_new_folder_is_made_but_not_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "saved_model"
    prepare_new_folder("saved_model_dir", str(folder))
    assert folder.parent.is_dir()
    assert not folder.exists()


def test_an_empty_folder_may_stand_where_a_new_one_will(tmp_path: Path) -> None:
    prepare_new_folder("saved_model_dir", str(tmp_path))
    assert tmp_path.is_dir()


@pytest.mark.parametrize("occupied_by", ["file", "folder"])
def test_a_new_folder_must_not_exist(tmp_path: Path, occupied_by: str) -> None:
    path = tmp_path / "model"
    if occupied_by == "folder":
        path.mkdir()
        (path / "precious").touch()
    else:
        path.touch()
    assert error_of(prepare_new_folder, "saved_model_dir", path) == (
        f"--saved_model_dir must be a folder that does not exist yet. Got {path}: give another, or move it away."
    )
