"""Thumbnails for the page."""

import base64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from retrain.data.loader import N_CORES
from retrain.data.thumbnail import thumbnail
from retrain.errors import ImageError

SIDE = 120  # Pixels.


def data_uris(paths: Sequence[str]) -> list[str]:
    """Return a picture of each photo as a `data:` address; an empty text for one that can no longer be decoded."""
    with ThreadPoolExecutor(N_CORES) as pool:
        return list(pool.map(_data_uri, paths))


def _data_uri(path: str) -> str:
    try:
        return f"data:image/jpeg;base64,{base64.b64encode(thumbnail(path, SIDE)).decode()}"
    except ImageError:
        return ""
