"""The store of conversions: whole files or none, and nothing that another user could have written."""

import dataclasses
import json
import os
import stat
from pathlib import Path

import pytest

from retrain.engines.store import (
    SHIPPED,
    VARIABLE,
    Conversion,
    ConversionStore,
    Record,
    UnusableStoreError,
    default_folder,
    new_conversion,
)

DIGEST = "ab" * 32
CONVERSION = new_conversion(b"a flatbuffer\n" * 100, Record(machine="A processor", litert=0.5, tensorflow=1.0, loading=2.0))
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def store(tmp_path: Path) -> ConversionStore:
    return ConversionStore(tmp_path / "cache" / "conversions")


def file_of(store: ConversionStore) -> Path:
    [path] = store.folder.iterdir()
    return path


def test_what_was_written_is_read(store: ConversionStore) -> None:
    assert store.read(DIGEST) is None
    store.write(DIGEST, CONVERSION)
    assert store.read(DIGEST) == CONVERSION
    assert store.read("cd" * 32) is None
    again = new_conversion(b"another", Record())
    store.write(DIGEST, again)
    assert store.read(DIGEST) == again
    assert file_of(store).name == f"{DIGEST}.litert"


def test_a_network_that_cannot_be_converted_is_remembered(store: ConversionStore) -> None:
    problem = new_conversion(b"", Record(problem="it cannot be converted (an operation)"))
    store.write(DIGEST, problem)
    assert store.read(DIGEST) == problem


def test_folder_and_file_are_the_users_alone_whatever_the_umask(store: ConversionStore) -> None:
    before = os.umask(0)
    try:
        store.write(DIGEST, CONVERSION)
    finally:
        os.umask(before)
    assert stat.S_IMODE(store.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file_of(store).stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_not_read(store: ConversionStore, mode: int) -> None:
    store.write(DIGEST, CONVERSION)
    file_of(store).chmod(mode)
    assert store.read(DIGEST) is None


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_folder_that_others_can_write_to_is_not_used(store: ConversionStore, mode: int) -> None:
    store.write(DIGEST, CONVERSION)
    store.folder.chmod(mode)
    assert store.read(DIGEST) is None
    with pytest.raises(UnusableStoreError, match=f"^other users can write to {store.folder}$"):
        store.write(DIGEST, CONVERSION)


@pytest.mark.skipif(not IS_ROOT, reason="only root can give files away")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_belongs_to_another_user_is_not_used(store: ConversionStore, what: str) -> None:
    store.write(DIGEST, CONVERSION)
    os.chown(file_of(store) if what == "file" else store.folder, 12345, -1)
    assert store.read(DIGEST) is None
    if what == "folder":
        with pytest.raises(UnusableStoreError, match=f"^{store.folder} belongs to another user$"):
            store.write(DIGEST, CONVERSION)


def test_a_link_is_not_followed(store: ConversionStore, tmp_path: Path) -> None:
    store.write(DIGEST, CONVERSION)
    path = file_of(store)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert store.read(DIGEST) is None


def test_a_folder_or_a_pipe_in_its_place(store: ConversionStore) -> None:
    store.prepare()
    os.mkdir(store.folder / f"{DIGEST}.litert", 0o700)
    assert store.read(DIGEST) is None


@pytest.mark.parametrize("length", [0, 1, 50, 200, 300, 1000])
def test_a_file_that_was_cut_off_is_not_run(store: ConversionStore, length: int) -> None:
    store.write(DIGEST, CONVERSION)
    file_of(store).write_bytes(file_of(store).read_bytes()[:length])
    assert store.read(DIGEST) is None


def test_no_changed_byte_goes_unnoticed(store: ConversionStore) -> None:
    """A byte of the record's times may be another digit; of the flatbuffer none may."""
    store.write(DIGEST, CONVERSION)
    path = file_of(store)
    content = path.read_bytes()
    start = content.index(b"\n") + 1
    for index in range(0, len(content), 7):
        path.write_bytes(content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :])
        found = store.read(DIGEST)
        assert found is None or (index < start and found.flatbuffer == CONVERSION.flatbuffer), index


@pytest.mark.parametrize(
    "change",
    [{"format": 2}, {"litert": "fast"}, {"sha256": "00"}, {"problem": "but there is a flatbuffer"}, {"unknown": 1}],
    ids=lambda change: next(iter(change)),
)
def test_a_record_of_another_form_is_ignored(store: ConversionStore, change: dict[str, object]) -> None:
    store.prepare()
    line = json.dumps({**dataclasses.asdict(CONVERSION.record), **change})
    path = store.folder / f"{DIGEST}.litert"
    path.write_bytes(line.encode() + b"\n" + CONVERSION.flatbuffer)
    path.chmod(0o600)
    assert store.read(DIGEST) is None


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnusableStoreError, match=r"cannot be made: Not a directory$"):
        ConversionStore(tmp_path / "file" / "conversions").prepare()


@pytest.mark.skipif(IS_ROOT, reason="root can write to all folders")
def test_a_read_only_folder(store: ConversionStore) -> None:
    store.write(DIGEST, CONVERSION)
    store.folder.chmod(0o500)
    assert store.read(DIGEST) == CONVERSION
    with pytest.raises(UnusableStoreError, match=r"is read-only$"):
        store.prepare()


def test_the_folder_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "/somewhere")
    assert default_folder() == Path("/somewhere/conversions")
    monkeypatch.delenv(VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", "/home/user/.cache")
    assert default_folder().parts[-2:] == ("retrain", "conversions")


def test_what_is_shipped_is_whole() -> None:
    paths = list(SHIPPED.iterdir())
    assert paths
    for path in paths:
        found = ConversionStore(Path("/nowhere")).shipped(path.stem)
        assert isinstance(found, Conversion)
        assert found.flatbuffer[4:8] == b"TFL3"
    assert ConversionStore(Path("/nowhere")).shipped(DIGEST) is None
