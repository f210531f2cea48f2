"""`python -m scripts.get_flower_photos`: from a real server, an archive in the form of the tutorial's."""

import resource
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.get_flower_photos import URL
from tests.conftest import ROOT, RunCli
from tests.support.archives import archive_of, files_below, link
from tests.support.commands import DEAD_URL, DIRECT
from tests.support.servers import answering, sending
from tests.support.stand_ins import FolderServer, serve_folder

pytestmark = pytest.mark.slow
NAMES = (ROOT / "scripts" / "flower_photos_600.txt").read_text(encoding="ascii").split()
OTHERS = ["daisy/zz_1.jpg", "tulips/zz_2.jpg"]
ARCHIVE = "flower_photos.tgz"
COMMAND = "scripts.get_flower_photos"


def content(name: str) -> bytes:
    return f"the photo {name}".encode()


def members(*left_out: str) -> dict[str, bytes | tarfile.TarInfo]:
    """Return the members of the whole archive, with some that no archive should have; `left_out` are missing."""
    photos = {f"flower_photos/{name}": content(name) for name in [*NAMES, *OTHERS] if name not in left_out}
    strange: dict[str, bytes | tarfile.TarInfo] = {
        "flower_photos/LICENSE.txt": b"CC-BY",
        "flower_photos/daisy/notes.txt": b"no photo",
        "flower_photos/daisy/deeper/a.jpg": b"too deep",
        "flower_photos/../../escaped.jpg": b"outside",
        "../flower_photos/daisy/escaped.jpg": b"outside",
        "/flower_photos/daisy/escaped.jpg": b"outside",
        "other/daisy/a.jpg": b"elsewhere",
    }
    return {**photos, **strange}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FolderServer]:
    folder = tmp_path_factory.mktemp("served")
    (folder / ARCHIVE).write_bytes(archive_of(members()))
    (folder / "incomplete.tgz").write_bytes(archive_of(members(NAMES[0], NAMES[7])))
    (folder / "link.tgz").write_bytes(
        archive_of({**members(), f"flower_photos/{NAMES[3]}": link(f"flower_photos/{NAMES[3]}", "/etc")})
    )
    (folder / "cut.tgz").write_bytes(archive_of(members())[:-20])
    with serve_folder(folder) as found:
        yield found


