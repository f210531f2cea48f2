"""Archives and graphs from elsewhere. Servers, proxies and files are real; what they serve is broken, or means harm."""

import contextlib
import functools
import http.server
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tarfile
import threading
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.errors import ModelError, ModelUnavailableError
from retrain.export.frozen_graph import MAX_BYTES, check_graph_size
from tests.conftest import MOBILENET_ARCHIVE, ROOT, RunCli
from tests.reliability.conftest import Note
from tests.support.archives import archive_of, files_below, link
from tests.support.commands import DIRECT, Outputs, assert_succeeded, bottleneck_counts
from tests.support.servers import HttpAnswer, answering, sending
from tests.support.stand_ins import (
    ARCHIVE,
    BOTTLENECK_SIZE,
    GRAPH_FILE,
    serve_folder,
    tiny_inception_graph,
    write_inception_archive,
)

pytestmark = pytest.mark.slow

NETWORK = find_architecture("inception_v3")
PAGE = b"<!DOCTYPE html><p>Please log in to use this network.</p>"
HOST = "models.test"  # A name that RFC 6761 keeps from ever being anyone's: only the proxy of these tests knows it.
UNSET = {"no_proxy": "", "NO_PROXY": ""}  # With a proxy: nothing is asked for directly.
SMALL_PEAK = 60 << 20  # Bytes. A Python that unpacks an archive needs 25 MB.
KERAS = "home/.keras/keras.json"  # Keras keeps its settings there as soon as it is loaded.
MEMORY_FOR_2_GB = 16 << 30  # Bytes, for a graph of that size and the copies made of it.

# Downloads


class Trainer:
    """One command line, with every place that it may write to below `folder`."""

    def __init__(self, folder: Path, photos: Path, run_cli: RunCli) -> None:
        self.folder, self._photos, self._run_cli = folder, photos, run_cli
        self.model_dir, self.outputs = folder / "models", Outputs(folder / "out")
        for name in ("cwd", "home", "temporary"):
            (folder / name).mkdir(parents=True)

    def run(self, address: str, env: dict[str, str] = DIRECT) -> subprocess.CompletedProcess[str]:
        flags = [f"--image_dir={self._photos}", f"--model_dir={self.model_dir}", f"--model_url_base={address}"]
        flags += ["--architecture=inception_v3", "--how_many_training_steps=5", *self.outputs.flags()]
        places = {"HOME": str(self.folder / "home"), "TMPDIR": str(self.folder / "temporary")}
        return self._run_cli("retrain", *flags, cwd=self.folder / "cwd", env={**places, **env})

    def error(self, address: str) -> str:
        """Run a command that has to fail; return what it says after the start of the download, without address and folders."""
        process = self.run(address)
        assert process.returncode == 1, process.stderr
        announced, error = process.stderr.splitlines()
        assert announced == f"Downloading {address}/{ARCHIVE} to {self.model_dir}/{ARCHIVE}"
        assert not list(self.outputs.folder.rglob("*.*"))  # No bottleneck, no graph, no summaries.
        return error.replace(address, "http://…").replace(str(self.model_dir), "models")

    def succeeds(self, address: str, env: dict[str, str] = DIRECT) -> str:
        """Run a command that has to succeed with the network of the archive and to write nowhere else; return what it made."""
        process = self.run(address, env)
        assert_succeeded(process)
        made, read = bottleneck_counts(process.stderr)
        assert (made, read) == (75, 0)
        assert files_below(self.model_dir) == sorted([ARCHIVE, GRAPH_FILE])
        assert {name.split("/")[0] for name in self.files()} == {"models", "out"}
        return f"trained, {made} bottlenecks made"

    def files(self) -> list[str]:
        return [name for name in files_below(self.folder) if name != KERAS]


