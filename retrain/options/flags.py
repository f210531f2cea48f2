"""Command lines from dataclasses: a field is a flag, with its name, type, default, help and legal range in one place.

argparse, the checks and the tables in the docs are all made from the fields. A field's type is int, float, str, bool (a switch)
or tuple[str, ...] (several values), each but the switch also `| None`, where None stands for a default found out during the run.
"""

import argparse
import dataclasses
import sys
import types
import typing
from collections.abc import Sequence
from typing import Any, NoReturn, TypeVar

from retrain.errors import FlagError

Config = TypeVar("Config")


@dataclasses.dataclass(frozen=True)
class Flag:
    """What a flag accepts, and how its help and its error say so.

    Attributes:
        help: one sentence for `--help` and the docs.
        low, high: the bounds of a number; None is unbounded.
        low_open, high_open: whether the bound itself is excluded.
        also: one more value that is legal outside the bounds, such as -1.
        choices: the legal words of a text, whatever the case it is typed in.
        may_be_empty: whether a text may be empty.
        shown_default: what help shows where the default is found out during the run.
    """

    help: str
    low: float | None = None
    high: float | None = None
    low_open: bool = False
    high_open: bool = False
    also: int | None = None
    choices: tuple[str, ...] = ()
    may_be_empty: bool = False
    shown_default: str = ""


def flag(help_text: str, default: Any = dataclasses.MISSING, **limits: Any) -> Any:
    """A dataclass field that is a flag; one without a default is required."""
    return dataclasses.field(default=default, metadata={"flag": Flag(help_text, **limits)})


def flags_of(config_class: type) -> dict[str, Flag]:
    """The flags of a dataclass by name, in order."""
    return {field.name: field.metadata["flag"] for field in dataclasses.fields(config_class)}


def kind_of(config_class: type, name: str) -> type:
    """int, float, str, bool or tuple: what the flag takes, None left aside."""
    hint = typing.get_type_hints(config_class)[name]
    if isinstance(hint, types.UnionType):
        hint = next(kind for kind in typing.get_args(hint) if kind is not type(None))
    return typing.cast(type, typing.get_origin(hint) or hint)


def default_text(config_class: type, name: str) -> str:
    """The flag's default as help and docs show it: `required`, `off`, a value, or the flag's own words."""
    default = config_class.__dataclass_fields__[name].default  # type: ignore[attr-defined]
    if default is dataclasses.MISSING:
        return "required"
    if default is False:
        return "off"
    return flags_of(config_class)[name].shown_default or str(default)


def range_text(config_class: type, name: str) -> str:
    """The legal values in words, such as `an integer in [0, 100)`."""
    flag, kind = flags_of(config_class)[name], kind_of(config_class, name)
    if flag.choices:
        return ("one or more of " if kind is tuple else "one of ") + ", ".join(flag.choices)
    if kind not in (int, float):
        return "True or False" if kind is bool else "a text" if flag.may_be_empty else "a text that is not empty"
    left = "(-inf" if flag.low is None else f"{'(' if flag.low_open else '['}{flag.low:.12g}"
    right = "inf)" if flag.high is None else f"{flag.high:.12g}{')' if flag.high_open else ']'}"
    also = "" if flag.also is None else f"{flag.also} or "
    return f"{also}{'an integer' if kind is int else 'a number'} in {left}, {right}"


def check(config: Any) -> None:
    """Checks every field of a configuration. Raises FlagError with a line for each that is not allowed."""
    problems = [
        f"--{name} must be {range_text(type(config), name)}. Got {_shown(getattr(config, name))}."
        for name in flags_of(type(config))
        if not _is_allowed(type(config), name, getattr(config, name))
    ]
    if problems:
        raise FlagError("\n".join(problems))


def _is_allowed(config_class: type, name: str, value: Any) -> bool:
    flag, kind = flags_of(config_class)[name], kind_of(config_class, name)
    if value is None:
        return config_class.__dataclass_fields__[name].default is None  # type: ignore[attr-defined]
    if kind is tuple:
        if not isinstance(value, tuple) or not value:
            return value == config_class.__dataclass_fields__[name].default  # type: ignore[attr-defined]
        return all(part in flag.choices if flag.choices else _is_text(part) for part in value)
    if kind in (int, float):
        is_number = isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
        return is_number and (value == flag.also or _is_within(flag, value))
    if kind is str:
        return value in flag.choices if flag.choices else _is_text(value) or (flag.may_be_empty and value == "")
    return isinstance(value, kind)


def _is_within(flag: Flag, value: float) -> bool:
    above = flag.low is None or (value > flag.low if flag.low_open else value >= flag.low)
    below = flag.high is None or (value < flag.high if flag.high_open else value <= flag.high)
    return abs(value) <= sys.float_info.max and above and below  # Neither infinite nor NaN, nor an integer beyond all floats.


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def _shown(value: Any) -> str:
    if isinstance(value, tuple) and value and all(isinstance(part, str) and part.strip() for part in value):
        return " ".join(value)
    return str(value) if isinstance(value, str) and value.strip() else repr(value)


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are FlagErrors, so that they look like all others."""

    def error(self, message: str) -> NoReturn:
        raise FlagError(f"{message}. --help lists the flags.")


def build_parser(config_class: type, **texts: Any) -> argparse.ArgumentParser:
    """One option for each field; `texts` are argparse's prog, description and epilog."""
    parser = Parser(**texts)
    for name, flag in flags_of(config_class).items():
        help_text = f"{flag.help} ({default_text(config_class, name)})".replace("%", "%%")
        kind = kind_of(config_class, name)
        if kind is bool:
            parser.add_argument(f"--{name}", action="store_true", help=help_text)
        elif kind is tuple:
            parser.add_argument(f"--{name}", nargs="+", action="extend", metavar="TEXT", help=help_text)
        else:
            metavar = {int: "INTEGER", float: "NUMBER", str: "TEXT"}[kind]
            parser.add_argument(f"--{name}", metavar=metavar, help=help_text)
    return parser


def parse_args(config_class: type[Config], argv: Sequence[str] | None, **texts: Any) -> Config:
    """A configuration from a command line.

    Raises:
        FlagError: with a line for each flag that is missing or wrong.
        SystemExit: after `--help`.
    """
    return from_namespace(config_class, build_parser(config_class, **texts).parse_args(argv))


def from_namespace(config_class: type[Config], namespace: argparse.Namespace) -> Config:
    """A configuration from what a parser of `build_parser` found; other arguments in it are left aside. Raises FlagError."""
    given = {
        name: _convert(config_class, name, value)
        for name, value in vars(namespace).items()
        if name in flags_of(config_class) and value is not None
    }
    missing = [name for name in flags_of(config_class) if default_text(config_class, name) == "required" and name not in given]
    if missing:
        raise FlagError("\n".join(f"--{name} is required: {flags_of(config_class)[name].help}" for name in missing))
    return config_class(**given)


def _convert(config_class: type, name: str, value: Any) -> Any:
    """Text → the flag's type; left as it is where it cannot be converted, so that the check can say what it should be."""
    kind = kind_of(config_class, name)
    if value == [] and kind is not tuple:
        value = "--"  # What argparse makes of `--name=--`.
    if choices := flags_of(config_class)[name].choices:
        return tuple(_choice(choices, each) for each in value) if kind is tuple else _choice(choices, value)
    try:
        return kind(value)
    except ValueError:
        return value


def _choice(choices: tuple[str, ...], text: str) -> str:
    return next((choice for choice in choices if choice.lower() == text.lower()), text)
