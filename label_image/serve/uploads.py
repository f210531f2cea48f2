"""Images in the body of a request, read into memory within bounds. Nothing is written to disk."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from label_image.serve.limits import Limits
from label_image.serve.refusal import RefusedError
from retrain.errors import shown

MULTIPART, ANY = "multipart/form-data", "application/octet-stream"
CURLS = "application/x-www-form-urlencoded"  # So `curl --data-binary @photo.jpg` calls a file.
UNNAMED = 'A part of the body has no file name. Send each image as a file: name="image"; filename="photo.jpg".'
DAMAGED = "The body is no valid multipart/form-data:"
EMPTY = "There is no image in the request. Send one as the body, or several as files of multipart/form-data."


@dataclass
class Upload:
    """An image of a request: the name of its file as the client tells it, or None; and its content."""

    name: str | None
    content: bytearray = field(default_factory=bytearray)

    def take_content(self) -> bytes:
        """Return the content, which is kept here no longer: in memory once alone."""
        content, self.content = bytes(self.content), bytearray()
        return content


async def read_uploads(request: Request, limits: Limits, hold: Callable[[int], None]) -> list[Upload]:
    """Read the images of a request.

    Args:
        request: the request.
        limits: bounds of the images.
        hold: counts bytes against the memory of all requests.

    Raises:
        RefusedError: the body has another type, is damaged, or exceeds a bound.
        ClientDisconnect: the client is gone.
    """
    header = request.headers.get("content-type") or ANY
    kind, options = parse_options_header(header)
    content_type = kind.decode("latin-1")
    if content_type == MULTIPART:
        receiver: _Raw | _Files = _Files(options.get(b"boundary", b""), limits)
    elif content_type in (ANY, CURLS) or content_type.startswith("image/"):
        receiver = _Raw(limits)
    else:
        raise RefusedError(415, f"Content-Type must be image/…, {ANY} or {MULTIPART}. Got {shown(header)}.")
    receiver.check_size(int(request.headers.get("content-length", "0")))  # Before anything of it is read.
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        receiver.check_size(size)
        hold(len(chunk))
        if chunk:
            receiver.write(chunk)
    return receiver.end()


class _Raw:
    """Receiver of a body that is one image."""

    def __init__(self, limits: Limits) -> None:
        self._upload = Upload(None)
        self.check_size, self.write = limits.check_image, self._upload.content.extend

    def end(self) -> list[Upload]:
        if not self._upload.content:
            raise RefusedError(400, EMPTY)
        return [self._upload]


class _Files:
    """Receiver of a body of several files."""

    def __init__(self, boundary: bytes, limits: Limits) -> None:
        self._limits, self._uploads = limits, list[Upload]()
        self._field, self._value, self._name = bytearray(), bytearray(), b""
        self._has_ended = False
        self.check_size = limits.check_request
        if not boundary:
            raise RefusedError(400, f"Content-Type {MULTIPART} must name its boundary.")
        with _damage():
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin_part,
                    "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
                    "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                    "on_header_end": self._end_header,
                    "on_headers_finished": self._begin_file,
                    "on_part_data": self._add,
                    "on_end": self._end_body,
                },
            )

    def write(self, data: bytes) -> None:
        with _damage():
            self._parser.write(data)

    def end(self) -> list[Upload]:
        if not self._has_ended:
            raise RefusedError(400, f"{DAMAGED} it ends too early.")
        if not self._uploads:
            raise RefusedError(400, EMPTY)
        return self._uploads

    def _begin_part(self) -> None:
        self._limits.check_count(len(self._uploads) + 1)
        self._name = b""

    def _end_header(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._name = parse_options_header(self._value.decode("latin-1"))[1].get(b"filename", b"")
        self._field.clear()
        self._value.clear()

    def _begin_file(self) -> None:
        if not self._name:
            raise RefusedError(400, UNNAMED)
        self._uploads.append(Upload(self._name.decode(errors="replace")))

    def _add(self, data: bytes, start: int, end: int) -> None:
        content = self._uploads[-1].content
        self._limits.check_image(len(content) + end - start)
        content += memoryview(data)[start:end]

    def _end_body(self) -> None:
        self._has_ended = True


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """Refuse a body that the parser refuses."""
    try:
        yield
    except FormParserError as error:
        raise RefusedError(400, f"{DAMAGED} {error}.") from error