@pytest.fixture
def trainer(tmp_path: Path, small_photos: Path, run_cli: RunCli) -> Trainer:
    return Trainer(tmp_path / "place", small_photos, run_cli)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write an archive as it should be, in a folder of its own."""
    return write_inception_archive(tmp_path_factory.mktemp("good"), tiny_inception_graph())


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """For what is downloaded in this process: the servers are on this machine, whatever the environment says of proxies."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def in_turn(*answers: HttpAnswer) -> HttpAnswer:
    """Return an answer that is each of the answers once."""
    left = iter(answers)

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        next(left)(request)

    return answer


def test_failed_downloads_leave_nothing_and_the_next_run_starts_afresh(trainer: Trainer, good: Path, note: Note) -> None:
    whole = good.read_bytes()
    half, size = len(whole) // 2, len(whole)
    faults: dict[str, tuple[HttpAnswer, str]] = {
        "a download cut off half way": (sending(whole[:half], size), f"the connection ended after {half} of {size} bytes"),
        "an HTML page in place of the archive": (
            sending(PAGE),
            "the answer is not a gzip archive; it may be a page that explains why",
        ),
    }
    said = {}
    with answering(in_turn(*(answer for answer, _ in faults.values()), sending(whole))) as address:
        for fault, (_, reason) in faults.items():
            said[fault] = trainer.error(address)
            assert said[fault] == (
                f"error: The network cannot be downloaded from http://…/{ARCHIVE} ({reason}). Get {ARCHIVE} by hand, put it into "
                "models (--model_dir), and run again."
            )
            assert trainer.files() == []
        after = trainer.succeeds(address)
    for fault, error in said.items():
        note(fault, tried=1, happened=f"`{error}` The same command again, when the server was well: {after}")


@pytest.mark.usefixtures("direct")
def test_a_download_cut_off_anywhere_is_never_used(tmp_path: Path, good: Path, long: bool, note: Note) -> None:
    whole, model_dir, times = good.read_bytes(), tmp_path / "models", 500 if long else 10
    cuts = [whole[: len(whole) * part // times] for part in range(times)]
    refusals = []
    with answering(in_turn(*(sending(cut, length) for cut in cuts for length in (len(whole), None)))) as address:
        for _ in range(2 * times):  # Without a length announced only the archive's own end tells.
            with pytest.raises(ModelUnavailableError) as caught:
                read_graph_file(NETWORK, str(model_dir), address)
            left = os.listdir(model_dir)
            assert left == []
            refusals.append(str(caught.value))
    assert sum("the connection ended after " in text for text in refusals) == times
    assert sum("Compressed file ended before" in text or "the answer is empty" in text for text in refusals) == times
    with serve_folder(good.parent) as server:
        assert read_graph_file(NETWORK, str(model_dir), server.url) == tiny_inception_graph().SerializeToString()
    shown = refusals[-1].split(". ")[0].replace(address, "http://…")
    note(
        "a download cut off anywhere, its length announced or not",
        tried=len(refusals),
        happened=f"{len(refusals):,} errors such as `{shown}`, and {len(left)} files left; the next download was used",
    )


def test_another_network_is_refused_with_a_cure_that_helps(trainer: Trainer, tmp_path: Path, good: Path, note: Note) -> None:
    (tmp_path / "served").mkdir()
    faults = {
        "a network that lacks a tensor it should have": (without_reshape(), "it has no tensor pool_3/_reshape:0"),
        "a network that writes a file, where batches come out but not what is exported": (
            writing_behind_the_bottleneck(trainer.folder / "target"),
            "it has operations that can read or write files: WriteFile",
        ),
    }
    archives = [write_inception_archive(tmp_path / "served", graph).read_bytes() for graph, _ in faults.values()]
    said = {}
    with answering(in_turn(*(sending(data) for data in (*archives, good.read_bytes())))) as address:
        for fault, (_, difference) in faults.items():
            said[fault] = trainer.error(address)
            assert said[fault] == (
                f"error: {GRAPH_FILE} in --model_dir is not the network inception_v3: {difference}. Delete {GRAPH_FILE} and "
                f"{ARCHIVE} there, and run again to download a new copy."
            )
            assert {name.split("/")[0] for name in trainer.files()} == {"models"}
            for name in set(re.findall(r"\S+\.(?:pb|tgz)", said[fault])):
                (trainer.model_dir / name).unlink()
        after = trainer.succeeds(address)
    for fault, error in said.items():
        note(fault, tried=1, happened=f"`{error}` That done, from a server that was well: {after}")


def without_reshape() -> GraphDef:
    graph = tiny_inception_graph()
    for node in graph.node:
        node.name = node.name.replace("pool_3/_reshape", "elsewhere")
        node.input[:] = [name.replace("pool_3/_reshape", "elsewhere") for name in node.input]
    return graph


def writing_behind_the_bottleneck(target: Path) -> GraphDef:
    """Bottlenecks are fetched from `pool_3`, which here waits for a file to be written; `pool_3/_reshape` does not need it."""
    graph = tiny_inception_graph()
    nodes = {node.name: node for node in graph.node}
    copy = graph.node.add()
    copy.CopyFrom(nodes["pool_3"])
    copy.name = nodes["pool_3/_reshape"].input[0] = "pool_3/copy"
    for name, text in (("target", str(target)), ("text", "written")):
        constant = graph.node.add(name=name, op="Const")
        constant.attr["dtype"].type = tf.string.as_datatype_enum
        constant.attr["value"].tensor.ParseFromString(tf.make_tensor_proto(text).SerializeToString())
    graph.node.add(name="spy", op="WriteFile", input=["target", "text"])
    nodes["pool_3"].input.append("^spy")
    return graph


# Proxies


class Proxy(http.server.BaseHTTPRequestHandler):
    """Knows where `HOST` is: on this machine, at the port `port`. Notes what it is asked for."""

    port = 0
    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.requestline)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(f"http://127.0.0.1:{self.port}{urlsplit(self.path).path}") as response:
            sending(response.read())(self)

    def do_CONNECT(self) -> None:
        self.asked.append(self.requestline)
        with socket.create_connection(("127.0.0.1", self.port)) as server:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=copy_stream, args=[server, self.connection])
            back.start()
            copy_stream(self.connection, server)
            back.join()

    def log_message(self, format: str, *args: object) -> None:
        """Print no access log."""