def get(run_cli: RunCli, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return run_cli(COMMAND, *flags, cwd=folder, env=DIRECT)


@pytest.mark.parametrize(("flags", "expected"), [([], [*NAMES, *OTHERS]), (["--photos=600"], NAMES)])
def test_the_photos_are_there_and_nothing_else(
    flags: list[str], expected: list[str], server: FolderServer, run_cli: RunCli, tmp_path: Path
) -> None:
    process = get(run_cli, tmp_path, *flags, f"--url={server.url}{ARCHIVE}")
    said = f"{len(expected)} photos in 5 classes: flower_photos. LICENSE.txt there names the photographers.\n"
    assert (process.returncode, process.stdout) == (0, said)
    assert files_below(tmp_path) == sorted(f"flower_photos/{name}" for name in [*expected, "LICENSE.txt"])
    assert all((tmp_path / "flower_photos" / name).read_bytes() == content(name) for name in expected)


def test_the_600_photos_are_120_of_each_class() -> None:
    classes = [name.partition("/")[0] for name in NAMES]
    assert sorted(set(NAMES)) == NAMES
    assert {each: classes.count(each) for each in classes} == dict.fromkeys(
        ("daisy", "dandelion", "roses", "sunflowers", "tulips"), 120
    )


def test_the_600_photos_are_those_of_the_tests(flower_photos: Path) -> None:
    assert [path.relative_to(flower_photos).as_posix() for path in sorted(flower_photos.glob("*/*.jpg"))] == NAMES


def test_an_archive_of_this_machine(run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).write_bytes(archive_of(members()))
    process = get(run_cli, tmp_path, f"--url=file://{tmp_path / ARCHIVE}", "--output_dir=some/where", "--photos=600")
    assert (process.returncode, process.stdout.partition(":")[0]) == (0, "600 photos in 5 classes")
    assert len(files_below(tmp_path / "some")) == 601


def assert_refused(process: subprocess.CompletedProcess[str], code: int, message: str, folder: Path) -> None:
    """Assert that the command ended with this error, and left nothing."""
    lines = [line for line in process.stderr.splitlines() if not line.startswith("Downloading ")]
    assert (process.returncode, process.stdout, lines) == (code, "", [f"error: {message}"])
    assert list(folder.iterdir()) == []


BY_HAND = f"Get {ARCHIVE} by hand, and run again with --url file:///PATH/TO/{ARCHIVE}."


def test_no_server(run_cli: RunCli, tmp_path: Path) -> None:
    process = get(run_cli, tmp_path, f"--url={DEAD_URL}")
    reason = "[Errno 111] Connection refused" if sys.platform == "linux" else "[Errno 61] Connection refused"
    assert_refused(process, 1, f"The photos cannot be downloaded from {DEAD_URL} ({reason}). {BY_HAND}", tmp_path)


def test_no_such_file(server: FolderServer, run_cli: RunCli, tmp_path: Path) -> None:
    url = f"{server.url}none.tgz"
    message = f"The photos cannot be downloaded from {url} (HTTP Error 404: File not found). {BY_HAND}"
    assert_refused(get(run_cli, tmp_path, f"--url={url}"), 1, message, tmp_path)


def test_a_page_in_place_of_the_archive(run_cli: RunCli, tmp_path: Path) -> None:
    with answering(sending(b"<html>Please log in</html>")) as url:
        process = get(run_cli, tmp_path, f"--url={url}")
    reason = "the answer is not a gzip archive; it may be a page that explains why"
    assert_refused(process, 1, f"The photos cannot be downloaded from {url} ({reason}). {BY_HAND}", tmp_path)


def test_a_damaged_archive(server: FolderServer, run_cli: RunCli, tmp_path: Path) -> None:
    url = f"{server.url}cut.tgz"
    reason = "Compressed file ended before the end-of-stream marker was reached"
    message = f"The photos cannot be downloaded from {url} ({reason}). {BY_HAND}"
    assert_refused(get(run_cli, tmp_path, f"--url={url}"), 1, message, tmp_path)


def test_an_archive_without_some_of_the_photos(server: FolderServer, run_cli: RunCli, tmp_path: Path) -> None:
    url = f"{server.url}incomplete.tgz"
    message = f"The archive from {url} holds no {NAMES[0]}, {NAMES[7]}. Is it that of {URL}?"
    assert_refused(get(run_cli, tmp_path, f"--url={url}"), 1, message, tmp_path)


def test_a_link_in_place_of_a_photo(server: FolderServer, run_cli: RunCli, tmp_path: Path) -> None:
    url = f"{server.url}link.tgz"
    reason = f"flower_photos/{NAMES[3]} is not a regular file of a plausible size"
    assert_refused(get(run_cli, tmp_path, f"--url={url}"), 1, f"The archive from {url} cannot be unpacked ({reason}).", tmp_path)


def test_a_folder_that_exists_is_left_as_it_is(server: FolderServer, run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "flower_photos").mkdir()
    server.requests.clear()
    process = get(run_cli, tmp_path, f"--url={server.url}{ARCHIVE}")
    message = "error: --output_dir flower_photos exists already. Delete it, or name another folder.\n"
    assert (process.returncode, process.stderr) == (2, message)
    assert files_below(tmp_path) == [] and server.requests == []


def test_a_place_that_cannot_be_written(server: FolderServer, run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file, where a folder should be")
    process = get(run_cli, tmp_path, f"--url={server.url}{ARCHIVE}", "--output_dir=file/photos")
    message = "error: --output_dir file/photos cannot be written: Not a directory.\n"
    assert (process.returncode, process.stderr) == (2, message)
    assert files_below(tmp_path) == ["file"]


@pytest.mark.parametrize("most_bytes", [2000, 0])
def test_a_disk_that_is_full(most_bytes: int, server: FolderServer, tmp_path: Path) -> None:
    """No file may become larger than some bytes, which the system reports where the file is written, as it does a full disk."""
    process = subprocess.run(
        [sys.executable, "-m", COMMAND, f"--url={server.url}{ARCHIVE}"],
        cwd=tmp_path,
        # No bytecode either: Python would write the beginning of it, and read that later.
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1", **DIRECT},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes)),
    )
    assert_refused(process, 2, "--output_dir flower_photos cannot be written: File too large.", tmp_path)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--photos=60", "--photos must be one of all, 600. Got 60. Did you mean 600?"),
        ("--output_dir=", "--output_dir must be a text that is not empty. Got ''."),
    ],
)
def test_a_wrong_value(flag: str, message: str, run_cli: RunCli, tmp_path: Path) -> None:
    assert_refused(get(run_cli, tmp_path, flag), 2, message, tmp_path)
