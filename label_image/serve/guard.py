"""Guard before all routes: only this machine's own page and programs may use the server, no page of another site."""

import ipaddress
import re
import socket

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from label_image.serve.refusal import BEGUN, RefusedError
from retrain.errors import shown

OWN_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\s:\[\]/@]+)(:\d{1,5})?", re.IGNORECASE)
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
# Of every answer. Each one costs time, which many small requests feel: the others are of the page alone.
HEADERS = {
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}
PAGE_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
}
_ENCODED = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]


class HostNames:
    """Names under which clients may address the server, those in the header Host.

    A page of another site can let its own name point to this machine (DNS rebinding). The browser then takes the server for a
    part of that site, and only the name in Host differs.
    """

    def __init__(self, host: str) -> None:
        """Store the names that fit `--host`. An address for all interfaces stands for every address and this machine's name."""
        self._names = OWN_NAMES | {_in_brackets(host)}
        self._any_address = _is_for_all_interfaces(host)
        if self._any_address:
            name = socket.gethostname().lower()
            self._names |= {name, name.partition(".")[0], f"{name.partition('.')[0]}.local"}

    def __contains__(self, host: str) -> bool:
        found = HOST.fullmatch(host)
        name = found["name"].lower() if found else ""
        return name in self._names or (self._any_address and _is_address(name))


class Guard:
    """Application before another one: it refuses requests of other sites' pages, and adds headers for security."""

    def __init__(self, app: ASGIApp, names: HostNames) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_ENCODED]
            await send(message)

        async def receive_noted() -> Message:
            scope[BEGUN] = True
            return await receive()

        headers = Headers(scope=scope)
        try:
            _check_host(headers, self._names)
            _check_site(headers, scope)
        except RefusedError as refused:
            await refused.response()(scope, receive, send_with_headers)
            return
        await self._app(scope, receive_noted, send_with_headers)


def _check_host(headers: Headers, names: HostNames) -> None:
    host = headers.get("host", "")
    if host not in names:
        raise RefusedError(
            421, f"The server does not answer to the name {shown(host) or '(none)'}. Use its address, or set --host to the name."
        )


def _check_site(headers: Headers, scope: Scope) -> None:
    """Raise RefusedError for a request that the page of another site makes. Browsers tell in headers that pages cannot set."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    own = {f"{scheme}://{headers['host']}".lower() for scheme in ("http", "https")}
    if (origin is not None and origin.lower() not in own) or not (site in ("same-origin", "none") or _is_link(headers, scope)):
        raise RefusedError(403, "Pages of other sites may not use this server. Use its own page, or a program.")


def _is_link(headers: Headers, scope: Scope) -> bool:
    """Return True for a link to the page itself, which another site's page may have: it learns nothing of what is shown."""
    is_page = scope["method"] == "GET" and scope["path"] == "/"
    return is_page and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"


def _in_brackets(host: str) -> str:
    return f"[{host}]".lower() if ":" in host else host.lower()


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _is_for_all_interfaces(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified
