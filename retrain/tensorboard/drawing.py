"""Text in pictures: a font that Pillow brings along, names that it can draw, lines that fit."""

import functools
import io
import unicodedata
from collections import Counter
from collections.abc import Sequence

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

Font = PIL.ImageFont.ImageFont | PIL.ImageFont.FreeTypeFont
Colour = tuple[int, int, int]
WHITE, BLACK, GREY, LIGHT_GREY = (255, 255, 255), (0, 0, 0), (110, 110, 110), (225, 225, 225)
ELLIPSIS = "..."
JPEG_QUALITY = 85
NO_CHARACTER = "\uffff"  # No font has a picture of it.


@functools.cache
def font_of(size: int) -> Font:
    """Return Pillow's own font, `size` pixels high; without FreeType its bitmap font of one size."""
    return PIL.ImageFont.load_default(size)


@functools.cache
def _is_drawn(character: str) -> bool:
    """Return True if the font has the character: others have the picture of no character."""
    font = font_of(16)
    if isinstance(font, PIL.ImageFont.ImageFont):
        return character.isascii() and character.isprintable()
    if not character.isprintable():
        return False
    return character == " " or bytes(font.getmask(character)) != bytes(font.getmask(NO_CHARACTER))


def drawable_names(labels: Sequence[str]) -> list[str]:
    """Return names of the classes for pictures: their labels, if the font has the letters, without accents that it lacks.

    Others are `class 3`, with the label's line in the file of labels, from 0 on. So are those that without accents are the same.
    """
    names = [label if _has_all(label) else _without_accents(label) for label in labels]
    counts = Counter(names)
    is_clear = [_has_all(name) and (name == label or counts[name] == 1) for name, label in zip(names, labels, strict=True)]
    return [name if clear else f"class {index}" for index, (name, clear) in enumerate(zip(names, is_clear, strict=True))]


def _has_all(text: str) -> bool:
    """Return True if the font has all characters, and there are any but blanks."""
    return bool(text.strip()) and all(map(_is_drawn, text))


def _without_accents(text: str) -> str:
    apart = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(each for each in apart if not unicodedata.combining(each))


def width_of(text: str, font: Font) -> int:
    """Return the width of one line of text, in pixels."""
    return int(font.getlength(text) + 0.999)


def shortened(text: str, font: Font, width: int) -> str:
    """Return the text, or as much of its beginning as fits into `width` pixels, with three dots."""
    if width_of(text, font) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if width_of(text[:middle] + ELLIPSIS, font) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + ELLIPSIS


def wrapped(text: str, font: Font, width: int, most_lines: int) -> list[str]:
    """Return the text in lines that fit into `width` pixels, broken at blanks where there are any; the last is shortened."""
    lines: list[str] = []
    while text and len(lines) < most_lines - 1 and width_of(text, font) > width:
        whole = len(shortened(text, font, width + width_of(ELLIPSIS, font))) - len(ELLIPSIS)
        end = text.rfind(" ", 1, whole + 1)
        end = end if end > 0 else max(1, whole)
        lines.append(text[:end].rstrip())
        text = text[end:].lstrip()
    return [*lines, shortened(text, font, width)]


def text_colour(background: Colour) -> Colour:
    """Return black or white, whichever has the higher contrast with a background, as WCAG 2.1 defines contrast."""
    luminance = relative_luminance(background)
    return BLACK if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else WHITE


def relative_luminance(colour: Colour) -> float:
    """Return the relative luminance of an sRGB colour, 0 to 1, as WCAG 2.1 defines it."""
    parts = [value / 255 for value in colour]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def encoded(image: PIL.Image.Image, kind: str) -> bytes:
    """Return a picture as a file: PNG for drawings, JPEG for photos."""
    file = io.BytesIO()
    image.save(file, kind, **({"quality": JPEG_QUALITY} if kind == "JPEG" else {}))
    return file.getvalue()
