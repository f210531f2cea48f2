"""Routes of the server."""

import dataclasses
import importlib.resources
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from label_image.classify import Classification
from label_image.serve.batcher import Batcher, Outcome
from label_image.serve.guard import PAGE_HEADERS, Guard, HostNames
from label_image.serve.limits import Limits, Memory
from label_image.serve.refusal import Json, RefusedError
from label_image.serve.uploads import Upload, read_uploads
from retrain.errors import RetrainError, shown

PAGE = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
ROUTES = "GET / is the page, POST /classify labels images, GET /model and GET /healthz tell about the server."
FAULT = "The server failed: this is a fault of the program. Its log has the details."


def make_app(batcher: Batcher, model: dict[str, Any], names: HostNames, limits: Limits) -> ASGIApp:
    """Return the application.

    Args:
        batcher: labels images.
        model: the answer of GET /model; `top_k` is the number of labels of an answer that names none.
        names: names under which clients may address the server.
        limits: bounds of requests.
    """
    memory = Memory(limits.held_bytes)

    async def classify(request: Request) -> Response:
        try:
            with memory.share() as hold:
                top_k = _top_k(request, model["top_k"])
                uploads = await read_uploads(request, limits, hold)
                outcomes = await batcher.label([each.take_content() for each in uploads])
                return Json(_answers(uploads, outcomes, top_k))
        except ClientDisconnect:
            return Response(status_code=400)  # Nobody receives it.

    async def healthz(request: Request) -> Response:
        return Json({"status": "ok"})

    async def tell_of_model(request: Request) -> Response:
        return Json(model)

    app = Starlette(
        routes=[
            Route("/classify", classify, methods=["POST"]),  # The first that is looked for: most requests are for it.
            Route("/healthz", healthz),
            Route("/model", tell_of_model),
            *(_file_route(path, name, media_type) for path, (name, media_type) in PAGE.items()),
        ],
        exception_handlers={RefusedError: _refused, HTTPException: _wrong_route, Exception: _failed},
    )
    return Guard(app, names)


def _file_route(path: str, name: str, media_type: str) -> Route:
    content = importlib.resources.files("label_image.serve").joinpath("page", name).read_bytes()

    async def file(request: Request) -> Response:
        return Response(content, media_type=media_type, headers=PAGE_HEADERS)

    return Route(path, file)


def _top_k(request: Request, default: int) -> int:
    text = request.query_params.get("top_k", str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 10 and int(text) >= 1):
        raise RefusedError(400, f"top_k must be an integer of at least 1. Got {shown(text)}.")
    return int(text)


def _answers(uploads: list[Upload], outcomes: list[Outcome], top_k: int) -> list[dict[str, Any]]:
    """Return the answer to each image. Raises RefusedError if none can be labelled."""
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise RefusedError(500, str(outcome) if isinstance(outcome, RetrainError) else FAULT)
    if not any(isinstance(outcome, Classification) for outcome in outcomes):
        raise RefusedError(415, "\n".join(_sentence(*each) for each in zip(uploads, outcomes, strict=True)))
    return [_answer(*each, top_k) for each in zip(uploads, outcomes, strict=True)]


def _answer(upload: Upload, outcome: Outcome, top_k: int) -> dict[str, Any]:
    if not isinstance(outcome, Classification):
        return {"image": upload.name, "error": _sentence(upload, outcome)}
    labels, scores = outcome.labels[:top_k], outcome.scores[:top_k]
    return dataclasses.replace(outcome, path=upload.name, labels=labels, scores=scores).to_dict()


def _sentence(upload: Upload, reason: Outcome) -> str:
    return f"{'The image' if upload.name is None else shown(upload.name)} cannot be labelled: {reason}"


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    return error.response()


async def _wrong_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = shown(request.scope["path"])
    if error.status_code == 405:
        allowed = ", ".join(sorted((error.headers or {})["Allow"].split(", ")))
        return RefusedError(405, f"{path} does not take {shown(request.method)}, but {allowed}.", allowed).response()
    if error.status_code == 404:
        return RefusedError(404, f"There is no {path}. {ROUTES}").response()
    return RefusedError(error.status_code, f"The request cannot be answered: {error.detail}.").response()


async def _failed(request: Request, error: Exception) -> Response:
    """Answer a fault of the program; uvicorn logs it."""
    return RefusedError(500, FAULT).response()
