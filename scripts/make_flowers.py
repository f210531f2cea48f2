"""Draws a small set of flower pictures in five classes, so that a first training needs no photos.

    python -m scripts.make_flowers --output_dir tf_files/flowers --images_per_class 60 --random_seed 1

A picture depends only on the seed, its class and its index: a larger set extends a smaller one, and the same
seed gives the same bytes on one machine with the same Pillow and NumPy.
"""

import dataclasses
import io
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retrain.files import write_atomically
from retrain.options.flags import check, flag, parse_args
from retrain.process.command import run_command

Colour = tuple[int, int, int]
Rng = np.random.Generator
Form = tuple[float, float, float]
# A point is x + 1j * y, y pointing down: to turn and to size a shape is then one product.
Points = npt.NDArray[np.complex128]

OVERSAMPLING = 2
GOLDEN_ANGLE = 2.39996
GREENS: tuple[Colour, ...] = ((58, 112, 42), (84, 140, 58), (44, 92, 52), (110, 148, 70))
WHITE, BLACK, YELLOW, BROWN = (250, 248, 242), (14, 10, 10), (244, 196, 32), (66, 40, 22)
_ALONG = np.linspace(0, 1, 13)
_CIRCLE, _DOT = (np.exp(2j * np.pi * np.arange(corners) / corners) for corners in (40, 8))


