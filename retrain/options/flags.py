"""Flags from dataclasses: a field is a flag, with its name, type, default, help, group and legal range in one place.

Command lines (`command_line`), the checks and the tables in the docs are all made from the fields. A field's type is int, float,
str, bool (a switch) or tuple[str, ...] (several values), or any type whose flag parses its text. None stands for "not given".
"""

import contextlib
import dataclasses
import functools
import os
import re
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from retrain.errors import FlagError
from retrain.options.nearest import did_you_mean

CrossCheck = TypeVar("CrossCheck", bound=Callable[[Any], str | None])

LARGEST_STEPS = 1_000_000_000
LARGEST_BATCH = 1_000_000


@dataclasses.dataclass(frozen=True)
class Flag:
    """The values that a flag accepts, and how its help and its error describe them.

    Attributes:
        help: one sentence for `--help` and the docs.
        low, high: bounds of a number; None is unbounded.
        low_open, high_open: True excludes the bound itself.
        also: one more legal value outside the bounds, such as -1.
        choices: legal words of a text, in any case.
        empty_is_none: True if an empty text on the command line means "not given".
        parse: converts the text of the command line to the value, or raises ValueError.
        to_text: converts such a value back to the text.
        is_allowed: returns True for a legal value of a flag with `parse`.
        range_text: the legal values of such a flag in words.
        shown_default: the default in the help, if the value itself would not tell.
        path: FILE, FOLDER or PATH if the text names one.
        group: group of the flag in the help, one of `groups.GROUPS`, if it is not that of its class.
        in_python: an example of the value in Python, if it is not the text of the command line.
    """

    help: str
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    also: int | None = None
    choices: tuple[str, ...] = ()
    empty_is_none: bool = False
    parse: Callable[[str], Any] | None = None
    to_text: Callable[[Any], str] = str
    is_allowed: Callable[[Any], bool] | None = None
    range_text: str = ""
    shown_default: str = ""
    path: str = ""
    group: str = ""
    in_python: str = ""


def cross_check(*names: str) -> Callable[[CrossCheck], CrossCheck]:
    """Mark a method as a check of several fields: it returns what is wrong in a sentence, or None.

    It is not called if one of the named fields has a value that is wrong by itself.
    """

    def mark(method: CrossCheck) -> CrossCheck:
        method.checked_names = names  # type: ignore[attr-defined]
        return method

    return mark


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """Base class of all options. A subclass names the group of its flags: `class HeadOptions(Options, group=HEAD)`.

    Raises:
        FlagError: one line for each field that is not allowed, and for each cross-check that fails.
    """

    def __init_subclass__(cls, group: str = "", **others: Any) -> None:
        super().__init_subclass__(**others)
        cls._group = group  # type: ignore[attr-defined]

    def __post_init__(self) -> None:
        for name in flags_of(type(self)):
            value = _plain(getattr(self, name))
            if isinstance(value, str) and kind_of(type(self), name) is tuple:
                value = (value,)
            object.__setattr__(self, name, value)
        check(self)


def _plain(value: Any) -> Any:
    """Return a value as the fields have it: texts for paths, tuples for lists, Python's numbers for NumPy's, copies of dicts.

    A `~` at the beginning of a text is replaced by the home folder, where the shell did not, as in `--flag=~/photos`.
    """
    if isinstance(value, str | os.PathLike):
        path = os.fspath(value)
        return os.path.expanduser(str(path)) if isinstance(path, str) else value
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return value.item() if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0 else value


def flag(help_text: str, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """Return a dataclass field that is a flag; without a default it is required."""
    return dataclasses.field(default=default, metadata={"flag": Flag(help_text, **limits)})


def flags_of(config_class: type) -> dict[str, Flag]:
    """Return the flags of a dataclass by name: its own, then those of its base classes from the first to the last."""
    return _flags_of(config_class)


@functools.cache
def _flags_of(config_class: type) -> dict[str, Flag]:
    fields = {field.name: field.metadata["flag"] for field in dataclasses.fields(config_class)}
    in_order = (name for each in config_class.__mro__ for name in vars(each).get("__annotations__", {}))
    return {name: fields[name] for name in in_order if name in fields}


def group_of(config_class: type, name: str) -> str:
    """Return the group of a flag: its own, or that of the class that declares it; empty if neither names one."""
    declaring = next(each for each in config_class.__mro__ if name in vars(each).get("__annotations__", {}))
    return flags_of(config_class)[name].group or vars(declaring).get("_group", "")


def kind_of(config_class: type, name: str) -> type:
    """Return the type of the flag's value on the command line: int, float, str, bool or tuple."""
    if flags_of(config_class)[name].parse:
        return str
    hint = _type_hints(config_class)[name]
    if isinstance(hint, types.UnionType):
        hint = next(kind for kind in typing.get_args(hint) if kind is not type(None))
    return typing.cast(type, typing.get_origin(hint) or hint)


@functools.cache  # Resolving the texts of all fields takes longer than all checks of a configuration.
def _type_hints(config_class: type) -> dict[str, Any]:
    return typing.get_type_hints(config_class)


def default_text(config_class: type, name: str) -> str:
    """Return the flag's default as help and docs show it: `required`, `off`, a value, or the flag's own words."""
    default = config_class.__dataclass_fields__[name].default  # type: ignore[attr-defined]
    if default is dataclasses.MISSING:
        return "required"
    if default is False:
        return "off"
    return flags_of(config_class)[name].shown_default or str(default)


def range_text(config_class: type, name: str) -> str:
    """Return the legal values in words, such as `an integer in [0, 100)`."""
    flag, kind = flags_of(config_class)[name], kind_of(config_class, name)
    if flag.range_text:
        return flag.range_text
    if flag.choices:
        words = ", ".join(flag.choices)
        return f"one or more of {words}, separated by spaces or commas" if kind is tuple else f"one of {words}"
    if kind not in (int, float):
        return "True or False" if kind is bool else "a text that is not empty"
    left = "(-inf" if flag.low is None else f"{'(' if flag.low_open else '['}{flag.low:.12g}"
    right = "inf)" if flag.high is None else f"{flag.high:.12g}{')' if flag.high_open else ']'}"
    also = "" if flag.also is None else f"{flag.also} or "
    return f"{also}{'an integer' if kind is int else 'a number'} in {left}, {right}"


def check(config: Any) -> None:
    """Check every field of a configuration, and its cross-checks. Raises FlagError with a line for each that fails."""
    config_class = type(config)
    found = {name: value_problem(config_class, name, getattr(config, name)) for name in flags_of(config_class)}
    wrong = {name: problem for name, problem in found.items() if problem}
    problems = list(wrong.values())
    for each in config_class.__mro__:
        for method in vars(each).values():
            names = getattr(method, "checked_names", None)
            if names is not None and not wrong.keys() & set(names) and (problem := method(config)):
                problems.append(problem)
    if problems:
        raise FlagError("\n".join(problems))


def value_problem(config_class: type, name: str, value: Any) -> str | None:
    """Return what is wrong with the value of one flag, in a sentence; None if it is allowed."""
    if _is_allowed(config_class, name, value):
        return None
    hint = _meant(config_class, name, value) or _python_hint(config_class, name, value)
    got = " ".join(value) if _are_words(value) and kind_of(config_class, name) is tuple else _shown(value)
    return f"--{name} must be {range_text(config_class, name)}. Got {got}.{hint}"


def _meant(config_class: type, name: str, value: Any) -> str:
    """Return ` Did you mean …?` with the choices that the only mistyped one could mean; empty if there are none."""
    choices = flags_of(config_class)[name].choices
    if isinstance(value, tuple) and all(isinstance(text, str) for text in value):
        parts = re.split(r"\s*,\s*|\s+", " ".join(value))
        mistyped = [part for part in parts if _choice(choices, part) not in choices]
    else:
        mistyped = [value] if isinstance(value, str) else []
    return did_you_mean(mistyped[0], choices) if choices and len(mistyped) == 1 else ""


def _python_hint(config_class: type, name: str, value: Any) -> str:
    """Return ` In Python: …` for a value that the command line cannot have: another type, or a text that it would have parsed."""
    flag, kind = flags_of(config_class)[name], kind_of(config_class, name)
    if kind in (int, float) and isinstance(value, str) and not isinstance(convert(config_class, name, value), str):
        return f" In Python: a number, not the text {value!r}."
    if not flag.in_python or not flag.parse or not flag.is_allowed:
        return ""
    with contextlib.suppress(ValueError):
        if not isinstance(value, str) or flag.is_allowed(flag.parse(value)):
            return f" In Python: {flag.in_python}."
    return ""


def _is_allowed(config_class: type, name: str, value: Any) -> bool:
    flag, kind = flags_of(config_class)[name], kind_of(config_class, name)
    if flag.is_allowed or value is None:
        return flag.is_allowed(value) if flag.is_allowed else config_class.__dataclass_fields__[name].default is None  # type: ignore[attr-defined]
    if kind is tuple:
        if not isinstance(value, tuple) or not value:
            return value == config_class.__dataclass_fields__[name].default  # type: ignore[attr-defined]
        return all(part in flag.choices if flag.choices else _is_text(part) for part in value)
    if kind in (int, float):
        is_number = isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
        return is_number and (value == flag.also or _is_within(flag, value))
    if kind is str:
        return value in flag.choices if flag.choices else _is_text(value)
    return isinstance(value, kind)


def _is_within(flag: Flag, value: float) -> bool:
    above = flag.low is None or (value > flag.low if flag.low_open else value >= flag.low)
    below = flag.high is None or (value < flag.high if flag.high_open else value <= flag.high)
    return abs(value) <= sys.float_info.max and above and below  # Neither infinite nor NaN, nor an integer beyond all floats.


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def _are_words(value: Any) -> bool:
    return isinstance(value, tuple) and value != () and all(isinstance(part, str) and part.strip() for part in value)


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, str) and value.strip() else repr(value)


def convert(config_class: type, name: str, value: Any) -> Any:
    """Convert a text to the flag's type. A text that cannot be converted is returned, so that the check reports it."""
    flag, kind = flags_of(config_class)[name], kind_of(config_class, name)
    if value == [] and kind is not tuple:
        value = "--"  # What argparse makes of `--name=--`.
    if flag.empty_is_none and value == "":
        return None
    if flag.choices:
        return _choices(flag.choices, value) if kind is tuple else _choice(flag.choices, value)
    try:
        converted = (flag.parse or kind)(value)
    except ValueError:
        return value
    # The error shows the text as it was typed.
    return value if flag.is_allowed and not flag.is_allowed(converted) else converted


def _choices(choices: tuple[str, ...], texts: Sequence[str]) -> tuple[str, ...]:
    """Return the choices in texts such as `a b`, `a,b` and `a, b`; if a part is none of them, the texts as they were typed."""
    found = tuple(_choice(choices, part) for part in re.split(r"\s*,\s*|\s+", " ".join(texts)))
    return found if set(found) <= set(choices) else tuple(texts)


def _choice(choices: tuple[str, ...], text: str) -> str:
    return next((choice for choice in choices if choice.lower() == text.lower()), text)
