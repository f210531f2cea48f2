"""Command lines from dataclasses: argparse's parser with a flag for each field, in groups, and its errors."""

import argparse
import logging
import re
import shlex
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NoReturn, TypeVar

from retrain.errors import FlagError
from retrain.options.flags import convert, default_text, flags_of, group_of, kind_of, range_text
from retrain.options.groups import GROUPS, title
from retrain.options.stray_arguments import Positional, StrayArguments, unknown_flags

Config = TypeVar("Config")

logger = logging.getLogger("retrain")

METAVARS = {bool: "", int: "INTEGER", float: "NUMBER", str: "TEXT", tuple: "TEXT"}
CHOICE = "CHOICE"
# argparse's messages, by pattern, and clearer ones.
CLEARER = {
    r"^argument (--\S+): ignored explicit argument '(.*)'$": r"\1 is a switch, which takes no value. Got \2",
    r"^argument (--\S+): expected one argument$": r"\1 needs a value",
    r"^argument (--\S+): expected at least one argument$": r"\1 needs one value or more",
}


class Parser(argparse.ArgumentParser):
    """Argument parser whose errors are FlagErrors, and say what a mistyped command line could mean.

    Attributes:
        positional: the flag for which arguments without a flag are taken; None if there is none.
        paths: names of the flags whose values are paths.
        remarks: sentences for the log about what the last command line was taken to mean.
    """

    def __init__(self, positional: Positional | None = None, **texts: Any) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, **texts)
        self.positional = positional
        self.paths: set[str] = set()
        self.remarks: list[str] = []

    def error(self, message: str) -> NoReturn:
        for pattern, text in CLEARER.items():
            message = re.sub(pattern, text, message)
        raise FlagError(f"{message}. --help lists the flags.")

    def parse_args(  # type: ignore[override]  # argparse overloads it for other classes of namespaces.
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        argv = sys.argv[1:] if args is None else list(args)
        try:
            found, extra = self.parse_known_args(argv, namespace)
        except FlagError:
            self._refuse_unknown(argv)
            raise
        if extra:
            self._refuse_unknown(argv)
        strays = StrayArguments(self.prog, argv, self._option_string_actions, self.paths)
        strays.refuse_unquoted()
        if extra:
            self.remarks = strays.place(found, extra, self.positional)
        return found

    def group(self, heading: str) -> argparse._ActionsContainer:
        """Return the group of flags with this heading, a new one if there is none yet; without a heading the parser itself."""
        known = (group for group in self._action_groups if group.title == heading)
        return (next(known, None) or self.add_argument_group(heading)) if heading else self

    def log_remarks(self) -> None:
        """Log what the command line was taken to mean. It is a method of its own since a flag may set the level of the log."""
        for remark in self.remarks:
            logger.info("%s", remark)

    def _refuse_unknown(self, argv: Sequence[str]) -> None:
        if problems := unknown_flags(argv, self._option_string_actions):
            raise FlagError("\n".join(problems) + " --help lists the flags.")


def build_parser(config_class: type, **texts: Any) -> Parser:
    """Return a parser with an option for each field; `texts` are arguments of `Parser`, such as prog and description."""
    parser = Parser(**texts)
    add_flags(parser, config_class, flags_of(config_class))
    return parser


def add_flags(parser: Parser, config_class: type, names: Iterable[str]) -> None:
    """Add an option for each of these fields of a configuration, in the groups of the flags."""
    for heading, members in grouped(config_class, names).items():
        group = parser.group(heading)
        for name in members:
            about = help_text(config_class, name).replace("%", "%%")
            kind = kind_of(config_class, name)
            if kind is bool:
                group.add_argument(f"--{name}", action="store_true", help=about)
                continue
            several: dict[str, Any] = {"nargs": "+", "action": "extend"} if kind is tuple else {}
            group.add_argument(f"--{name}", metavar=metavar(config_class, name), help=about, **several)
    parser.paths.update(name for name in names if flags_of(config_class)[name].path)


def grouped(config_class: type, names: Iterable[str]) -> dict[str, list[str]]:
    """Return the names of flags by the title of their group, in the order of the groups; those without a group come first."""
    groups = {name: group_of(config_class, name) for name in names}
    return {
        title(group): members for group in ("", *GROUPS) if (members := [name for name, own in groups.items() if own == group])
    }


def metavar(config_class: type, name: str) -> str:
    """Return the word for the value of a flag in the help, such as INTEGER or FOLDER; empty for a switch."""
    flag = flags_of(config_class)[name]
    return flag.path or (CHOICE if flag.choices else METAVARS[kind_of(config_class, name)])


def help_text(config_class: type, name: str) -> str:
    """Return the help of a flag: its sentence, the legal values if the sentence cannot tell, and the default."""
    flag, default = flags_of(config_class)[name], default_text(config_class, name)
    has_range = flag.choices or flag.range_text or kind_of(config_class, name) in (int, float)
    parts = [
        range_text(config_class, name) if has_range else "",
        default if default.startswith("required") else f"default: {default}",
    ]
    text = "; ".join(part for part in parts if part)
    return f"{flag.help} {text[0].upper()}{text[1:]}."


def parse_args(config_class: type[Config], argv: Sequence[str] | None, **texts: Any) -> Config:
    """Return the configuration of a command line.

    Raises:
        FlagError: with a line for each flag that is missing or wrong.
        SystemExit: after `--help`.
    """
    return from_namespace(config_class, build_parser(config_class, **texts).parse_args(argv))


def from_namespace(config_class: type[Config], namespace: argparse.Namespace) -> Config:
    """Return the configuration of what a parser of `build_parser` found. Ignores other arguments in it. Raises FlagError."""
    given = {
        name: convert(config_class, name, value)
        for name, value in vars(namespace).items()
        if name in flags_of(config_class) and value is not None
    }
    if missing := missing_problems(config_class, given):
        raise FlagError("\n".join(missing))
    return config_class(**given)


def missing_problems(config_class: type, given: Collection[str]) -> list[str]:
    """Return a sentence for each flag that is required and not among the names `given`."""
    required = [name for name in flags_of(config_class) if default_text(config_class, name) == "required"]
    return [f"--{name} is required: {flags_of(config_class)[name].help}" for name in required if name not in given]


def given_names(config: Any) -> list[str]:
    """Return the names of the flags whose value in this configuration is not the default."""
    defaults = {name: config.__dataclass_fields__[name].default for name in flags_of(type(config))}
    values = {name: getattr(config, name) for name in defaults}
    return [name for name, default in defaults.items() if values[name] != default or type(values[name]) is not type(default)]


def command_line(module: str, config: Any) -> str:
    """Return the command line of a module that gives this configuration, as it is typed in a shell."""
    found = ["python", "-m", module]
    for name in given_names(config):
        flag, value = flags_of(type(config))[name], getattr(config, name)
        kind = kind_of(type(config), name)
        if kind is bool:
            found.append(f"--{name}")
        elif kind is tuple:
            found += [f"--{name}", *value]
        else:
            text = flag.to_text(value)
            found += [f"--{name}={text}"] if not text or text.startswith("-") else [f"--{name}", text]
    return shlex.join(found)
