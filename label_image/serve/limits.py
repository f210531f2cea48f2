"""Bounds of what clients may send, and the memory that all requests together hold."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from label_image.serve.refusal import RefusedError

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Bounds of requests.

    Attributes:
        image_bytes: of one image.
        request_bytes: of the images of one request together.
        images: number of images in one request.
        waiting_images: number of images that may wait for the network, those of all requests.
        held_bytes: of the images of all requests together.
        connections: number of clients that may be connected at once.
    """

    image_bytes: int = 32 * MEBIBYTE
    request_bytes: int = 64 * MEBIBYTE
    images: int = 64
    waiting_images: int = 512
    held_bytes: int = 512 * MEBIBYTE
    connections: int = 500

    def check_image(self, size: int) -> None:
        """Raise RefusedError for an image of more bytes than allowed."""
        if size > self.image_bytes:
            raise RefusedError(413, f"An image may have {self.image_bytes // MEBIBYTE} MiB at most. Send a smaller one.")

    def check_request(self, size: int) -> None:
        """Raise RefusedError for a request of more bytes than allowed."""
        if size > self.request_bytes:
            raise RefusedError(413, f"A request may have {self.request_bytes // MEBIBYTE} MiB at most. Send fewer images.")

    def check_count(self, count: int) -> None:
        """Raise RefusedError for more images in a request than allowed."""
        if count > self.images:
            raise RefusedError(413, f"A request may have {self.images} images at most. Send the others in another one.")


class Memory:
    """Bytes that the images of all requests hold, up to a bound."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0

    @contextlib.contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """Yield a function that counts more bytes of one request; they are free again after the block.

        The function raises RefusedError if all requests together would hold too many.
        """
        mine = 0

        def hold(size: int) -> None:
            nonlocal mine
            if self._held + size > self._most:
                raise RefusedError(503, "The server holds as many images as it can. Try again in a second.")
            self._held += size
            mine += size

        try:
            yield hold
        finally:
            self._held -= mine
