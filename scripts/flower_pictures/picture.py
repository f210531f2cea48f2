"""A picture of flowers: background, stems, heads, and the defects of a camera."""

import dataclasses

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from scripts.flower_pictures.kinds import KINDS, Kind
from scripts.flower_pictures.pen import BLACK, GREENS, WHITE, YELLOW, Pen, Points, Rng, mix, petal_shape, pick, vary

OVERSAMPLING = 2


def _background(rng: Rng, size: tuple[int, int]) -> Image.Image:
    """Draw grass, sky, soil, a gradient, blurred blobs or noise; `size` is (width, height) in pixels."""
    scene = str(rng.choice(["grass", "grass", "sky", "soil", "gradient", "blobs", "blobs", "noise"]))
    green, dark = pick(rng, GREENS, 15), mix(pick(rng, GREENS), BLACK, 0.5)
    other = vary(rng, (120, 120, 110), 60)
    few, many = (int(number) for number in rng.integers((1, 6), (3, 40)))
    first, second, cells = {
        "sky": (vary(rng, (96, 156, 222), 16), (226, 234, 242), (4, 3)),
        "soil": (vary(rng, (92, 66, 46), 14), (52, 38, 28), (60, 80)),
        "gradient": (green, other, (2, few)),
        "noise": (green, other, (many, many)),
    }.get(scene, (green, dark, (5, 5)))
    mottles = np.array(first) + (np.array(second) - first) * rng.random((*cells, 1))
    image = Image.fromarray(mottles.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    if scene not in ("grass", "blobs"):
        return image
    draw = ImageDraw.Draw(image)
    for x, y in rng.uniform((0, 0), size, (160 if scene == "grass" else 30, 2)):
        if scene == "grass":
            blade = (x, y + 40, x + rng.normal(0, 25), y - rng.uniform(40, 140))
            draw.line(blade, fill=mix(pick(rng, GREENS, 20), BLACK, 0.15), width=int(rng.integers(2, 7)))
        else:
            light = pick(rng, [WHITE, YELLOW, (190, 60, 80), BLACK])
            blob = mix(pick(rng, GREENS, 20), light, rng.uniform(0, 0.5))
            draw.circle((x, y), rng.uniform(10, 60), fill=blob)
    return image.filter(ImageFilter.BoxBlur(rng.uniform(0, 5) if scene == "grass" else rng.uniform(8, 16)))


def _layout(rng: Rng, size: tuple[int, int]) -> list[tuple[complex, float]]:
    """Return one to four flowers as (centre, radius) in pixels, small ones first, well apart."""
    count = int(rng.choice([1, 2, 3, 4], p=[0.4, 0.27, 0.2, 0.13]))
    centres: list[complex] = []
    for _ in range(count):
        options = [complex(x, y) for x, y in rng.uniform((0.22, 0.25), (0.78, 0.7), (10, 2)) * size]
        centres.append(max(options, key=lambda option: min((abs(option - c) for c in centres), default=0.0)))
    return list(zip(centres, sorted(min(size) * rng.uniform(0.27, 0.45, count) / count**0.4), strict=True))


def _draw_stem(pen: Pen, rng: Rng, kind: Kind) -> None:
    """Draw a stem that leaves the picture at the bottom, with one to three leaves."""
    green, down = pick(rng, GREENS), np.linspace(0.4, 7, 20)
    stem: Points = rng.normal(0, 0.02) * (down - 0.8).clip(0) ** 2 + 1j * down
    pen.line(stem, mix(green, BLACK, 0.3), 0.13)
    pen.line(stem - (0.015 + 0j), green, 0.08)
    foot, angle, length = (2.8j, (0.12, 0.45), (2, 3)) if kind.upright else (1.6j, (0.5, 1.6), (1.2, 2))
    for side in rng.choice([-1, 1], int(rng.integers(1, 4))):
        size, lean = rng.uniform(*length), side * rng.uniform(*angle) - np.pi / 2
        shape, tone = petal_shape(size, size * kind.leaf, 0.85, 0.8), vary(rng, green, 8)
        pen.petal(shape, lean, tone, mix(green, BLACK, 0.35), foot * rng.uniform(0.8, 1.1))


def _photograph(rng: Rng, image: Image.Image) -> Image.Image:
    """Add the effects of a camera: blur, brightness, a colour cast, uneven light, and grain."""
    image = image.filter(ImageFilter.GaussianBlur(max(0.0, rng.uniform(-0.6, 1.1))))
    falloff = np.linspace(rng.uniform(0.85, 1.1), rng.uniform(0.85, 1.1), image.height)[:, None, None]
    light = rng.uniform(0.8, 1.15) * rng.normal(1, 0.04, 3) * falloff
    grain = rng.normal(0, rng.uniform(1, 6), (image.height, image.width, 1))
    return Image.fromarray((np.asarray(image) * light + grain).clip(0, 255).astype(np.uint8))


def draw_flower(flower: str, rng: Rng) -> Image.Image:
    """Draw one to four flowers of the class `flower`, a key of `KINDS`; `rng` decides everything else.

    Returns an RGB picture: one side is 240 pixels, the other 240 to 320. Raises KeyError for an unknown class.
    """
    kind, side = KINDS[flower], int(rng.integers(240, 321))
    width, height = (side, 240) if rng.random() < 0.75 else (240, side)
    size = (width * OVERSAMPLING, height * OVERSAMPLING)
    image = _background(rng, size)
    draw, colour = ImageDraw.Draw(image), pick(rng, kind.colours)
    # The stem and leaves of a tulip are as typical as its cup, so the cup is drawn smaller to leave room for them.
    scale, layout = 0.75 if kind.upright else 1, _layout(rng, size)
    pens = [Pen(draw, centre, scale * radius * np.exp(1j * rng.normal(0, 0.17))) for centre, radius in layout]
    for pen in pens:
        if kind.upright or rng.random() < 0.7:
            _draw_stem(pen, rng, kind)
    for pen in pens:
        turn, tilt = (0, 1) if kind.upright else (rng.uniform(-1, 1), rng.uniform(0.68, 1))
        head = dataclasses.replace(pen, turn=pen.turn * np.exp(1j * turn), tilt=tilt)
        kind.draw_head(head, rng, vary(rng, colour, 6))
    return _photograph(rng, image.resize((width, height), Image.Resampling.BOX))