def copy_stream(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):  # One end has hung up.
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextlib.contextmanager
def running(handler: Callable[..., http.server.BaseHTTPRequestHandler], certificate: Path | None = None) -> Iterator[int]:
    """Run a server until the block ends, encrypted if it has a certificate; yield its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=[0.01])  # seconds between looks at whether to end
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def proxy(port: int) -> Iterator[tuple[str, list[str]]]:
    """Run a proxy in front of a port; yield its address and what it was asked for."""
    asked: list[str] = []
    with running(type("Handler", (Proxy,), {"port": port, "asked": asked})) as own_port:
        yield f"http://127.0.0.1:{own_port}", asked


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Key and certificate of `HOST`, which nobody vouches for but who is told to trust this file."""
    if not shutil.which("openssl"):
        pytest.skip("there is no openssl command to make a certificate with")
    path, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    names = ["-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST}"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names]
    subprocess.run([*command, "-keyout", str(key), "-out", str(path)], check=True, capture_output=True)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path


def test_an_archive_full_of_traps_comes_from_a_mirror_through_a_proxy(trainer: Trainer, tmp_path: Path, note: Note) -> None:
    """The mirror's name can be resolved nowhere: what comes has come through the proxy. Of the archive only the graph is used."""
    victim, served = tmp_path / "victim", tmp_path / "served"
    victim.write_text("precious")
    served.mkdir()
    traps: dict[str, bytes | tarfile.TarInfo] = {
        "../evil": b"x",
        "../../evil": b"x",
        str(tmp_path / "evil"): b"x",
        "a": link("a", str(victim)),
        "b": link("b", "../../victim", tarfile.LNKTYPE),
        "models": link("models", str(tmp_path)),
        "models/evil": b"x",
        "pipe": link("pipe", "", tarfile.FIFOTYPE),
        "disk": link("disk", "", tarfile.BLKTYPE),
        "terminal": link("terminal", "", tarfile.CHRTYPE),
    }
    graph = tiny_inception_graph().SerializeToString()
    (served / ARCHIVE).write_bytes(archive_of({**traps, GRAPH_FILE: graph, f"../{GRAPH_FILE}": b"x"}))
    with serve_folder(served) as server, proxy(urlsplit(server.url).port or 0) as (address, asked):
        after = trainer.succeeds(f"http://{HOST}", {**UNSET, "http_proxy": address})
    assert asked == [f"GET http://{HOST}/{ARCHIVE} HTTP/1.1"]
    assert server.requests == [f"/{ARCHIVE}"]
    assert (trainer.model_dir / GRAPH_FILE).read_bytes() == graph
    assert victim.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["place", "served", "victim"]
    note("a mirror (`--model_url_base`)", tried=1, happened=f"it was asked for `{server.requests[0]}`: {after}")
    note("a proxy (`http_proxy`)", tried=1, happened=f"it was asked `{asked[0]}`: {after}")
    unpacked = [name for name in files_below(trainer.model_dir) if name != ARCHIVE]
    note(
        "members that climb out of the folder, links, a pipe and devices beside the graph in an archive",
        tried=len(traps) + 1,
        happened=f"unpacked was only {', '.join(unpacked)}: {after}",
    )


