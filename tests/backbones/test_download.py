"""Download of a network's file: from the folder, from the archive there, or from a server. The servers here are real ones."""

import dataclasses
import errno
import gzip
import hashlib
import http.server
import os
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from retrain.backbones import download
from retrain.backbones.architecture import Architecture
from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.backbones.published import BUNDLED_FILE
from retrain.errors import ModelError, ModelUnavailableError
from tests.conftest import MOBILENET_ARCHIVE
from tests.support.archives import archive_of, files_below, link
from tests.support.commands import DEAD_URL
from tests.support.servers import answering, sending
from tests.support.stand_ins import FolderServer, serve_folder

# A network whose archive has no known digest, so that its content is free; the graph's bytes are never parsed here.
NETWORK = find_architecture("mobilenet_1.0_224")
ARCHIVE = "mobilenet_v1_1.0_224_frozen.tgz"
GRAPH_FILE = "mobilenet_v1_1.0_224/frozen_graph.pb"
GRAPH = b"the bytes of a graph" * 100
NOISE = np.random.default_rng(0).bytes(3 << 20)  # does not get smaller; more than is read at once


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connect to servers on this machine directly, whatever the environment says of proxies."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def model_dir(tmp_path: Path) -> Path:
    """Return a folder that does not exist yet."""
    return tmp_path / "models"


@pytest.fixture(scope="module")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FolderServer]:
    folder = tmp_path_factory.mktemp("served")
    (folder / ARCHIVE).write_bytes(archive_of({"labels.txt": b"daisy\n", GRAPH_FILE: GRAPH}))
    with serve_folder(folder) as server:
        yield server


@pytest.fixture
def server(running_server: FolderServer) -> FolderServer:
    """Serve a good archive; there has been no request yet."""
    running_server.requests.clear()
    return running_server


