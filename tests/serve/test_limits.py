"""Bounds of requests, and the memory of all together."""

from collections.abc import Callable

import pytest

from label_image.serve.limits import Limits, Memory
from label_image.serve.refusal import RefusedError

MEBIBYTE = 1 << 20


@pytest.mark.parametrize(
    ("check", "most", "status", "sentence"),
    [
        (Limits().check_image, 32 * MEBIBYTE, 413, "An image may have 32 MiB at most. Send a smaller one."),
        (Limits().check_request, 64 * MEBIBYTE, 413, "A request may have 64 MiB at most. Send fewer images."),
        (Limits().check_count, 64, 413, "A request may have 64 images at most. Send the others in another one."),
    ],
)
def test_bounds(check: Callable[[int], None], most: int, status: int, sentence: str) -> None:
    check(0)
    check(most)
    with pytest.raises(RefusedError) as caught:
        check(most + 1)
    assert (caught.value.status, caught.value.sentence) == (status, sentence)


def test_memory_is_shared_and_free_again() -> None:
    memory = Memory(100)
    with memory.share() as hold:
        hold(60)
        hold(0)
        with memory.share() as other:
            other(40)
            for each in (hold, other):
                with pytest.raises(RefusedError) as caught:
                    each(1)
                assert (caught.value.status, caught.value.sentence) == (
                    503,
                    "The server holds as many images as it can. Try again in a second.",
                )
                assert caught.value.headers == {"Retry-After": "1"}
        hold(40)
    with memory.share() as hold, pytest.raises(RefusedError):
        hold(100)
        hold(1)
    with memory.share() as hold:
        hold(100)
