"""Servers that answer as a test wants."""

import contextlib
import http.server
import threading
from collections.abc import Callable, Iterator

HttpAnswer = Callable[[http.server.BaseHTTPRequestHandler], None]


@contextlib.contextmanager
def answering(answer: HttpAnswer) -> Iterator[str]:
    """Run a server that gives `answer` to each GET; yield its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:
            """Print no access log."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.01])  # seconds between looks at whether to end
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def sending(body: bytes, length: int | None = -1) -> HttpAnswer:
    """Return an answer that announces `length` bytes, or as many as there are; None announces nothing."""

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        if length is not None:
            request.send_header("Content-Length", str(len(body) if length == -1 else length))
        request.end_headers()
        request.wfile.write(body)

    return answer
