"""uvicorn's HTTP connection, with a bound on the time of a request and on the number of connections.

uvicorn bounds the time between requests alone: a client that sends a byte now and then keeps its connection for ever.
"""

import asyncio
import contextlib
import socket
from typing import Any

import h11
import orjson
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from label_image.serve.guard import HEADERS

JSON = "application/json"
TOO_SLOW = (
    "The request did not arrive within {seconds:g} seconds. Send it again over a faster connection, or raise --request_seconds."
)
TOO_MANY = "The server has as many connections as it can. Try again in a second."
INVALID = "The request is no valid HTTP."
SHUTDOWN_SECONDS = 5  # For the requests that are being answered.
CLOSING_SECONDS = 2  # In which a client may read a refusal.


def make_server(app: ASGIApp, request_seconds: float, most_connections: int) -> uvicorn.Server:
    """Return the server of an application; the parameters are those of `ServerConfig`.

    Its event loop is that of uvloop where that is installed, which is faster than Python's own.
    """
    config = ServerConfig(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    config.request_seconds, config.most_connections = request_seconds, most_connections
    return uvicorn.Server(config)


class ServerConfig(uvicorn.Config):
    """Settings of uvicorn, and those of the connections.

    Attributes:
        request_seconds: time in seconds within which a request has to arrive as a whole.
        most_connections: number of clients that may be connected at once.
    """

    request_seconds: float
    most_connections: int


class Connection(H11Protocol):
    """Connection of a client. A request that does not arrive in time is answered 408, and the connection closed."""

    def __init__(self, config: ServerConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self._seconds, self._most_connections = config.request_seconds, config.most_connections
        self._deadline: asyncio.TimerHandle | None = None
        self._is_refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # uvicorn sends a response in parts. With Nagle's algorithm the last part waits for the client's acknowledgement, which
        # many systems delay by 40 ms. asyncio turns it off only for sockets that were made with the protocol's number.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if len(self.connections) > self._most_connections:
            self._refuse(503, TOO_MANY)
        else:
            self._watch(begun=True)

    def data_received(self, data: bytes) -> None:
        if not (self._is_refused or self.transport.is_closing()):
            super().data_received(data)
            self._watch(begun=True)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch(begun=False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self.loop.call_later(self._seconds, self.transport.abort)  # If the client does not read what it was sent.

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, INVALID)

    def _watch(self, begun: bool) -> None:
        """Start the time of a request that has begun to arrive, and stop it when it has arrived as a whole."""
        if self._is_refused or self.conn.their_state not in (h11.IDLE, h11.SEND_BODY) or self.transport.is_closing():
            self._stop_watching()
        elif self._deadline is None and (begun or self.conn.their_state is h11.SEND_BODY):
            self._deadline = self.loop.call_later(self._seconds, self._time_is_over)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _time_is_over(self) -> None:
        self._refuse(408, TOO_SLOW.format(seconds=self._seconds))

    def _refuse(self, status: int, sentence: str) -> None:
        """Send an error, unless a response has begun, and close the connection. What waits for the request learns of that.

        The client's side is closed a little later, and dropped what still arrives: with unread data, a system closes a connection
        in a way that lets the client lose the response.
        """
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = orjson.dumps({"error": sentence})
            headers = [("Content-Type", JSON), ("Content-Length", str(len(body))), ("Connection", "close"), *HEADERS.items()]
            with contextlib.suppress(h11.LocalProtocolError):  # A response to HEAD has no body.
                for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
                    self.transport.write(self.conn.send(event) or b"")
        self._stop_watching()
        self._unset_keepalive_if_required()
        self._is_refused = True
        self.transport.write_eof()
        self.transport.resume_reading()
        self.loop.call_later(CLOSING_SECONDS, self.transport.abort)
