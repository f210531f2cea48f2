"""Thumbnails for the page."""

import base64
from collections.abc import Sequence

from retrain.data.thumbnail import jpeg, small_photos

SIDE = 120  # Pixels.


def data_uris(paths: Sequence[str]) -> list[str]:
    """Return a picture of each photo as a `data:` address; an empty text for one that can no longer be decoded."""
    return [
        f"data:image/jpeg;base64,{base64.b64encode(jpeg(photo)).decode()}" if photo else "" for photo in small_photos(paths, SIDE)
    ]
