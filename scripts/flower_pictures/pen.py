"""Pen: filled shapes and lines in a flower's own units, and the colours that it draws with."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import ImageDraw

Colour = tuple[int, int, int]
Rng = np.random.Generator
# A point is x + 1j * y, y pointing down: one product then rotates and scales a shape.
Points = npt.NDArray[np.complex128]

GREENS: tuple[Colour, ...] = ((58, 112, 42), (84, 140, 58), (44, 92, 52), (110, 148, 70))
WHITE, BLACK, YELLOW, BROWN = (250, 248, 242), (14, 10, 10), (244, 196, 32), (66, 40, 22)
ALONG = np.linspace(0, 1, 13)


@dataclasses.dataclass(frozen=True)
class Pen:
    """Pen that draws shapes given in a flower's own units: its centre is 0, its radius is 1.

    Attributes:
        draw: the picture.
        centre: the flower's centre in pixels.
        turn: its radius in pixels times the unit number of its rotation.
        tilt: factor by which it is flattened before the rotation.
    """

    draw: ImageDraw.ImageDraw
    centre: complex
    turn: complex
    tilt: float = 1.0

    def _pixels(self, points: Points) -> list[float]:
        placed = (points.real + 1j * self.tilt * points.imag) * self.turn + self.centre
        pixels: list[float] = placed.view(np.float64).tolist()
        return pixels

    def polygon(self, points: Points, colour: Colour) -> None:
        """Fill the polygon with corners `points`, shape (n,)."""
        self.draw.polygon(self._pixels(points), fill=colour)

    def line(self, points: Points, colour: Colour, width: float) -> None:
        """Draw a line through `points`, shape (n,); `width` is in flower units."""
        self.draw.line(self._pixels(points), fill=colour, width=max(1, round(width * abs(self.turn))))

    def petal(self, shape: Points, angle: float, colour: Colour, edge: Colour, foot: complex = 0) -> None:
        """Fill `shape`, rotated by `angle` radians around `foot`, with the colour `edge` at the rim and `colour` inside."""
        for step, scale in enumerate((1.0, 0.82, 0.5)):
            inner = shape.real * (0.5 + scale / 2) + 1j * scale * shape.imag
            self.polygon(inner * np.exp(1j * angle) + foot, mix(edge, colour, step / 2))


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Return the colour at `share` (0 to 1) of the way from `first` to `second`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def vary(rng: Rng, colour: Colour, spread: float) -> Colour:
    """Return `colour` made lighter or darker, with each channel shifted a little; `spread` is in levels of 255."""
    light, *shifts = rng.normal(0, spread, 4)
    red, green, blue = (int(min(max(c + light + s / 2, 0), 255)) for c, s in zip(colour, shifts, strict=True))
    return red, green, blue


def pick(rng: Rng, colours: Sequence[Colour], spread: float = 8) -> Colour:
    """Return one of `colours`, varied."""
    return vary(rng, colours[int(rng.integers(len(colours)))], spread)


def petal_shape(length: float, width: float, peak: float, sharpness: float) -> Points:
    """Return a petal along x, shape (26,). A high `peak` is wide near the tip, a low `sharpness` rounds the ends."""
    half = 0.5j * width * np.sin(np.pi * ALONG**peak).clip(0) ** sharpness
    return np.concatenate([length * ALONG + half, (length * ALONG - half)[::-1]])
