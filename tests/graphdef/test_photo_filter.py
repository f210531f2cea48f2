"""The compact record of the photos that a classifier was trained on."""

import hashlib
import json
import math

import pytest

from retrain.errors import GraphError
from retrain.graphdef.description import Description
from retrain.graphdef.photo_filter import FALSE_POSITIVE_RATE, LEAST_BYTES, MOST_BYTES, PhotoFilter


def digests(count: int, seed: str = "") -> list[str]:
    return [hashlib.sha256(f"{seed}{number}".encode()).hexdigest() for number in range(count)]


def reference(photos: list[str], asked: list[str]) -> list[bool]:
    """Answer from a Bloom filter that is written down a second time, with Python's integers and sets."""
    n_bytes = max(math.ceil(len(photos) * math.log(1 / FALSE_POSITIVE_RATE) / math.log(2) ** 2 / 8), LEAST_BYTES)
    n_bits = 8 * n_bytes
    n_hashes = min(max(round(n_bits / len(photos) * math.log(2)), 1), 64)

    def positions(digest: str) -> set[int]:
        first, second = int(digest[:16], 16), int(digest[16:32], 16) | 1
        return {(first % n_bits + i * (second % n_bits)) % n_bits for i in range(n_hashes)}

    marked = set().union(*map(positions, photos))
    return [positions(digest) <= marked for digest in asked]


@pytest.mark.parametrize("count", [1, 2, 7, 480, 5000])
def test_every_photo_is_found_and_few_others(count: int) -> None:
    photos, others = digests(count), digests(200_000, "other")
    found = PhotoFilter.of([*photos, photos[0]])
    assert found.count == count
    assert all(found.contains(photos))
    wrong = sum(found.contains(others))
    assert wrong <= 50  # 20 are expected at 1 in 10,000; more than 50 has a probability below 1e-8.
    assert found.false_positive_rate <= 1.1 * FALSE_POSITIVE_RATE


def test_it_is_the_filter_of_the_papers() -> None:
    photos = digests(300)
    asked = [*photos[:20], *digests(30_000, "other")]
    assert PhotoFilter.of(photos).contains(asked) == reference(photos, asked)


def test_no_photos() -> None:
    assert PhotoFilter.of([]).contains(digests(3)) == [False] * 3
    assert PhotoFilter.of(digests(3)).contains([]) == []


def test_it_is_bounded_and_says_its_rate() -> None:
    found = PhotoFilter(10**6, PhotoFilter.of(digests(600_000)).bits)
    assert len(found.bits) == MOST_BYTES
    assert PhotoFilter.of(digests(600_000)).to_values()["false_positive_rate"] == pytest.approx(0.0012, rel=0.2)
    assert found.to_values()["false_positive_rate"] > 0.01


def description(**fields: object) -> str:
    about = Description(("a", "b"), "input:0", 4, 4, 0.0, 1.0, "final_result:0", "pixels")
    return json.dumps({**json.loads(about.to_json()), **fields})


def test_the_metadata_carries_it() -> None:
    photos = digests(10)
    values = json.loads(json.dumps(PhotoFilter.of(photos).to_values()))
    about = Description.from_json(description(split_digest="abc", training_photos=values))
    assert about.split_digest == "abc" and about.training_photos and all(about.training_photos.contains(photos))
    assert Description.from_json(about.to_json()) == about
    assert "training_photos" not in Description.from_json(description()).to_json()


@pytest.mark.parametrize(
    "values",
    [
        7,
        [],
        {},
        {"count": 1},
        {"count": "1", "bloom_filter": "AAAA"},
        {"count": -1, "bloom_filter": "AAAA"},
        {"count": True, "bloom_filter": "AAAA"},
        {"count": 10**15, "bloom_filter": "AAAA"},
        {"count": 1, "bloom_filter": ""},
        {"count": 1, "bloom_filter": "?"},
        {"count": 1, "bloom_filter": 5},
        {"count": 1, "bloom_filter": "AAAA" * 400_000},
    ],
)
def test_a_damaged_record_is_an_error_of_ours(values: object) -> None:
    with pytest.raises(GraphError, match=r"The model's metadata cannot be read \(the record of the training photos"):
        Description.from_json(description(training_photos=values))


def test_a_digest_that_is_no_text() -> None:
    with pytest.raises(GraphError, match="the digest of the split is no text"):
        Description.from_json(description(split_digest=5))
