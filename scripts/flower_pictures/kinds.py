"""The five classes of flowers: their heads, their colours and their leaves."""

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from scripts.flower_pictures.pen import ALONG, BLACK, BROWN, WHITE, YELLOW, Colour, Pen, Rng, mix, petal_shape, pick, vary

GOLDEN_ANGLE = 2.39996
_CIRCLE, _DOT = (np.exp(2j * np.pi * np.arange(corners) / corners) for corners in (40, 8))


@dataclasses.dataclass(frozen=True)
class Petals:
    """Ring of petals.

    Attributes:
        count: number of petals.
        reach: their greatest length.
        form: width, peak and sharpness of each, as of `petal_shape`.
        colour, edge: colours of the inside and of the rim.
    """

    count: int
    reach: float
    form: tuple[float, float, float]
    colour: Colour
    edge: Colour


@dataclasses.dataclass(frozen=True)
class Seeds:
    """Disc of seeds: their number, the radius of the disc, the radius of a seed, and their colour."""

    count: int
    reach: float
    size: float
    colour: Colour


def _ring(rng: Rng, count: int, unevenness: float = 0.5) -> npt.NDArray[np.float64]:
    """Return the angles, shape (count,), of petals around a centre."""
    steps = 2 * np.pi * np.arange(count) + rng.normal(0, unevenness, count)
    return np.asarray(rng.uniform(0, 7) + steps / count)


def _draw_petals(pen: Pen, rng: Rng, petals: Petals) -> None:
    """Draw a ring of petals, each a little different."""
    width, peak, sharpness = petals.form
    for angle in _ring(rng, petals.count):
        shape = petal_shape(petals.reach * rng.uniform(0.88, 1), width * rng.uniform(0.85, 1.1), peak, sharpness)
        pen.petal(shape, angle, vary(rng, petals.colour, 6), petals.edge)


def _draw_seeds(pen: Pen, rng: Rng, seeds: Seeds) -> None:
    """Draw dots in the spiral in which seeds grow."""
    for i in range(seeds.count):
        middle = seeds.reach * ((i + 0.5) / seeds.count) ** 0.5 * np.exp(1j * GOLDEN_ANGLE * i)
        pen.polygon(seeds.size * _DOT + middle, vary(rng, seeds.colour, 14))


def draw_daisy(pen: Pen, rng: Rng, colour: Colour) -> None:
    """Draw many slim round-tipped rays around a yellow disc."""
    count = int(rng.integers(13, 24))
    edge = mix(colour, (110, 110, 150), rng.uniform(0.2, 0.35))
    form = (5.2 / count, rng.uniform(1.3, 2), 0.55)
    _draw_petals(pen, rng, Petals(count, 1.0, form, mix(colour, BLACK, 0.1), edge))
    _draw_petals(pen, rng, Petals(count, 0.93, form, colour, edge))
    disc, eye = rng.uniform(0.22, 0.34), vary(rng, YELLOW, 12)
    pen.polygon(disc * _CIRCLE, mix(eye, BROWN, 0.45))
    _draw_seeds(pen, rng, Seeds(60, disc * 0.92, disc * 0.13, eye))


def draw_dandelion(pen: Pen, rng: Rng, colour: Colour) -> None:
    """Draw a cushion of thin rays, or the globe of white seeds that follows it."""
    if rng.random() < 0.3:
        _draw_seed_globe(pen, rng)
        return
    heart, count = mix(colour, (214, 120, 0), rng.uniform(0.2, 0.6)), int(rng.integers(34, 48))
    for reach in np.linspace(1, 0.2, 5):
        tone, rays = mix(heart, mix(colour, WHITE, 0.1), reach), round(count * (0.4 + 0.6 * reach))
        _draw_petals(pen, rng, Petals(rays, reach, (0.1, 2.2, 0.6), tone, mix(tone, BROWN, 0.28)))


def _draw_seed_globe(pen: Pen, rng: Rng) -> None:
    """Draw white parasols on thin stalks around a small brown heart, through which the background shows."""
    down, heart = vary(rng, (230, 230, 226), 8), vary(rng, (112, 92, 62), 10)
    for angle in _ring(rng, int(rng.integers(75, 110)), unevenness=6):
        tip = rng.uniform(0.1, 1) ** 0.5 * 0.84 * np.exp(1j * angle)
        tone = mix(down, (120, 130, 120), rng.uniform(0, 0.4))
        pen.line(np.array([tip * 0.1, tip]), mix(tone, heart, 0.35), 0.008)
        for end in tip + rng.uniform(0.13, 0.2, 7) * np.exp(1j * (angle + np.linspace(-1.3, 1.3, 7))):
            pen.line(np.array([tip, end]), tone, 0.01)
    _draw_seeds(pen, rng, Seeds(30, rng.uniform(0.1, 0.18), 0.03, heart))


