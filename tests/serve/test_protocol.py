"""Connections: requests that arrive too slowly, in pieces or as nonsense, and too many at once. All over real sockets."""

import json
import socket
from collections.abc import Iterator

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from label_image.serve.guard import HEADERS
from label_image.serve.refusal import RefusedError
from tests.support.serving import ask, exchange, rest, serving_here

SECONDS = 0.4
TOO_SLOW = "The request did not arrive within 0.4 seconds. Send it again over a faster connection, or raise --request_seconds."
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the path and the body; refuse the path /no without reading anything, and answer /at-once likewise."""
    if scope["path"] == "/no":
        await RefusedError(413, "no").response()(scope, receive, send)
        return
    body = b"" if scope["path"] == "/at-once" else await Request(scope, receive).body()
    await PlainTextResponse(f"{scope['path']} ".encode() + body)(scope, receive, send)


@pytest.fixture(scope="module")
def patient() -> Iterator[int]:
    with serving_here(echo) as port:
        yield port


@pytest.fixture(scope="module")
def hasty() -> Iterator[int]:
    """Serve with little time for a request."""
    with serving_here(echo, SECONDS) as port:
        yield port


def parsed(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers by lower-case name, and body of the only response in an answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    assert len(body) == int(headers["content-length"])
    return int(first.split()[1]), headers, body


def assert_refused(answer: bytes, status: int, sentence: str) -> None:
    found, headers, body = parsed(answer)
    assert (found, json.loads(body)) == (status, {"error": sentence})
    assert headers["connection"] == "close" and headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"G",
        b"GET / HTTP/1.1\r\nHost: a\r\nX-",
        POST % 10,
        POST % 10 + b"only",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
    ],
)
def test_a_request_that_does_not_arrive_is_answered_and_closed(begun: bytes, hasty: int) -> None:
    assert_refused(exchange(hasty, begun), 408, TOO_SLOW)


def test_the_time_is_that_of_the_whole_request(hasty: int) -> None:
    """A byte now and then does not prolong it."""
    request, answer = POST % 1000 + b"x" * 1000, b""
    with socket.create_connection(("127.0.0.1", hasty), timeout=0.05) as connection:
        for number in range(len(request)):
            try:
                connection.sendall(request[number : number + 1])
                answer += connection.recv(65536)
                break
            except TimeoutError:
                continue
        connection.settimeout(None)
        answer += rest(connection)
    assert number < len(request) - 1
    assert_refused(answer, 408, TOO_SLOW)


def test_the_time_of_each_request_is_its_own() -> None:
    with serving_here(echo, request_seconds=1.5) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        for pause in (2, None):
            connection.settimeout(None)
            connection.sendall(GET)
            answer = b""
            while not answer.endswith(b"\r\n\r\n/ "):
                answer += connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
            if pause:
                connection.settimeout(pause)
                with pytest.raises(TimeoutError):  # The connection stays open.
                    connection.recv(1)


def test_refused_requests_are_read_no_longer_than_others(hasty: int) -> None:
    answer = exchange(hasty, b"POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nonly")
    assert_refused(answer, 413, "no")


def test_requests_that_are_answered_before_they_arrive_are_read_no_longer_than_others(hasty: int) -> None:
    answer = exchange(hasty, b"POST /at-once HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nonly")
    assert parsed(answer)[::2] == (200, b"/at-once ")


def test_a_head_without_its_body(hasty: int) -> None:
    answer = exchange(hasty, b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nonly")
    assert answer.startswith(b"HTTP/1.1 408 ") and answer.endswith(b"\r\n\r\n")


def test_a_refusal_reaches_a_client_that_sends_everything_first(patient: int) -> None:
    """Although nothing of the request was asked for. It is more than the buffers of the system hold."""
    reply = ask(patient, "POST", "/no", b"x" * (16 << 20))
    assert (reply.refusal, reply.headers["connection"]) == ((413, "no"), "close")


def test_a_client_that_waits_to_be_asked_sends_nothing_if_it_is_refused(patient: int) -> None:
    head = b"POST /no HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n"
    assert_refused(exchange(patient, head), 413, "no")


def test_a_client_that_waits_to_be_asked_is_asked(patient: int) -> None:
    with socket.create_connection(("127.0.0.1", patient)) as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 ")
        connection.sendall(b"hello")
        assert parsed(rest(connection))[::2] == (200, b"/ hello")


def test_pieces_of_any_length(patient: int) -> None:
    assert ask(patient, "POST", "/", iter([b"a", b"b" * 100_000, b"c"])).body == b"/ a" + b"b" * 100_000 + b"c"


def test_several_requests_at_once(patient: int) -> None:
    last = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    answer = exchange(patient, POST % 2 + b"hi" + GET.replace(b"/", b"/2", 1) + last)
    assert [part.partition(b"\r\n")[0] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"200 OK"] * 3
    assert [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 ")[1:]] == [b"/ hi", b"/2 ", b"/ "]


@pytest.mark.parametrize(
    "request_",
    [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a client that speaks TLS",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (16 << 20),
    ],
)
def test_what_is_no_http_is_refused(request_: bytes, patient: int) -> None:
    answer = exchange(patient, request_)
    assert_refused(answer, 400, "The request is no valid HTTP.")
    assert parsed(answer)[1].items() >= {name.lower(): value.lower() for name, value in HEADERS.items()}.items()


def test_a_websocket_is_an_ordinary_request(patient: int) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "x"}
    assert ask(patient, "GET", "/", headers=upgrade).status == 200


def test_too_many_connections_are_refused_until_one_is_closed() -> None:
    with serving_here(echo, most_connections=3) as port:
        others = [socket.create_connection(("127.0.0.1", port)) for _ in range(3)]
        for each in others:  # So that they are known to be accepted.
            each.sendall(GET)
            assert each.recv(65536)
        assert_refused(exchange(port, b""), 503, "The server has as many connections as it can. Try again in a second.")
        others.pop().close()
        answer = b"HTTP/1.1 503 "
        while answer.startswith(b"HTTP/1.1 503 "):  # The server may learn of the end a little later.
            answer = exchange(port, GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert answer.startswith(b"HTTP/1.1 200 ")
        for each in others:
            each.close()
