"""What a network takes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InputSpec:
    """What a network takes: `height` × `width` pixels, each value as `(grey level - mean) / std`."""

    height: int
    width: int
    mean: float
    std: float
