"""The routes over HTTP: images in, JSON out."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import PIL.Image
import pytest
from pytest import approx

from label_image.opening import Classifier
from label_image.scoring import Scorer
from label_image.serve.batcher import Batcher
from label_image.serve.guard import HEADERS, PAGE_HEADERS
from label_image.serve.limits import Limits
from retrain.arrays import FloatArray
from retrain.engines.choice import Work
from tests.support.serving import Reply, ask, classify, colours_classifier, labelling_here, multipart

ROUTES = "GET / is the page, POST /classify labels images, GET /model and GET /healthz tell about the server."
FAULT = "The server failed: this is a fault of the program. Its log has the details."


def picture(*colour: int) -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (8, 8), colour).save(file, "PNG")
    return file.getvalue()


ORANGE, GREEN = picture(255, 102, 0), picture(0, 255, 0)
OF_ORANGE = [{"label": "red", "score": approx(1)}, {"label": "green", "score": approx(0.4)}]
OF_GREEN = [{"label": "green", "score": approx(1)}, {"label": "red", "score": approx(0)}]


def batcher_of(classifier: Classifier, most_waiting: int = 100) -> Batcher:
    return Batcher(Scorer(classifier, Work()), most_waiting)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with labelling_here(batcher_of(colours_classifier())) as port:
        yield port


@pytest.mark.parametrize(
    ("path", "kind", "beginning"),
    [
        ("/", "text/html; charset=utf-8", b"<!DOCTYPE html>"),
        ("/page.css", "text/css; charset=utf-8", b":root {"),
        ("/page.js", "text/javascript; charset=utf-8", b'"use strict";'),
        ("/icon.svg", "image/svg+xml", b"<svg "),
    ],
)
def test_the_page(path: str, kind: str, beginning: bytes, port: int) -> None:
    reply = ask(port, "GET", path)
    assert (reply.status, reply.headers["content-type"]) == (200, kind)
    assert reply.body.startswith(beginning)
    expected = {name.lower(): value for name, value in {**HEADERS, **PAGE_HEADERS}.items()}
    assert reply.headers.items() >= expected.items()
    head = ask(port, "HEAD", path)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(reply.body)))


def test_health_and_model(port: int) -> None:
    assert ask(port, "GET", "/healthz").json == {"status": "ok"}
    assert ask(port, "GET", "/model").json == {"name": "colours", "top_k": 2}


def test_one_image(port: int) -> None:
    reply = classify(port, ORANGE)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
    assert reply.json == [{"image": None, "predictions": OF_ORANGE}]


def test_several_images(port: int) -> None:
    body, headers = multipart(("a.png", ORANGE), ("b.png", GREEN), ("a.png", GREEN))
    assert ask(port, "POST", "/classify", body, headers).json == [
        {"image": "a.png", "predictions": OF_ORANGE},
        {"image": "b.png", "predictions": OF_GREEN},
        {"image": "a.png", "predictions": OF_GREEN},
    ]


@pytest.mark.parametrize(("query", "count"), [("?top_k=1", 1), ("?top_k=3", 3), ("?top_k=999999999", 3), ("?other=7", 2)])
def test_the_number_of_labels(query: str, count: int, port: int) -> None:
    [answer] = classify(port, ORANGE, query).json
    assert [each["label"] for each in answer["predictions"]] == ["red", "green", "blue"][:count]


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("0", "0"),
        ("-1", "-1"),
        ("x", "x"),
        ("1.0", "1.0"),
        ("%D9%A3", "٣"),
        ("1000000000", "1000000000"),
        ("%0A", r"\n"),
        ("", ""),
    ],
)
def test_a_wrong_number_of_labels_is_refused(query: str, shown: str, port: int) -> None:
    refusal = (400, f"top_k must be an integer of at least 1. Got {shown}.")
    assert classify(port, ORANGE, f"?top_k={query}").refusal == refusal


def test_images_that_cannot_be_labelled_among_others(port: int) -> None:
    body, headers = multipart(("a.png", ORANGE), ("no <b>\u2028.txt", b"no image"), ("c.png", b""))
    reply = ask(port, "POST", "/classify", body, headers)
    assert (reply.status, reply.json) == (
        200,
        [
            {"image": "a.png", "predictions": OF_ORANGE},
            {"image": "no <b>\u2028.txt", "error": r"no <b>\u2028.txt cannot be labelled: it is no image in a known format"},
            {"image": "c.png", "error": "c.png cannot be labelled: the file is empty"},
        ],
    )


def test_nothing_but_images_that_cannot_be_labelled_is_refused(port: int) -> None:
    assert classify(port, b"no image").refusal == (415, "The image cannot be labelled: it is no image in a known format")
    body, headers = multipart(("a.txt", b"no image"), ("b.png", ORANGE[:40]))
    status, sentence = ask(port, "POST", "/classify", body, headers).refusal
    assert status == 415
    first, second = sentence.split("\n")
    assert first == "a.txt cannot be labelled: it is no image in a known format"
    assert second.startswith("b.png cannot be labelled: ")


@pytest.mark.parametrize(
    ("method", "path", "refusal", "allow"),
    [
        ("GET", "/classify", (405, "/classify does not take GET, but POST."), "POST"),
        ("DELETE", "/", (405, "/ does not take DELETE, but GET, HEAD."), "GET, HEAD"),
        ("GET", "/nothing%0A", (404, rf"There is no /nothing\n. {ROUTES}"), None),
        ("GET", "/page/page.js", (404, f"There is no /page/page.js. {ROUTES}"), None),
        ("GET", "/../app.py", (404, f"There is no /../app.py. {ROUTES}"), None),
        ("GET", "/%2e%2e/app.py", (404, f"There is no /../app.py. {ROUTES}"), None),
        ("GET", "//evil.example/", (404, f"There is no //evil.example/. {ROUTES}"), None),
    ],
)
def test_other_requests(method: str, path: str, refusal: tuple[int, str], allow: str | None, port: int) -> None:
    reply = ask(port, method, path)
    assert (reply.refusal, reply.headers.get("allow")) == (refusal, allow)


def test_scores_that_are_no_numbers_are_null() -> None:
    def network(images: FloatArray) -> FloatArray:
        return np.full((len(images), 3), np.nan, np.float32)

    with labelling_here(batcher_of(colours_classifier(network))) as port:
        assert classify(port, ORANGE).json == [
            {"image": None, "predictions": [{"label": "red", "score": None}, {"label": "green", "score": None}]}
        ]


def test_an_error_of_the_network_is_told_and_a_fault_is_not(logged: list[str]) -> None:
    errors: list[Exception] = [ValueError("negative dimension"), KeyError("secret")]

    def network(images: FloatArray) -> FloatArray:
        raise errors.pop(0)

    with labelling_here(batcher_of(colours_classifier(network))) as port:
        sentence = "The graph does not run with the input input:0: negative dimension"
        assert classify(port, ORANGE).refusal == (500, sentence)
        assert classify(port, ORANGE).refusal == (500, FAULT)
    assert len(logged) == 1 and "secret" in logged[0]


def test_bounds_are_those_of_the_limits() -> None:
    limits = Limits(image_bytes=1000, request_bytes=5000, images=2, held_bytes=3000)
    with labelling_here(batcher_of(colours_classifier(), most_waiting=1), limits) as port:
        assert classify(port, ORANGE.ljust(1000, b"\0")).status == 200
        for body in (b"x" * 1001, iter([b"x" * 600, b"x" * 600])):
            refusal = (413, "An image may have 0 MiB at most. Send a smaller one.")
            assert ask(port, "POST", "/classify", body).refusal == refusal

        def send(*contents: bytes) -> Reply:
            body, headers = multipart(*((f"{index}.png", content) for index, content in enumerate(contents)))
            return ask(port, "POST", "/classify", body, headers)

        many = "A request may have 2 images at most. Send the others in another one."
        assert send(*[b""] * 3).refusal == (413, many)
        waiting = send(ORANGE, ORANGE)
        assert waiting.refusal == (503, "0 images wait for the network already. Try again in a second.")
        assert waiting.headers["retry-after"] == "1"
        held = (503, "The server holds as many images as it can. Try again in a second.")
        assert ask(port, "POST", "/classify", b"x" * 3100, multipart()[1]).refusal == held
        assert send(ORANGE).json == [{"image": "0.png", "predictions": OF_ORANGE}]  # Nothing is held any more.


def test_a_fault_of_the_server_is_told_in_json() -> None:
    """One that no route expects: here the facts about the model cannot be written as JSON."""
    model: Any = object()
    with labelling_here(batcher_of(colours_classifier()), labels=model) as port:
        assert ask(port, "GET", "/model").refusal == (500, FAULT)
        assert ask(port, "GET", "/healthz").status == 200