def put_archive(model_dir: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    model_dir.mkdir()
    path = model_dir / ARCHIVE
    path.write_bytes(archive_of(members))
    return path


# Where the file comes from


def test_the_archive_is_fetched_once(model_dir: Path, server: FolderServer) -> None:
    assert read_graph_file(NETWORK, str(model_dir), server.url) == GRAPH
    assert read_graph_file(NETWORK, str(model_dir), server.url) == GRAPH
    assert server.requests == [f"/{ARCHIVE}"]
    assert files_below(model_dir) == sorted([ARCHIVE, GRAPH_FILE])


@pytest.mark.parametrize("slashes", ["", "/", "//"])
def test_a_mirrors_address_may_end_with_a_slash(model_dir: Path, server: FolderServer, slashes: str) -> None:
    assert read_graph_file(NETWORK, str(model_dir), server.url.rstrip("/") + slashes) == GRAPH
    assert server.requests == [f"/{ARCHIVE}"]


def test_without_a_mirror_the_networks_own_address_is_used(model_dir: Path, server: FolderServer) -> None:
    architecture = with_url(server.url + ARCHIVE)
    assert read_graph_file(architecture, str(model_dir)) == GRAPH
    assert server.requests == [f"/{ARCHIVE}"]


def with_url(url: str) -> Architecture:
    fields = {name: getattr(NETWORK, name) for name in NETWORK.__dataclass_fields__}
    return Architecture(**{**fields, "urls": (url,)})


def test_the_next_address_is_tried(model_dir: Path, server: FolderServer, logged: list[str]) -> None:
    dead = f"{DEAD_URL}{ARCHIVE}"
    architecture = dataclasses.replace(NETWORK, urls=(dead, server.url + ARCHIVE))
    assert read_graph_file(architecture, str(model_dir)) == GRAPH
    assert logged == [f"INFO: Downloading {url} to {model_dir}/{ARCHIVE}" for url in architecture.urls]


def test_each_address_is_named_if_none_has_it(model_dir: Path, server: FolderServer) -> None:
    dead, missing = f"{DEAD_URL}{ARCHIVE}", f"{server.url}missing.tgz"
    with pytest.raises(ModelUnavailableError) as caught:
        read_graph_file(dataclasses.replace(NETWORK, urls=(dead, missing)), str(model_dir))
    assert str(caught.value) == (
        f"The network cannot be downloaded from {dead} ([Errno 111] Connection refused) or from {missing} "
        f"(HTTP Error 404: File not found). Get {ARCHIVE} by hand, put it into {model_dir} (--model_dir), and run again."
    )


def test_the_download_is_announced(model_dir: Path, server: FolderServer, logged: list[str]) -> None:
    read_graph_file(NETWORK, str(model_dir), server.url)
    assert logged == [f"INFO: Downloading {server.url}{ARCHIVE} to {model_dir}/{ARCHIVE}"]


def test_an_archive_in_the_folder_is_used_without_a_download(model_dir: Path, server: FolderServer) -> None:
    put_archive(model_dir, {GRAPH_FILE: b"from the folder"})
    assert read_graph_file(NETWORK, str(model_dir), server.url) == b"from the folder"
    assert server.requests == []


def test_an_unpacked_file_is_used_before_the_archive(model_dir: Path, server: FolderServer) -> None:
    put_archive(model_dir, {GRAPH_FILE: GRAPH})
    (model_dir / GRAPH_FILE).parent.mkdir()
    (model_dir / GRAPH_FILE).write_bytes(b"unpacked")
    assert read_graph_file(NETWORK, str(model_dir), server.url) == b"unpacked"
    assert server.requests == []


def test_the_unpacked_file_is_kept_for_the_next_run(model_dir: Path) -> None:
    archive = put_archive(model_dir, {GRAPH_FILE: GRAPH})
    assert read_graph_file(NETWORK, str(model_dir)) == GRAPH
    archive.unlink()
    assert read_graph_file(NETWORK, str(model_dir)) == GRAPH


def test_a_file_that_cannot_be_kept_unpacked_is_no_obstacle(model_dir: Path) -> None:
    put_archive(model_dir, {GRAPH_FILE: GRAPH})
    (model_dir / "mobilenet_v1_1.0_224").touch()  # a file where the folder should be
    assert read_graph_file(NETWORK, str(model_dir)) == GRAPH
    assert files_below(model_dir) == ["mobilenet_v1_1.0_224", ARCHIVE]


def test_the_bundled_network_needs_no_folder(model_dir: Path) -> None:
    found = read_graph_file(find_architecture("tiny_resnet_128"), str(model_dir))
    assert found == BUNDLED_FILE.read_bytes()
    assert not model_dir.exists()


def test_the_published_archive(mobilenet_model_dir: Path) -> None:
    """5.5 MB in the archive, as `tar -tv` says; its digest is known, and is checked."""
    found = read_graph_file(find_architecture("mobilenet_0.25_128"), str(mobilenet_model_dir))
    with tarfile.open(mobilenet_model_dir / MOBILENET_ARCHIVE) as archive:
        member = archive.extractfile("mobilenet_v1_0.25_128/frozen_graph.pb")
        assert member is not None
        assert found == member.read()


# Downloads that fail


def message_for(url: str, reason: str, model_dir: Path) -> str:
    return (
        f"The network cannot be downloaded from {url} ({reason}). Get {ARCHIVE} by hand, put it into {model_dir} (--model_dir), "
        "and run again."
    )


def unavailable(model_dir: Path, address: str) -> str:
    """Return the error of a download that fails, after which nothing may be left in the folder."""
    with pytest.raises(ModelUnavailableError) as caught:
        read_graph_file(NETWORK, str(model_dir), address)
    assert caught.value.exit_code == 1
    assert not model_dir.exists() or os.listdir(model_dir) == []
    return str(caught.value)


def test_a_file_that_the_server_does_not_have(model_dir: Path, tmp_path: Path) -> None:
    with serve_folder(tmp_path) as server:
        found = unavailable(model_dir, server.url)
    assert found == message_for(f"{server.url}{ARCHIVE}", "HTTP Error 404: File not found", model_dir)


def test_a_server_that_is_not_there(model_dir: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        address = f"http://127.0.0.1:{reserved.getsockname()[1]}"
    found = unavailable(model_dir, address)
    reason = f"[Errno {errno.ECONNREFUSED}] {os.strerror(errno.ECONNREFUSED)}"
    assert found == message_for(f"{address}/{ARCHIVE}", reason, model_dir)


@pytest.mark.parametrize("address", ["no address", "ftp//x", "http://", "http://[", "http://127.0.0.1:port", "http://a b"])
def test_an_address_that_is_none(model_dir: Path, address: str) -> None:
    found = unavailable(model_dir, address)
    assert found.startswith(f"The network cannot be downloaded from {address.rstrip('/')}/{ARCHIVE} (")
    assert found.endswith(f"). Get {ARCHIVE} by hand, put it into {model_dir} (--model_dir), and run again.")


def test_a_page_in_place_of_the_archive(model_dir: Path) -> None:
    """As from a hotel's network that wants a login first."""
    with answering(sending(b"<!DOCTYPE html><p>Please log in.")) as address:
        found = unavailable(model_dir, address)
    reason = "the answer is not a gzip archive; it may be a page that explains why"
    assert found == message_for(f"{address}/{ARCHIVE}", reason, model_dir)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_a_connection_that_ends_early(model_dir: Path, share: float) -> None:
    whole = archive_of({GRAPH_FILE: NOISE})
    sent = whole[: int(share * len(whole))]
    with answering(sending(sent, length=len(whole))) as address:
        found = unavailable(model_dir, address)
    reason = f"the connection ended after {len(sent)} of {len(whole)} bytes"
    assert found == message_for(f"{address}/{ARCHIVE}", reason, model_dir)


def test_a_connection_that_ends_early_between_chunks(model_dir: Path) -> None:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.protocol_version = "HTTP/1.1"
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        request.wfile.write(b"400\r\n" + archive_of({GRAPH_FILE: NOISE[:5000]})[:1024] + b"\r\n")  # 0x400; no last chunk

    with answering(answer) as address:
        found = unavailable(model_dir, address)
    assert found.startswith(f"The network cannot be downloaded from {address}/{ARCHIVE} (IncompleteRead(")


@pytest.mark.parametrize("length", [-1, None])
def test_an_empty_answer(model_dir: Path, length: int | None) -> None:
    with answering(sending(b"", length)) as address:
        unavailable(model_dir, address)


def test_a_connection_that_ends_early_without_a_length_announced(model_dir: Path) -> None:
    """Only the archive itself can show that its end is missing; what is kept would fail every later run."""
    whole = archive_of({GRAPH_FILE: NOISE[:100_000]})
    with answering(sending(whole[:50_000], length=None)) as address, pytest.raises(ModelError):
        read_graph_file(NETWORK, str(model_dir), address)
    assert files_below(model_dir) == []


def test_an_answer_without_a_length_is_taken_whole(model_dir: Path) -> None:
    with answering(sending(archive_of({GRAPH_FILE: GRAPH}), length=None)) as address:
        assert read_graph_file(NETWORK, str(model_dir), address) == GRAPH


def test_a_length_that_is_no_number(model_dir: Path) -> None:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", "many")
        request.end_headers()

    with answering(answer) as address:
        unavailable(model_dir, address)


def test_a_server_that_says_nothing(model_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        found = unavailable(model_dir, address)
    assert found == message_for(f"{address}/{ARCHIVE}", "timed out", model_dir)


def test_a_file_in_place_of_the_folder(tmp_path: Path, server: FolderServer) -> None:
    (tmp_path / "models").touch()
    with pytest.raises(ModelUnavailableError) as caught:
        read_graph_file(NETWORK, str(tmp_path / "models"), server.url)
    assert f"put it into {tmp_path}/models (--model_dir)" in str(caught.value)


def test_a_download_that_failed_is_tried_again(model_dir: Path, server: FolderServer) -> None:
    with answering(sending(b"<html>")) as address:
        unavailable(model_dir, address)
    assert read_graph_file(NETWORK, str(model_dir), server.url) == GRAPH


# Archives that cannot be used


def refused(architecture: Architecture, model_dir: Path) -> str:
    with pytest.raises(ModelError) as caught:
        read_graph_file(architecture, str(model_dir))
    assert not isinstance(caught.value, ModelUnavailableError)
    return str(caught.value)


def test_a_known_archive_with_another_content(model_dir: Path) -> None:
    model_dir.mkdir()
    archive = model_dir / MOBILENET_ARCHIVE
    archive.write_bytes(archive_of({"mobilenet_v1_0.25_128/frozen_graph.pb": GRAPH}))
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert refused(find_architecture("mobilenet_0.25_128"), model_dir) == (
        f"The archive {archive} is damaged, or is not the published one: its SHA-256 must be "
        f"30af63cf9039861bc03f86c7b8092fab754d51b27f042830c456ddbfa2b72fce. It is {found}. Delete it, "
        "and run again to download it."
    )
    assert files_below(model_dir) == [MOBILENET_ARCHIVE]  # the user's file is theirs to delete


def test_an_archive_without_the_graph(model_dir: Path) -> None:
    archive = put_archive(model_dir, {"labels.txt": b"", "other/frozen_graph.pb": GRAPH})
    assert refused(NETWORK, model_dir) == (
        f"The archive {archive} holds no {GRAPH_FILE}. Delete it, and run again to download it."
    )


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
def test_an_archive_that_is_cut_off(model_dir: Path, share: float) -> None:
    archive = put_archive(model_dir, {GRAPH_FILE: NOISE[:100_000]})
    archive.write_bytes(archive.read_bytes()[: int(share * archive.stat().st_size)])
    found = refused(NETWORK, model_dir)
    assert found.startswith(f"The archive {archive} cannot be unpacked (")
    assert found.endswith("). Delete it, and run again to download it.")
    assert files_below(model_dir) == [ARCHIVE]


@pytest.mark.parametrize("position", [0, 9, 20, 500, 50_000, -4])
def test_an_archive_with_a_wrong_byte_gives_no_wrong_graph(model_dir: Path, position: int) -> None:
    """Wherever it stands, for gzip ends with a checksum; where it does not matter, as in the header, the graph is right."""
    archive = put_archive(model_dir, {GRAPH_FILE: NOISE[:100_000]})
    data = bytearray(archive.read_bytes())
    data[position] ^= 0xFF
    archive.write_bytes(data)
    try:
        found = read_graph_file(NETWORK, str(model_dir))
    except ModelError as error:
        assert str(error).startswith(f"The archive {archive} cannot be unpacked (")
    else:
        assert found == NOISE[:100_000]


def test_nothing_but_the_graph_is_unpacked(tmp_path: Path, model_dir: Path) -> None:
    outside = tmp_path / "outside"
    put_archive(
        model_dir,
        {
            "../evil": b"x",
            "../../evil": b"x",
            str(outside): b"x",
            "mobilenet_v1_1.0_224": link("mobilenet_v1_1.0_224", str(tmp_path)),  # a link where the folder will be
            "link": link("link", "/etc/passwd"),
            "hard": link("hard", "../evil", tarfile.LNKTYPE),
            "labels.txt": b"daisy\n",
            GRAPH_FILE: GRAPH,
            "after": b"x",
        },
    )
    assert read_graph_file(NETWORK, str(model_dir)) == GRAPH
    assert files_below(model_dir) == sorted([ARCHIVE, GRAPH_FILE])
    assert sorted(os.listdir(tmp_path)) == ["models"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE])
def test_a_graph_that_is_no_regular_file_is_refused(model_dir: Path, kind: bytes) -> None:
    archive = put_archive(model_dir, {"secret": b"secret", GRAPH_FILE: link(GRAPH_FILE, "secret", kind)})
    assert refused(NETWORK, model_dir) == (
        f"The archive {archive} cannot be unpacked ({GRAPH_FILE} is not a regular file of a plausible size). "
        "Delete it, and run again to download it."
    )
    assert files_below(model_dir) == [ARCHIVE]


def test_a_graph_of_an_absurd_size_is_refused_before_it_is_read(model_dir: Path) -> None:
    member = tarfile.TarInfo(GRAPH_FILE)
    member.size = 2**31
    model_dir.mkdir()
    with gzip.open(model_dir / ARCHIVE, "wb") as archive:
        archive.write(member.tobuf())  # Only its header: reading the bytes would end in another error.
    assert refused(NETWORK, model_dir) == (
        f"The archive {model_dir / ARCHIVE} cannot be unpacked ({GRAPH_FILE} is not a regular file of a plausible size). "
        "Delete it, and run again to download it."
    )


@pytest.mark.parametrize("size", [2**40, 2**70])
def test_a_header_of_an_absurd_size_is_refused(model_dir: Path, size: int) -> None:
    """tarfile reads such a header, of a long name, as a whole; 2^70 fits no index."""
    member = tarfile.TarInfo("././@LongLink")
    member.type, member.size = tarfile.GNUTYPE_LONGNAME, size
    archive = put_archive(model_dir, {"long": member, GRAPH_FILE: GRAPH})
    assert refused(NETWORK, model_dir).startswith(f"The archive {archive} ")


@pytest.mark.parametrize("name", [GRAPH_FILE, f"./{GRAPH_FILE}"])
def test_members_may_be_named_from_the_working_folder(model_dir: Path, name: str) -> None:
    """`tar -czf x.tgz .` writes names with a leading `./`."""
    put_archive(model_dir, {name: GRAPH})
    assert read_graph_file(NETWORK, str(model_dir)) == GRAPH
