"""A compact record of the photos that a classifier was trained on: a Bloom filter of their contents.

It answers whether a photo was one of them: always yes for those that were, and rarely yes for one that was not.
"""

import base64
import binascii
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrain.arrays import IndexArray

FALSE_POSITIVE_RATE = 1e-4
LEAST_BYTES = 256  # In fewer bits the positions of different photos are too often alike.
MOST_BYTES = 2**20  # Enough for 437,000 photos at that rate; with more photos the rate grows.
LARGEST_COUNT = 10**12


@dataclass(frozen=True)
class PhotoFilter:
    """Bloom filter of SHA-256 digests.

    B. H. Bloom, "Space/time trade-offs in hash coding with allowable errors" (1970). The positions of a digest are those of
    A. Kirsch and M. Mitzenmacher, "Less hashing, same performance" (2006): `(a + i · b) mod m` for i in [0, k), where a and b are
    the first two 64-bit words of the digest, big-endian, b made odd; m is the number of bits, and k = round(m / count · ln 2),
    from 1 to 64.

    Attributes:
        count: number of digests in it.
        bits: m / 8 bytes; the first bit is the highest one of the first byte.
    """

    count: int
    bits: bytes

    @classmethod
    def of(cls, digests: Iterable[str]) -> "PhotoFilter":
        """Return the filter of SHA-256 digests in hexadecimal, each counted once."""
        import numpy as np

        distinct = sorted(set(digests))
        wanted = math.ceil(len(distinct) * math.log(1 / FALSE_POSITIVE_RATE) / math.log(2) ** 2 / 8)
        found = cls(len(distinct), bytes(min(max(wanted, LEAST_BYTES), MOST_BYTES)))
        marks = np.zeros(len(found.bits) * 8, bool)
        marks[found._positions(distinct)] = True
        return cls(found.count, np.packbits(marks).tobytes())

    @property
    def false_positive_rate(self) -> float:
        """Probability that another photo seems to be in it, 0 to 1: `(1 - exp(-k · count / m)) ** k`."""
        return (1 - math.exp(-self._n_hashes * self.count / (8 * len(self.bits)))) ** self._n_hashes

    def contains(self, digests: Sequence[str]) -> list[bool]:
        """Return for each of n SHA-256 digests in hexadecimal if it seems to be in the filter."""
        import numpy as np

        marks = np.unpackbits(np.frombuffer(self.bits, np.uint8)).astype(bool)
        if not self.count:
            return [False] * len(digests)
        return [bool(each.all()) for each in marks[self._positions(digests)]]

    def to_values(self) -> dict[str, Any]:
        """Return values for JSON."""
        rate = float(f"{self.false_positive_rate:.2g}")
        return {"count": self.count, "false_positive_rate": rate, "bloom_filter": base64.b64encode(self.bits).decode()}

    @classmethod
    def from_values(cls, values: Any) -> "PhotoFilter":
        """Return the filter of what `to_values` returned. Raises ValueError if the values are none."""
        try:
            found = cls(values["count"], base64.b64decode(values["bloom_filter"], validate=True))
        except (TypeError, KeyError, binascii.Error) as error:
            raise ValueError(f"the record of the training photos is not readable: {error}") from error
        if type(found.count) is not int or not 0 <= found.count <= LARGEST_COUNT or not 1 <= len(found.bits) <= MOST_BYTES:
            raise ValueError("the record of the training photos has no usable size")
        return found

    @property
    def _n_hashes(self) -> int:
        return min(max(round(8 * len(self.bits) / max(self.count, 1) * math.log(2)), 1), 64)

    def _positions(self, digests: Sequence[str]) -> "IndexArray":
        """Return the positions of the bits of each of n digests, int64 [n, k]."""
        import numpy as np

        words = np.frombuffer(b"".join(bytes.fromhex(each)[:16] for each in digests), ">u8").astype(np.uint64).reshape(-1, 2)
        steps = np.arange(self._n_hashes, dtype=np.uint64)
        # Reduced first, so that no product overflows: m is at most 2 ** 23, k at most 64.
        size = np.uint64(8 * len(self.bits))
        first, second = words[:, :1] % size, (words[:, 1:] | np.uint64(1)) % size
        return ((first + steps * second) % size).astype(np.int64)