def draw_rose(pen: Pen, rng: Rng, colour: Colour) -> None:
    """Draw broad petals in rings that shrink and darken towards a spiral heart."""
    dark = mix(colour, (80, 0, 24), rng.uniform(0.35, 0.55))
    for reach in np.linspace(1, 0.28, int(rng.integers(5, 8))):
        tone = mix(dark, colour, 0.45 + 0.55 * reach)
        soft, deep, deepest = (mix(tone, dark, share) for share in (0.2, 0.45, 0.7))
        coats = {1.0: deepest, 0.97: mix(tone, WHITE, 0.25), 0.91: tone, 0.8: soft, 0.68: deep}
        for angle in _ring(rng, 5 if reach > 0.45 else 3, unevenness=0.9):
            size = reach * rng.uniform(0.84, 1)
            shape = petal_shape(size, 1.3 * size, 2.5, 0.45) * np.exp(1j * angle)
            for scale, coat in coats.items():
                pen.polygon(scale * shape, coat)
    along = np.linspace(0, 1, 40)
    pen.polygon(0.23 * _CIRCLE, mix(colour, dark, 0.5))
    pen.line(0.23 * along * np.exp(1j * along * rng.uniform(11, 15)), mix(dark, BLACK, 0.2), 0.035)


def draw_sunflower(pen: Pen, rng: Rng, colour: Colour) -> None:
    """Draw pointed petals around a big dark disc of seeds."""
    count, shade = int(rng.integers(15, 25)), (140, 64, 0)
    for reach, tone in ((1.0, mix(colour, shade, 0.2)), (0.92, colour)):
        _draw_petals(pen, rng, Petals(count, reach, (6.2 / count, 0.95, 0.9), tone, mix(tone, shade, 0.5)))
    disc, seed, middle = rng.uniform(0.4, 0.56), vary(rng, BROWN, 10), pick(rng, [BLACK, (120, 130, 50)])
    pen.polygon(disc * _CIRCLE, mix(seed, BLACK, 0.3))
    _draw_seeds(pen, rng, Seeds(170, disc, disc * 0.055, mix(seed, (190, 130, 50), 0.35)))
    _draw_seeds(pen, rng, Seeds(60, disc * rng.uniform(0.4, 0.6), disc * 0.06, mix(seed, middle, 0.5)))


def draw_tulip(pen: Pen, rng: Rng, colour: Colour) -> None:
    """Draw a cup of three to six pointed petals, seen from the side, with its foot at the bottom."""
    edge = mix(colour, pick(rng, [WHITE, YELLOW, (90, 0, 40)]), rng.uniform(0.15, 0.45))
    shade, spread, girth = mix(colour, (60, 0, 30), 0.4), rng.uniform(0.18, 0.36), rng.uniform(0.75, 0.95)
    back = ([0.0], [-0.45, 0.45], [-0.45, 0.45, 0.0])[int(rng.integers(3))]
    front = ([-0.95, 0.95], [-0.95, 0.95, 0.0])[int(rng.integers(2))]
    for side, tone in [(side, shade) for side in back] + [(side, colour) for side in front]:
        shape = petal_shape(1.75 * rng.uniform(0.9, 1), girth, rng.uniform(0.78, 0.9), 0.75)
        angle, foot = side * spread - np.pi / 2, side * 0.2 + 0.85j
        pen.petal(shape, angle, tone, mix(edge, tone, 0.3), foot)
        pen.line(0.8 * ALONG * shape[12] * np.exp(1j * angle) + foot, mix(tone, shade, 0.4), 0.02)


@dataclasses.dataclass(frozen=True)
class Kind:
    """One class of flowers.

    Attributes:
        draw_head: draws the head in a given colour.
        leaf: width of a leaf divided by its length.
        colours: of the petals.
        upright: True if the head stands on its stem; otherwise it faces the viewer, rotated at random.
    """

    draw_head: Callable[[Pen, Rng, Colour], None]
    leaf: float
    colours: tuple[Colour, ...]
    upright: bool = False


# Classes share colours, so that colour alone does not tell them apart.
RED, PINK, CREAM = (204, 22, 42), (240, 130, 164), (245, 238, 227)
GOLD, ORANGE, LILAC = (249, 206, 48), (240, 130, 50), (206, 180, 230)
KINDS: dict[str, Kind] = {
    "daisy": Kind(draw_daisy, 0.3, (WHITE, WHITE, WHITE, CREAM, (242, 186, 208), (250, 222, 110), LILAC)),
    "dandelion": Kind(draw_dandelion, 0.28, (GOLD, (248, 196, 20), (252, 226, 84))),
    "roses": Kind(draw_rose, 0.5, (RED, (190, 24, 60), PINK, (226, 84, 124), CREAM, GOLD, (238, 130, 84))),
    "sunflowers": Kind(draw_sunflower, 0.6, (GOLD, GOLD, (250, 196, 20), (246, 180, 16), (214, 110, 30))),
    "tulips": Kind(draw_tulip, 0.17, (RED, PINK, CREAM, GOLD, ORANGE, (124, 50, 146)), upright=True),
}
