"""Images in the body of a request: raw, or as the files of a form."""

import asyncio
import dataclasses
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from label_image.serve.limits import Limits
from label_image.serve.refusal import RefusedError
from label_image.serve.uploads import read_uploads
from tests.support.serving import multipart

SMALL = Limits(image_bytes=100, request_bytes=1000, images=3)
UNNAMED = 'A part of the body has no file name. Send each image as a file: name="image"; filename="photo.jpg".'
EMPTY = "There is no image in the request. Send one as the body, or several as files of multipart/form-data."


@dataclasses.dataclass
class Received:
    """Names and contents of the images of a request, the bytes that were counted, and the pieces of it that were read."""

    uploads: list[tuple[str | None, bytes]]
    held: list[int]
    n_read: int


def read(pieces: Sequence[bytes], headers: dict[str, str], limits: Limits = SMALL) -> Received:
    """Read a request whose body arrives in these pieces; a missing last piece is that of a client that is gone."""
    waiting, n_read = list(pieces), 0

    async def receive() -> Message:
        nonlocal n_read
        if not waiting:
            return {"type": "http.disconnect"}
        n_read += 1
        return {"type": "http.request", "body": waiting.pop(0), "more_body": True} if waiting[1:] else last(waiting.pop())

    def last(body: bytes) -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    request = Request({"type": "http", "method": "POST", "headers": encoded}, receive)
    held: list[int] = []
    uploads = asyncio.run(read_uploads(request, limits, held.append))
    return Received([(each.name, each.take_content()) for each in uploads], held, n_read)


def refusal(pieces: Sequence[bytes], headers: dict[str, str], limits: Limits = SMALL) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        read(pieces, headers, limits)
    return caught.value.status, caught.value.sentence


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": ""},
        {"Content-Type": "image/jpeg"},
        {"Content-Type": "image/x-any; q=1"},
        {"Content-Type": "Application/Octet-Stream"},
        {"Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_a_raw_body_is_one_image(headers: dict[str, str]) -> None:
    received = read([b"abc", b"", b"de"], headers)
    assert received.uploads == [(None, b"abcde")]
    assert sum(received.held) == 5


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "image", "multipart/mixed; boundary=edge"])
def test_other_types_are_refused(kind: str) -> None:
    sentence = "Content-Type must be image/…, application/octet-stream or multipart/form-data. Got " + kind
    status, found = refusal([b"abc"], {"Content-Type": kind})
    assert (status, found.removesuffix(".")) == (415, sentence)


def test_the_bound_of_an_image_is_exact() -> None:
    assert read([b"x" * 100], {}).uploads == [(None, b"x" * 100)]
    sentence = "An image may have 0 MiB at most. Send a smaller one."
    assert refusal([b"x" * 101], {}) == (413, sentence)
    assert refusal([b"x" * 60, b"x" * 41], {}) == (413, sentence)
    body, headers = multipart(("a", b"x" * 100), ("b", b"y" * 100))
    assert read([body], headers).uploads == [("a", b"x" * 100), ("b", b"y" * 100)]
    assert refusal([multipart(("a", b""), ("b", b"y" * 101))[0]], headers) == (413, sentence)


def test_a_length_that_is_too_large_is_refused_before_anything_is_read() -> None:
    for length, headers in [("101", {}), ("1001", multipart()[1])]:
        with pytest.raises(RefusedError) as caught:
            read([], {**headers, "Content-Length": length})  # Else the client would be gone.
        assert caught.value.status == 413


def test_the_bound_of_a_request_is_that_of_all_of_it() -> None:
    headers = multipart()[1]
    assert refusal([b"-" * 1001], headers) == (413, "A request may have 0 MiB at most. Send fewer images.")


def test_the_bound_of_the_number_of_images_is_exact() -> None:
    files = [("a", b"x")] * 4
    body, headers = multipart(*files[:3])
    assert len(read([body], headers).uploads) == 3
    body, headers = multipart(*files)
    assert refusal([body], headers) == (413, "A request may have 3 images at most. Send the others in another one.")


BODY, HEADERS = multipart(("one.jpg", b"\r\n--edg\r\n--"), ("zwei ä.jpg", b""), ("x", bytes(range(30))))


@given(st.lists(st.integers(1, 40), max_size=60))
def test_a_form_is_the_same_in_any_pieces(sizes: list[int]) -> None:
    pieces, left = [], BODY
    for size in sizes:
        pieces.append(left[:size])
        left = left[size:]
    received = read([*pieces, left], HEADERS)
    assert received.uploads == [("one.jpg", b"\r\n--edg\r\n--"), ("zwei ä.jpg", b""), ("x", bytes(range(30)))]
    assert sum(received.held) == len(BODY)


def test_names_are_as_the_client_tells_them() -> None:
    name = '../<b>&amp; \\" %22 \udcff.jpg'
    body = multipart(("PLACE", b"x"))[0].replace(b"PLACE", name.encode(errors="surrogateescape"))
    [(found, content)] = read([body], HEADERS).uploads
    assert content == b"x"
    assert found is not None and "<b>&amp;" in found and "\ufffd" in found


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"", "The body is no valid multipart/form-data: it ends too early."),
        (BODY[:-6], "The body is no valid multipart/form-data: it ends too early."),
        (BODY[:100], "The body is no valid multipart/form-data: it ends too early."),
        (b"--edge--\r\n", EMPTY),
        (b'--edge\r\nContent-Disposition: form-data; name="text"\r\n\r\nhello\r\n--edge--\r\n', UNNAMED),
        (b'--edge\r\nContent-Disposition: form-data; name="f"; filename=""\r\n\r\n\r\n--edge--\r\n', UNNAMED),
        (b"--edge\r\n\r\nhello\r\n--edge--\r\n", UNNAMED),
    ],
)
def test_damaged_forms_are_refused(body: bytes, sentence: str) -> None:
    assert refusal([body], HEADERS) == (400, sentence)


@pytest.mark.parametrize("body", [b"hello", b"--other\r\n\r\n", b"--edge\r\nno header\r\n\r\n", b"--edge\r\n" + b"a" * 900])
def test_what_is_no_form_is_refused(body: bytes) -> None:
    status, sentence = refusal([body], HEADERS)
    assert status == 400
    assert sentence.startswith("The body is no valid multipart/form-data: ")


def test_a_form_without_boundary_is_refused() -> None:
    assert refusal([b"x"], {"Content-Type": "multipart/form-data"}) == (
        400,
        "Content-Type multipart/form-data must name its boundary.",
    )


def test_an_empty_body_is_refused() -> None:
    assert refusal([b""], {}) == (400, EMPTY)


def test_a_client_that_is_gone() -> None:
    with pytest.raises(ClientDisconnect):
        read([], {})
