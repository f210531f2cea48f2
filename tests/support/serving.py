"""The server of `label_image --serve`, in this process and in one of its own, and clients that speak plain HTTP to it."""

import contextlib
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from starlette.types import ASGIApp

from label_image.opening import Classifier
from label_image.serve.app import make_app
from label_image.serve.batcher import Batcher
from label_image.serve.guard import HostNames
from label_image.serve.limits import Limits
from label_image.serve.protocol import make_server
from retrain.arrays import BatchFunction, FloatArray
from retrain.graphdef.description import Description, input_fields
from retrain.input_spec import InputSpec
from tests.conftest import ROOT
from tests.support.commands import own_environment

HANGS = 300  # Seconds after which an answer, or the end of a server, is held to be missing.
COLOURS = ("red", "green", "blue")
NAME = re.compile(r"Labelling with (.+) at (http://(.+):(\d+)/) \(Ctrl-C ends it\)\.\n")


class Reply(NamedTuple):
    """A response: status, headers by lower-case name, and body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def refusal(self) -> tuple[int, str]:
        """The status and the sentence of an error."""
        [(name, sentence)] = self.json.items()
        assert name == "error"
        return self.status, sentence


def ask(
    port: int, method: str, path: str, body: bytes | Iterator[bytes] = b"", headers: Mapping[str, str] | None = None
) -> Reply:
    """Send a request over a connection of its own. A body in pieces is sent chunked."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=HANGS)) as connection:
        connection.request(method, path, body, dict(headers or {}))
        response = connection.getresponse()
        return Reply(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())


def classify(port: int, image: bytes, query: str = "") -> Reply:
    """Send one image as the body."""
    return ask(port, "POST", f"/classify{query}", image, {"Content-Type": "image/jpeg"})


def multipart(*files: tuple[str, bytes]) -> tuple[bytes, dict[str, str]]:
    """Return the body of a form with files, as browsers and curl send it, and its headers."""
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\nContent-Type: image/jpeg\r\n\r\n'.encode()
        + content
        + b"\r\n"
        for name, content in files
    ]
    return b"".join(parts) + b"--edge--\r\n", {"Content-Type": "multipart/form-data; boundary=edge"}


def exchange(port: int, data: bytes) -> bytes:
    """Send bytes; return all that comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=HANGS) as connection:
        connection.sendall(data)
        return rest(connection)


def rest(connection: socket.socket) -> bytes:
    """Return what a connection still receives until the server closes it."""
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


def colours_classifier(network: BatchFunction | None = None) -> Classifier:
    """Return a classifier whose scores are the shares of red, green and blue in an image; or those of `network`."""
    spec = InputSpec(4, 4, 0.0, 255.0)
    description = Description(COLOURS, input_tensor="input:0", **input_fields(spec), output_tensor="scores:0", architecture="")
    return Classifier(description, network=lambda work: network or mean_colour)


def mean_colour(images: FloatArray) -> FloatArray:
    """Return the mean of each colour: float32 [B, H, W, 3] → [B, 3]."""
    return np.asarray(images.mean(axis=(1, 2)), np.float32)


@contextlib.contextmanager
def serving_here(app: ASGIApp, request_seconds: float = HANGS, most_connections: int = 100) -> Iterator[int]:
    """Serve an application in this process; yield the port."""
    server = make_server(app, request_seconds, most_connections)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        thread = threading.Thread(target=server.run, args=[[listening]])
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(HANGS)


@contextlib.contextmanager
def labelling_here(batcher: Batcher, limits: Limits | None = None, **model: Any) -> Iterator[int]:
    """Serve what labels images in this process; yield the port."""
    facts = {"name": "colours", "top_k": 2, **model}
    with serving_here(make_app(batcher, facts, HostNames("127.0.0.1"), limits or Limits())) as port:
        yield port


class ServeProcess:
    """`python -m label_image --serve` in a process of its own; the end of the `with` block kills it if it still runs.

    Attributes:
        process: of the command.
        line: what it has printed when it was ready.
        port: at which it listens.
    """

    def __init__(self, folder: Path, *flags: str | Path, environment: Mapping[str, str] | None = None) -> None:
        """Start it in `folder`, where its log is written, and wait until it is ready or has ended."""
        self._log = folder / "serve.log"
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "label_image", "--serve", *map(str, flags)],
                cwd=folder,
                env={**own_environment(), "PYTHONPATH": str(ROOT), **(environment or {})},
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout
        self.line = self.process.stdout.readline()
        found = NAME.fullmatch(self.line)
        self.port = int(found[4]) if found else 0

    def __enter__(self) -> "ServeProcess":
        assert self.port, f"{self.line}\n{self.log}"
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout
        self.process.stdout.close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def stop(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(HANGS)


class SlowClients:
    """Clients that send a request of the given bytes, one byte each second, until the end of the `with` block.

    Attributes:
        connections: to the server.
    """

    def __init__(self, port: int, count: int, request: bytes) -> None:
        self._ended, self._request = threading.Event(), request
        self.connections = [socket.create_connection(("127.0.0.1", port), timeout=HANGS) for _ in range(count)]
        self._threads = [threading.Thread(target=self._send, args=[each]) for each in self.connections]

    def __enter__(self) -> "SlowClients":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        for thread, connection in zip(self._threads, self.connections, strict=True):
            thread.join()
            connection.close()

    def _send(self, connection: socket.socket) -> None:
        for number in range(len(self._request)):
            with contextlib.suppress(OSError):  # The server has closed the connection.
                connection.sendall(self._request[number : number + 1])
            if self._ended.wait(1):
                return


def wait_until_all(*threads: threading.Thread) -> None:
    """Wait for threads; fail if one hangs."""
    deadline = time.monotonic() + HANGS
    for thread in threads:
        thread.join(max(0, deadline - time.monotonic()))
        assert not thread.is_alive()