@dataclasses.dataclass(frozen=True)
class Pen:
    """Draws shapes given in a flower's own units: its centre is 0, its radius is 1.

    In pixels it lies at `centre`; `turn` holds its radius and its rotation; `tilt` flattens it first.
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
        """Fills the polygon with corners `points`, shape (n,)."""
        self.draw.polygon(self._pixels(points), fill=colour)

    def line(self, points: Points, colour: Colour, width: float) -> None:
        """Draws a line through `points`, shape (n,); `width` is in flower units."""
        self.draw.line(self._pixels(points), fill=colour, width=max(1, round(width * abs(self.turn))))

    def petal(self, shape: Points, angle: float, colour: Colour, edge: Colour, foot: complex = 0) -> None:
        """Fills `shape`, turned by `angle` radians and set on `foot`: `edge` at the rim, `colour` inside."""
        for step, scale in enumerate((1.0, 0.82, 0.5)):
            inner = shape.real * (0.5 + scale / 2) + 1j * scale * shape.imag
            self.polygon(inner * np.exp(1j * angle) + foot, mix(edge, colour, step / 2))


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour that lies `share` (0 to 1) of the way from `first` to `second`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def vary(rng: Rng, colour: Colour, spread: float) -> Colour:
    """`colour` made lighter or darker, and each channel shifted a little; `spread` is in levels of 255."""
    light, *shifts = rng.normal(0, spread, 4)
    red, green, blue = (int(min(max(c + light + s / 2, 0), 255)) for c, s in zip(colour, shifts, strict=True))
    return red, green, blue


def pick(rng: Rng, colours: Sequence[Colour], spread: float = 8) -> Colour:
    """One of `colours`, varied."""
    return vary(rng, colours[int(rng.integers(len(colours)))], spread)


def petal_shape(length: float, width: float, peak: float, sharpness: float) -> Points:
    """A petal along x, shape (26,). A high `peak` is wide near the tip, a low `sharpness` rounds the ends."""
    half = 0.5j * width * np.sin(np.pi * _ALONG**peak).clip(0) ** sharpness
    return np.concatenate([length * _ALONG + half, (length * _ALONG - half)[::-1]])


def _ring(rng: Rng, count: int, unevenness: float = 0.5) -> npt.NDArray[np.float64]:
    """The angles, shape (count,), of petals that stand around a centre."""
    steps = 2 * np.pi * np.arange(count) + rng.normal(0, unevenness, count)
    return np.asarray(rng.uniform(0, 7) + steps / count)


def _rays(pen: Pen, rng: Rng, count: int, reach: float, form: Form, colour: Colour, edge: Colour) -> None:
    """A ring of petals, each a little different, up to `reach` long; `form` is width, peak and sharpness."""
    width, peak, sharpness = form
    for angle in _ring(rng, count):
        shape = petal_shape(reach * rng.uniform(0.88, 1), width * rng.uniform(0.85, 1.1), peak, sharpness)
        pen.petal(shape, angle, vary(rng, colour, 6), edge)


def _seeds(pen: Pen, rng: Rng, count: int, reach: float, size: float, colour: Colour) -> None:
    """A disc of radius `reach`, filled with dots of radius `size` in the spiral in which seeds grow."""
    for i in range(count):
        middle = reach * ((i + 0.5) / count) ** 0.5 * np.exp(1j * GOLDEN_ANGLE * i)
        pen.polygon(size * _DOT + middle, vary(rng, colour, 14))


def daisy(pen: Pen, rng: Rng, colour: Colour) -> None:
    """Many slim round-tipped rays around a yellow disc."""
    count = int(rng.integers(13, 24))
    edge = mix(colour, (110, 110, 150), rng.uniform(0.2, 0.35))
    form = (5.2 / count, rng.uniform(1.3, 2), 0.55)
    _rays(pen, rng, count, 1.0, form, mix(colour, BLACK, 0.1), edge)
    _rays(pen, rng, count, 0.93, form, colour, edge)
    disc, eye = rng.uniform(0.22, 0.34), vary(rng, YELLOW, 12)
    pen.polygon(disc * _CIRCLE, mix(eye, BROWN, 0.45))
    _seeds(pen, rng, 60, disc * 0.92, disc * 0.13, eye)


def dandelion(pen: Pen, rng: Rng, colour: Colour) -> None:
    """A cushion of thin rays, or the globe of white seeds that follows it."""
    if rng.random() < 0.3:
        _seed_globe(pen, rng)
        return
    heart, count = mix(colour, (214, 120, 0), rng.uniform(0.2, 0.6)), int(rng.integers(34, 48))
    for reach in np.linspace(1, 0.2, 5):
        tone, rays = mix(heart, mix(colour, WHITE, 0.1), reach), round(count * (0.4 + 0.6 * reach))
        _rays(pen, rng, rays, reach, (0.1, 2.2, 0.6), tone, mix(tone, BROWN, 0.28))


def _seed_globe(pen: Pen, rng: Rng) -> None:
    """White parasols on thin stalks around a small brown heart; what lies behind shows through."""
    down, heart = vary(rng, (230, 230, 226), 8), vary(rng, (112, 92, 62), 10)
    for angle in _ring(rng, int(rng.integers(75, 110)), unevenness=6):
        tip = rng.uniform(0.1, 1) ** 0.5 * 0.84 * np.exp(1j * angle)
        tone = mix(down, (120, 130, 120), rng.uniform(0, 0.4))
        pen.line(np.array([tip * 0.1, tip]), mix(tone, heart, 0.35), 0.008)
        for end in tip + rng.uniform(0.13, 0.2, 7) * np.exp(1j * (angle + np.linspace(-1.3, 1.3, 7))):
            pen.line(np.array([tip, end]), tone, 0.01)
    _seeds(pen, rng, 30, rng.uniform(0.1, 0.18), 0.03, heart)


def rose(pen: Pen, rng: Rng, colour: Colour) -> None:
    """Broad petals in rings that shrink and darken towards a spiral heart."""
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


def sunflower(pen: Pen, rng: Rng, colour: Colour) -> None:
    """Pointed petals around a big dark disc of seeds."""
    count, shade = int(rng.integers(15, 25)), (140, 64, 0)
    for reach, tone in ((1.0, mix(colour, shade, 0.2)), (0.92, colour)):
        _rays(pen, rng, count, reach, (6.2 / count, 0.95, 0.9), tone, mix(tone, shade, 0.5))
    disc, seed, middle = rng.uniform(0.4, 0.56), vary(rng, BROWN, 10), pick(rng, [BLACK, (120, 130, 50)])
    pen.polygon(disc * _CIRCLE, mix(seed, BLACK, 0.3))
    _seeds(pen, rng, 170, disc, disc * 0.055, mix(seed, (190, 130, 50), 0.35))
    _seeds(pen, rng, 60, disc * rng.uniform(0.4, 0.6), disc * 0.06, mix(seed, middle, 0.5))


def tulip(pen: Pen, rng: Rng, colour: Colour) -> None:
    """A cup of three to six pointed petals, seen from the side; its foot is at the bottom."""
    edge = mix(colour, pick(rng, [WHITE, YELLOW, (90, 0, 40)]), rng.uniform(0.15, 0.45))
    shade, spread, girth = mix(colour, (60, 0, 30), 0.4), rng.uniform(0.18, 0.36), rng.uniform(0.75, 0.95)
    back = ([0.0], [-0.45, 0.45], [-0.45, 0.45, 0.0])[int(rng.integers(3))]
    front = ([-0.95, 0.95], [-0.95, 0.95, 0.0])[int(rng.integers(2))]
    for place, tone in [(place, shade) for place in back] + [(place, colour) for place in front]:
        shape = petal_shape(1.75 * rng.uniform(0.9, 1), girth, rng.uniform(0.78, 0.9), 0.75)
        angle, foot = place * spread - np.pi / 2, place * 0.2 + 0.85j
        pen.petal(shape, angle, tone, mix(edge, tone, 0.3), foot)
        pen.line(0.8 * _ALONG * shape[12] * np.exp(1j * angle) + foot, mix(tone, shade, 0.4), 0.02)


@dataclasses.dataclass(frozen=True)
class Kind:
    """How one class is drawn: the head, the colours of its petals, and the width of a leaf per length.

    A head that is `upright` stands on its stem; another one faces the viewer, turned at random.
    """

    paint: Callable[[Pen, Rng, Colour], None]
    leaf: float
    colours: tuple[Colour, ...]
    upright: bool = False


# Classes share colours, so that colour alone does not tell them apart.
RED, PINK, CREAM = (204, 22, 42), (240, 130, 164), (245, 238, 227)
GOLD, ORANGE, LILAC = (249, 206, 48), (240, 130, 50), (206, 180, 230)
KINDS: dict[str, Kind] = {
    "daisy": Kind(daisy, 0.3, (WHITE, WHITE, WHITE, CREAM, (242, 186, 208), (250, 222, 110), LILAC)),
    "dandelion": Kind(dandelion, 0.28, (GOLD, (248, 196, 20), (252, 226, 84))),
    "roses": Kind(rose, 0.5, (RED, (190, 24, 60), PINK, (226, 84, 124), CREAM, GOLD, (238, 130, 84))),
    "sunflowers": Kind(sunflower, 0.6, (GOLD, GOLD, (250, 196, 20), (246, 180, 16), (214, 110, 30))),
    "tulips": Kind(tulip, 0.17, (RED, PINK, CREAM, GOLD, ORANGE, (124, 50, 146)), upright=True),
}


def _background(rng: Rng, size: tuple[int, int]) -> Image.Image:
    """Grass, sky, soil, a gradient, blurred blobs or noise; `size` is (width, height) in pixels."""
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


def _places(rng: Rng, size: tuple[int, int]) -> list[tuple[complex, float]]:
    """One to four flowers as (centre, radius) in pixels, small ones first, well apart."""
    count = int(rng.choice([1, 2, 3, 4], p=[0.4, 0.27, 0.2, 0.13]))
    centres: list[complex] = []
    for _ in range(count):
        options = [complex(x, y) for x, y in rng.uniform((0.22, 0.25), (0.78, 0.7), (10, 2)) * size]
        centres.append(max(options, key=lambda option: min((abs(option - c) for c in centres), default=0.0)))
    return list(zip(centres, sorted(min(size) * rng.uniform(0.27, 0.45, count) / count**0.4), strict=True))


def _stem(pen: Pen, rng: Rng, kind: Kind) -> None:
    """A stem that leaves the picture at the bottom, with one to three leaves."""
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
    """What a camera adds: blur, brightness, a colour cast, light that falls off, and grain."""
    image = image.filter(ImageFilter.GaussianBlur(max(0.0, rng.uniform(-0.6, 1.1))))
    falloff = np.linspace(rng.uniform(0.85, 1.1), rng.uniform(0.85, 1.1), image.height)[:, None, None]
    light = rng.uniform(0.8, 1.15) * rng.normal(1, 0.04, 3) * falloff
    grain = rng.normal(0, rng.uniform(1, 6), (image.height, image.width, 1))
    return Image.fromarray((np.asarray(image) * light + grain).clip(0, 255).astype(np.uint8))


def draw_flower(flower: str, rng: np.random.Generator) -> Image.Image:
    """Draws one to four flowers of the class `flower`, a key of `KINDS`; `rng` decides everything else.

    Returns an RGB picture: one side is 240 pixels, the other 240 to 320. Raises KeyError for another class.
    """
    kind, side = KINDS[flower], int(rng.integers(240, 321))
    width, height = (side, 240) if rng.random() < 0.75 else (240, side)
    size = (width * OVERSAMPLING, height * OVERSAMPLING)
    image = _background(rng, size)
    draw, colour = ImageDraw.Draw(image), pick(rng, kind.colours)
    # A tulip's stem and leaves tell as much as its cup, so the cup leaves them room.
    scale, places = 0.75 if kind.upright else 1, _places(rng, size)
    pens = [Pen(draw, centre, scale * radius * np.exp(1j * rng.normal(0, 0.17))) for centre, radius in places]
    for pen in pens:
        if kind.upright or rng.random() < 0.7:
            _stem(pen, rng, kind)
    for pen in pens:
        turn, tilt = (0, 1) if kind.upright else (rng.uniform(-1, 1), rng.uniform(0.68, 1))
        head = dataclasses.replace(pen, turn=pen.turn * np.exp(1j * turn), tilt=tilt)
        kind.paint(head, rng, vary(rng, colour, 6))
    return _photograph(rng, image.resize((width, height), Image.Resampling.BOX))


def encode_picture(seed: int, flower: str, index: int) -> bytes:
    """The JPEG file of the picture that the seed, the class and the index stand for."""
    rng = np.random.default_rng([seed, list(KINDS).index(flower), index])
    image, file = draw_flower(flower, rng), io.BytesIO()
    image.save(file, "JPEG", quality=int(rng.integers(60, 96)))
    return file.getvalue()


@dataclasses.dataclass(frozen=True, kw_only=True)
class FlowersConfig:
    """What to draw. Raises FlagError with one line for each field whose value is not allowed."""

    output_dir: str = flag("Where to put a folder for each class.", "tf_files/flowers")
    images_per_class: int = flag("How many pictures to draw for each class.", 60, low=1, high=10_000)
    random_seed: int = flag("Decides what the pictures look like.", 1, low=0, high=2**32, high_open=True)

    def __post_init__(self) -> None:
        check(self)


def make_flowers(config: FlowersConfig) -> None:
    """Writes `<output_dir>/<class>/<class>_<index>.jpg`. Raises OSError where that cannot be."""
    for flower in KINDS:
        folder = os.path.join(config.output_dir, flower)
        os.makedirs(folder, exist_ok=True)
        for index in range(config.images_per_class):
            picture = encode_picture(config.random_seed, flower, index)
            write_atomically(os.path.join(folder, f"{flower}_{index:04}.jpg"), picture)


def main(argv: Sequence[str] | None = None) -> int:
    """Draws the pictures; returns 0, 1 where they cannot be written, or 2 for a wrong flag."""

    def command() -> int:
        texts = {"prog": "python -m scripts.make_flowers", "description": "Draws pictures to train on."}
        config = parse_args(FlowersConfig, argv, **texts)
        make_flowers(config)
        print(f"{config.images_per_class * len(KINDS)} pictures in {len(KINDS)} classes: {config.output_dir}")
        return 0

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
