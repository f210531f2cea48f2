"""The guard before the routes: names in Host, requests of other sites' pages, and headers for security."""

import socket
from collections.abc import Iterator

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from label_image.serve.guard import HEADERS, PAGE_HEADERS, Guard, HostNames
from tests.support.serving import ask, exchange, serving_here

REFUSED = "Pages of other sites may not use this server. Use its own page, or a program."


@pytest.mark.parametrize(
    ("host", "known", "unknown"),
    [
        (
            "127.0.0.1",
            ["127.0.0.1", "127.0.0.1:80", "127.0.0.1:54321", "localhost", "LocalHost:8000", "[::1]", "[::1]:8000"],
            ["", "evil.example", "127.0.0.2", "0.0.0.0", "127.0.0.1.evil.example", "localhost.evil.example", "127.0.0.1:http"],
        ),
        ("0.0.0.0", ["192.168.0.7", "10.0.0.1:80", "[fe80::1]:80", "localhost"], ["evil.example", "[evil]", "[::1", "1.2.3"]),
        ("::", ["192.168.0.7", "[2001:db8::1]:80"], ["evil.example"]),
        ("photos.example", ["photos.example", "Photos.Example:80", "127.0.0.1"], ["www.photos.example", "192.168.0.7"]),
        ("fe80::7", ["[fe80::7]", "[FE80::7]:80"], ["fe80::7", "[fe80::8]"]),
        ("127.0.0.1", [], ["127.0.0.1 ", "127.0.0.1\n", "a@127.0.0.1", "127.0.0.1/", "127.0.0.1:123456", "127.0.0.1:", ":80"]),
    ],
)
def test_names_of_the_server(host: str, known: list[str], unknown: list[str]) -> None:
    names = HostNames(host)
    assert [each for each in known if each not in names] == []
    assert [each for each in unknown if each in names] == []


def test_all_interfaces_stand_for_the_name_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "Kitchen.lan")
    names = HostNames("0.0.0.0")
    assert [name for name in ("kitchen.lan", "Kitchen", "kitchen.local:80", "pantry.lan") if name in names] == [
        "kitchen.lan",
        "Kitchen",
        "kitchen.local:80",
    ]
    assert "kitchen.lan" not in HostNames("127.0.0.1")


@pytest.fixture(scope="module")
def guarded() -> Iterator[int]:
    """Serve a guarded application that says hello to everyone."""

    async def hello(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("hello")(scope, receive, send)

    with serving_here(Guard(hello, HostNames("127.0.0.1"))) as port:
        yield port


NAVIGATION = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {}),
        ("POST", "/classify", {}),
        ("POST", "/classify", {"Origin": "http://127.0.0.1:{port}"}),
        ("POST", "/classify", {"Origin": "http://127.0.0.1:{port}", "Sec-Fetch-Site": "same-origin"}),
        ("POST", "/classify", {"Origin": "http://localhost:7", "Host": "LOCALHOST:7"}),
        ("POST", "/classify", {"Origin": "https://localhost", "Host": "localhost"}),  # Behind a proxy that speaks TLS.
        ("GET", "/model", {"Sec-Fetch-Site": "none"}),
        ("GET", "/", NAVIGATION),
    ],
)
def test_requests_that_pass(method: str, path: str, headers: dict[str, str], guarded: int) -> None:
    reply = ask(guarded, method, path, headers={name: value.format(port=guarded) for name, value in headers.items()})
    assert (reply.status, reply.body) == (200, b"hello")
    assert reply.headers.items() >= {name.lower(): value for name, value in HEADERS.items()}.items()


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/classify", {"Origin": "http://evil.example"}),
        ("POST", "/classify", {"Origin": "null"}),
        ("POST", "/classify", {"Origin": ""}),
        ("POST", "/classify", {"Origin": "http://127.0.0.1:1"}),  # Another program's page on this machine.
        ("POST", "/classify", {"Origin": "http://127.0.0.1"}),
        ("POST", "/classify", {"Origin": "http://localhost:{port}"}),
        ("GET", "/model", {"Sec-Fetch-Site": "cross-site"}),
        ("GET", "/model", {"Sec-Fetch-Site": "same-site"}),
        ("GET", "/model", NAVIGATION),
        ("POST", "/", NAVIGATION),
        ("GET", "/", {**NAVIGATION, "Sec-Fetch-Dest": "iframe"}),
        ("GET", "/", {**NAVIGATION, "Sec-Fetch-Mode": "no-cors"}),
        ("GET", "/", {**NAVIGATION, "Origin": "http://evil.example"}),
    ],
)
def test_requests_of_other_pages_are_refused(method: str, path: str, headers: dict[str, str], guarded: int) -> None:
    reply = ask(guarded, method, path, headers={name: value.format(port=guarded) for name, value in headers.items()})
    assert reply.refusal == (403, REFUSED)
    assert "access-control-allow-origin" not in reply.headers
    assert reply.headers.items() >= {name.lower(): value for name, value in HEADERS.items()}.items()


def test_another_name_is_refused(guarded: int) -> None:
    """As a page's request has it whose own name points to this machine."""
    sentence = "The server does not answer to the name evil.example:80. Use its address, or set --host to the name."
    assert ask(guarded, "GET", "/", headers={"Host": "evil.example:80"}).refusal == (421, sentence)


def test_no_name_is_refused(guarded: int) -> None:
    answer = exchange(guarded, b"GET / HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 421 ")
    assert b'{"error":"The server does not answer to the name (none). ' in answer


def test_two_names_are_refused(guarded: int) -> None:
    answer = exchange(guarded, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b'{"error":"The request is no valid HTTP."}')


def test_the_policy_allows_nothing_from_elsewhere() -> None:
    rules = dict(rule.split(" ", 1) for rule in PAGE_HEADERS["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["form-action"] == rules["base-uri"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert set(rules["img-src"].split()) == {"'self'", "blob:"}