def test_an_encrypted_archive_comes_through_a_proxy(
    trainer: Trainer, good: Path, certificate: Path, monkeypatch: pytest.MonkeyPatch, note: Note
) -> None:
    class Files(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Print no access log."""

    with running(functools.partial(Files, directory=str(good.parent)), certificate) as port, proxy(port) as (address, asked):
        for name, value in {**UNSET, "https_proxy": address}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(urllib.request, "_opener", None)  # In one process urllib looks for proxies once.
        with pytest.raises(ModelUnavailableError) as caught:
            read_graph_file(NETWORK, str(trainer.model_dir), f"https://{HOST}")
        assert os.listdir(trainer.model_dir) == []
        after = trainer.succeeds(f"https://{HOST}", {"SSL_CERT_FILE": str(certificate)})
    assert [line.rsplit(" ", 1)[0] for line in asked] == [f"CONNECT {HOST}:443"] * 2
    error = str(caught.value).replace(str(trainer.model_dir), "models")
    assert "certificate verify failed: self-signed certificate" in error
    note("a server whose certificate nobody vouches for", tried=1, happened=f"`error: {error}`")
    note("a proxy (`https_proxy`), and a certificate in `SSL_CERT_FILE`", tried=1, happened=f"asked `{asked[1]}`: {after}")


# Archives that came whole, and are wrong


def refused(model_dir: Path, data: bytes, architecture: str = "inception_v3") -> str:
    """Return the error about an archive from a server; nothing else is left, and its owner may delete it."""
    with answering(sending(data)) as address, pytest.raises(ModelError) as caught:
        read_graph_file(find_architecture(architecture), str(model_dir), address)
    assert caught.value.exit_code == 1
    assert not isinstance(caught.value, ModelUnavailableError)
    [path] = [model_dir / name for name in os.listdir(model_dir)]
    assert path.read_bytes() == data
    path.unlink()
    return str(caught.value).replace(str(path), path.name)


def gzipped(parts: Iterable[bytes]) -> bytes:
    """Write a gzip file of parts that need never be in memory together."""
    packer = zlib.compressobj(wbits=31)
    return b"".join([*(packer.compress(part) for part in parts), packer.flush()])


@pytest.mark.usefixtures("direct")
def test_archives_of_the_wrong_kind_are_refused(tmp_path: Path, good: Path, note: Note) -> None:
    whole, victim, model_dir = good.read_bytes(), tmp_path / "victim", tmp_path / "models"
    victim.write_bytes(whole)
    links = {"a symbolic link": (tarfile.SYMTYPE, str(victim)), "a hard link": (tarfile.LNKTYPE, "../victim")}
    kinds = {"a pipe": tarfile.FIFOTYPE, "a disk": tarfile.BLKTYPE, "a terminal": tarfile.CHRTYPE, "a folder": tarfile.DIRTYPE}
    no_file = f"cannot be unpacked ({GRAPH_FILE} is not a regular file of a plausible size)"
    cases = {
        **{
            f"{kind} for a graph": (archive_of({GRAPH_FILE: link(GRAPH_FILE, target, number)}), no_file)
            for kind, (number, target) in (links | {kind: (number, "") for kind, number in kinds.items()}).items()
        },
        "no graph": (archive_of({"labels.txt": b"x"}), f"holds no {GRAPH_FILE}"),
        "a graph above its folder": (archive_of({f"../{GRAPH_FILE}": b"x"}), f"holds no {GRAPH_FILE}"),
        "a compressed page": (gzipped([PAGE]), "cannot be unpacked (truncated header)"),
    }
    for data, reason in cases.values():
        error = refused(model_dir, data)
        assert error == f"The archive {ARCHIVE} {reason}. Delete it, and run again to download it."
        assert files_below(tmp_path) == ["victim"]
    with serve_folder(good.parent) as server:
        assert read_graph_file(NETWORK, str(model_dir), server.url) == tiny_inception_graph().SerializeToString()
    assert victim.read_bytes() == whole
    reasons = "; ".join(f"it {reason}" for reason in dict.fromkeys(reason for _, reason in cases.values()))
    note(f"an archive with {', '.join(cases)}", tried=len(cases), happened=f"refused: {reasons}")


@pytest.mark.usefixtures("direct")
def test_a_known_archive_with_another_content_is_refused(tmp_path: Path, mobilenet_model_dir: Path, note: Note) -> None:
    """The published MobileNet, packed again with one bit of its graph changed: gzip's own checksum is right."""
    published, member = mobilenet_model_dir / MOBILENET_ARCHIVE, "mobilenet_v1_0.25_128/frozen_graph.pb"
    with tarfile.open(published) as archive:
        file = archive.extractfile(member)
        assert file is not None
        graph = file.read()
    middle = len(graph) // 2
    changed = graph[:middle] + bytes([graph[middle] ^ 1]) + graph[middle + 1 :]
    error = refused(tmp_path / "models", archive_of({member: changed}), "mobilenet_0.25_128")
    assert error.startswith(f"The archive {published.name} is damaged, or is not the published one: its SHA-256 must be ")
    with serve_folder(mobilenet_model_dir) as server:
        found = read_graph_file(find_architecture("mobilenet_0.25_128"), str(tmp_path / "models"), server.url)
    assert found == graph
    note("a published archive with one bit of its graph changed", tried=1, happened=f"`error: {error}`")


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.type = size, kind
    return member.tobuf(tarfile.GNU_FORMAT)


READ = """
import sys
from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.errors import ModelError
try:
    read_graph_file(find_architecture("inception_v3"), sys.argv[1])
except ModelError as error:
    print(error)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="a process's peak of memory is read from /proc")
def test_bombs_are_refused_with_little_memory(tmp_path: Path, long: bool, note: Note) -> None:
    size, count = (3 << 30, 2_000_000) if long else (100 << 20, 150_000)
    zeros = [bytes(1 << 20)] * (size >> 20)
    bombs = {
        "a graph whose header claims 3 GB": [header(GRAPH_FILE, 3 << 30)],
        "a graph whose header claims 2 GB, of which 3 bytes come": [header(GRAPH_FILE, 2**31 - 1), b"abc"],
        f"a member whose name is {size >> 20} MB long": [header("././@LongLink", size, tarfile.GNUTYPE_LONGNAME), *zeros],
        f"{count:,} empty members": [header("a", 0)] * count,
        **({"a graph of 3 GB of zeros": [header(GRAPH_FILE, size), *zeros]} if long else {}),
    }
    for fault, parts in bombs.items():
        data = gzipped([*parts, bytes(1024)])
        (tmp_path / ARCHIVE).write_bytes(data)
        command = [sys.executable, "-c", READ, str(tmp_path)]
        process = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True)
        error, kilobytes = process.stdout.replace(f"{tmp_path}/", "").splitlines()
        assert error.startswith(f"The archive {ARCHIVE} ")
        assert error.endswith(" Delete it, and run again to download it.")
        assert os.listdir(tmp_path) == [ARCHIVE]
        assert int(kilobytes) << 10 < SMALL_PEAK, fault
        peak = f"the process's peak of memory was {int(kilobytes) >> 10} MB"
        note(f"{fault}, in an archive of {len(data):,} bytes", tried=1, happened=f"`{error}`; {peak}")


def too_large(size: int) -> str:
    return (
        f"The graph would be larger than 2 GB, the limit of its file format: {size} bytes. "
        "Use fewer classes or a smaller network."
    )


def test_a_head_that_would_make_the_graph_too_large_is_refused(note: Note) -> None:
    network_size, n_classes = tiny_inception_graph().ByteSize(), 262_000
    check_graph_size(network_size, [BOTTLENECK_SIZE, n_classes // 2])
    with pytest.raises(ModelError) as caught:
        check_graph_size(network_size, [BOTTLENECK_SIZE, n_classes])
    assert caught.value.exit_code == 1
    assert str(caught.value) == too_large(network_size + (BOTTLENECK_SIZE + 1) * n_classes * 4)
    note(f"{n_classes:,} classes on {BOTTLENECK_SIZE:,} values", tried=1, happened=f"`error: {caught.value}`")


def test_a_network_of_nearly_2_gb_is_refused_before_the_work(trainer: Trainer, long: bool, note: Note) -> None:
    """The bottlenecks depend on the sum of a huge constant; only with the head the graph exceeds what a file can hold."""
    if not long:
        pytest.skip("writes a file of 2 GB: only with --long")
    if os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < MEMORY_FOR_2_GB:
        pytest.skip("there are no 16 GB of free memory")
    graph = tiny_inception_graph()
    [pool] = [node for node in graph.node if node.name == "pool_3"]
    pool.name = "pool_3/raw"
    with tf.Graph().as_default() as addition:
        raw = tf.compat.v1.placeholder(tf.float32, name="pool_3/raw")
        huge = tf.compat.v1.placeholder(tf.float32, name="huge")
        tf.add(raw, tf.reduce_sum(huge) * 0.0, name="pool_3")
    graph.node.extend(node for node in addition.as_graph_def().node if node.op != "Placeholder")
    huge = graph.node.add(name="huge", op="Const")
    huge.attr["dtype"].type = tf.float32.as_datatype_enum
    n_values = (MAX_BYTES - 10_000 - graph.ByteSize()) // 4
    huge.attr["value"].tensor.ParseFromString(tf.make_tensor_proto(0.0, shape=[n_values]).SerializeToString())
    huge.attr["value"].tensor.ClearField("float_val")
    huge.attr["value"].tensor.tensor_content = bytes(4 * n_values)
    size = graph.ByteSize()
    assert size < MAX_BYTES
    trainer.model_dir.mkdir()
    (trainer.model_dir / GRAPH_FILE).write_bytes(graph.SerializeToString())
    del graph, huge
    process = trainer.run("http://127.0.0.1:9")
    assert process.returncode == 1
    assert process.stderr == f"error: {too_large(size + (BOTTLENECK_SIZE + 1) * 3 * 4)}\n"
    assert trainer.files() == [f"models/{GRAPH_FILE}"]
    (trainer.model_dir / GRAPH_FILE).unlink()
    note(f"a network of {size:,} bytes", tried=1, happened=f"before the first bottleneck: `{process.stderr.strip()}`")
