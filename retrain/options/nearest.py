"""The names that a mistyped one could mean."""

import difflib
from collections.abc import Iterable

MOST_SHOWN = 3
SHORTEST_PART = 3  # Letters of a part of a name.
CLOSENESS = 0.65  # 0 for nothing in common, 1 for the same.
MARGIN = 0.04  # A name that is less close than the closest by more than this is not shown.


def nearest(name: str, names: Iterable[str], parts: bool = True) -> list[str]:
    """Return the names that a mistyped one could mean, at most MOST_SHOWN; empty if it resembles none.

    Upper and lower case, and hyphens in place of underscores, make no difference.

    Args:
        name: the mistyped name.
        names: the real ones.
        parts: True if a part of names may stand for all of them.
    """
    plain = _plain(name)
    by_plain = {_plain(each): each for each in reversed(list(names))}
    by_plain = dict(reversed(by_plain.items()))
    if plain in by_plain:
        return [by_plain[plain]]
    if parts and len(plain) >= SHORTEST_PART and (longer := [each for text, each in by_plain.items() if plain in text]):
        return longer[:MOST_SHOWN]
    close = difflib.get_close_matches(plain, by_plain, MOST_SHOWN, CLOSENESS)
    ratios = [difflib.SequenceMatcher(None, text, plain).ratio() for text in close]  # As get_close_matches computes them.
    return [by_plain[text] for text, ratio in zip(close, ratios, strict=True) if ratio >= max(ratios) - MARGIN]


def did_you_mean(name: str, names: Iterable[str], prefix: str = "") -> str:
    """Return ` Did you mean a or b?`, with a space before it and `prefix` before each name; empty if nothing is near."""
    close = [prefix + each for each in nearest(name, names)]
    return f" Did you mean {' or '.join(close)}?" if close else ""


def _plain(name: str) -> str:
    return name.lower().replace("-", "_").replace(" ", "_")
