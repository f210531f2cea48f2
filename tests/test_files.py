"""A file that is written is there whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from retrain.files import atomic_writer, write_atomically


def test_data_is_written(tmp_path: Path) -> None:
    write_atomically(str(tmp_path / "file"), b"\0\n\xff")
    assert (tmp_path / "file").read_bytes() == b"\0\n\xff"
    assert os.listdir(tmp_path) == ["file"]


def test_old_content_is_replaced_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"the old, which is longer")
    write_atomically(str(file), b"new")
    assert file.read_bytes() == b"new"


def test_a_path_without_folder_is_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_atomically("file", b"data")
    assert (tmp_path / "file").read_bytes() == b"data"


def test_the_old_content_stays_until_the_end(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with atomic_writer(str(file)) as writer:
        writer.write(b"new")
        writer.flush()
        assert file.read_bytes() == b"old"
    assert file.read_bytes() == b"new"


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_after_an_error_the_old_content_is_kept_and_nothing_is_left_over(tmp_path: Path, error: type[BaseException]) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    with pytest.raises(error), atomic_writer(str(file)) as writer:
        writer.write(b"half of the new")
        raise error
    assert file.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_after_an_error_no_new_file_is_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError), atomic_writer(str(tmp_path / "file")) as writer:
        writer.write(b"half")
        raise ValueError
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_mode_is_what_the_users_umask_leaves(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_atomically(str(tmp_path / "file"), b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == mode


def test_a_link_planted_under_the_temporary_name_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The random part is fixed here, as if an attacker had guessed it."""
    monkeypatch.setattr("retrain.files.secrets.token_hex", lambda n_bytes: "0" * 2 * n_bytes)
    victim, folder = tmp_path / "victim", tmp_path / "folder"
    victim.write_bytes(b"precious")
    folder.mkdir()
    (folder / f".tmp-{'0' * 16}").symlink_to(victim)
    with pytest.raises(FileExistsError):
        write_atomically(str(folder / "file"), b"data")
    assert victim.read_bytes() == b"precious"
    assert not (folder / "file").exists()


def test_temporary_names_differ(tmp_path: Path) -> None:
    with atomic_writer(str(tmp_path / "a")), atomic_writer(str(tmp_path / "a")):
        names = os.listdir(tmp_path)
    assert len(names) == 2
    assert all(name.startswith(".") for name in names)


@pytest.mark.parametrize(
    ("path", "error"), [("missing/file", FileNotFoundError), ("a_file/file", NotADirectoryError), ("a_folder", IsADirectoryError)]
)
def test_a_place_that_cannot_be_written_to(tmp_path: Path, path: str, error: type[OSError]) -> None:
    (tmp_path / "a_file").write_bytes(b"old")
    (tmp_path / "a_folder").mkdir()
    with pytest.raises(error):
        write_atomically(str(tmp_path / path), b"data")
    assert sorted(os.listdir(tmp_path)) == ["a_file", "a_folder"]
    assert (tmp_path / "a_file").read_bytes() == b"old"
