"""The input that a network takes."""

from dataclasses import dataclass

LARGEST_INPUT_SIDE = 1 << 13  # Pixels; a photo enlarged to a square of that size fills 800 MB.


@dataclass(frozen=True)
class InputSpec:
    """Input settings of a network.

    Attributes:
        height, width: of the images, in pixels.
        mean, std: pixel mean and pixel standard deviation; a value of the input is `(grey level - mean) / std`.
    """

    height: int
    width: int
    mean: float
    std: float

    @property
    def fingerprint_text(self) -> str:
        """The text that is hashed into a network's fingerprint.

        It is part of the cache format: every index of every cache depends on it. So it is spelled out and never follows a rename.
        """
        return f"InputSpec(height={self.height!r}, width={self.width!r}, mean={self.mean!r}, std={self.std!r})"
