"""Refusals of requests: a status code of HTTP, and a sentence in JSON."""

from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

DRAINED_BYTES = 256 << 20  # Of a refused request: as much is read before the connection is closed.
EXPECT = (b"expect", b"100-continue")
BEGUN = "label_image.begun"  # In the scope of a request, if some of its body has been asked for.


class RefusedError(Exception):
    """A request that is refused."""

    def __init__(self, status: int, sentence: str, allow: str | None = None) -> None:
        """Store the status code and the sentence; `allow` is the header of that name."""
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
        self.headers = {"Allow": allow} if allow else {"Retry-After": "1"} if status == 503 else {}

    def response(self) -> "Refusal":
        """Return the response."""
        return Refusal({"error": self.sentence}, self.status, self.headers)


class Json(Response):
    """Response in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the content as JSON; of numbers that JSON does not know, such as NaN, null."""
        return orjson.dumps(content)


class Refusal(Json):
    """Response to a request whose body may not have been read.

    The response is sent at once, and then the rest of the body is read and dropped: many clients, browsers among them, read a
    response only when they have sent everything, and miss it if the connection is closed before.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response and read the rest of the request."""
        unread = [value for name, value in scope["headers"] if name in (b"content-length", b"transfer-encoding")]
        if unread in ([], [b"0"]):
            await super().__call__(scope, receive, send)
            return
        self.headers["Connection"] = "close"
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        if scope.get(BEGUN) or not any((name, value.lower()) == EXPECT for name, value in scope["headers"]):
            await _drain(receive)  # Else the client waits to be asked, and sends no body at all.
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    """Read what is left of a request. The protocol ends it when the request's time is over."""
    size = 0
    while size <= DRAINED_BYTES:
        message = await receive()
        size += len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return
