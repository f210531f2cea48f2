"""Arguments that belong to no flag: mistyped flags, paths with spaces that were not quoted, and paths without their flag."""

import argparse
import os
import re
import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from retrain.errors import FlagError, listing, shown
from retrain.options.nearest import did_you_mean

MOST_PARTS = 8  # Into which spaces divide a path.
NEGATIVE = re.compile(r"-[\d.]")
NUMBER = re.compile(r"-?[\d.]+(e-?\d+)?$")
PLAIN = re.compile(r"[\w@%+=:,./~-]+")  # What shells read as it is.
SPECIAL = re.compile(r'["$`\\!]')  # What shells interpret between double quotes.
SEE_HELP = "--help lists the flags."


@dataclass(frozen=True)
class Positional:
    """The flag for which arguments without a flag are taken.

    Attributes:
        flag: its name.
        fits: returns True for an argument that is taken.
        wanted: such arguments in words, such as `an existing folder`.
        several: True if the flag takes several values.
        other_flags: name of the flag that an argument with one of these endings needs instead.
        advice: a sentence for the error about arguments that are not taken.
    """

    flag: str
    fits: Callable[[str], bool]
    wanted: str
    several: bool = False
    other_flags: Mapping[str, str] = field(default_factory=dict)
    advice: str = ""


def unknown_flags(argv: Sequence[str], known: Collection[str]) -> list[str]:
    """Return a sentence for each argument that is meant as a flag and is none, with the flags that it could mean.

    Args:
        argv: the command line.
        known: all flags, with their hyphens.
    """
    names = [name.lstrip("-") for name in known if name.startswith("--")]
    problems = []
    for argument in argv:
        if argument == "--":
            break
        name = argument.partition("=")[0]
        if is_flag(name) and not _matching(name, known):
            problems.append(f"{shown(name)} is no flag.{did_you_mean(name.strip('-'), names, '--')}")
    return list(dict.fromkeys(problems))


def is_flag(argument: str) -> bool:
    """Return True if argparse reads an argument as a flag, known or not, rather than as a value."""
    return argument.startswith("-") and len(argument) > 1 and not NEGATIVE.match(argument) and " " not in argument


def quoted(argument: str) -> str:
    """Return an argument as it is typed in a shell."""
    if PLAIN.fullmatch(argument):
        return argument
    return shlex.quote(argument) if SPECIAL.search(argument) else f'"{argument}"'


class StrayArguments:
    """Arguments of a command line that belong to no flag.

    Args:
        prog: the program's name, as it is typed.
        argv: the command line.
        actions: argparse's actions by flag.
        paths: names of the flags whose values are paths.
    """

    def __init__(self, prog: str, argv: Sequence[str], actions: Mapping[str, argparse.Action], paths: Collection[str]) -> None:
        self._prog, self._argv, self._actions, self._paths = prog, argv, actions, paths

    def refuse_unquoted(self) -> None:
        """Raise FlagError if several arguments are one existing path, divided at its spaces."""
        for run in self._runs():
            values = [self._value(index) for index in run]
            if len(run) < 2 or all(map(os.path.exists, values)):
                continue
            for start in range(len(run)):
                for end in range(start + 2, min(start + MOST_PARTS, len(run)) + 1):
                    parts = values[start:end]
                    if os.path.exists(" ".join(parts)) and not all(map(os.path.exists, parts)):
                        raise self._unquoted(run[start], run[end - 1])

    def place(self, found: argparse.Namespace, extra: Sequence[str], positional: Positional | None) -> list[str]:
        """Give the arguments that no flag has taken to the flag of `positional`.

        Args:
            found: what argparse found; changed in place.
            extra: the arguments that no flag has taken.
            positional: the flag; None if there is none.

        Returns:
            What was done, in sentences for the log.

        Raises:
            FlagError: they are not what that flag takes.
        """
        stray = [each for each in extra if each != "--"]
        given = getattr(found, positional.flag) if positional else None
        refused = [each for each in stray if positional is None or not positional.fits(each)]
        if positional and not refused and (positional.several or (len(stray) == 1 and given is None)):
            setattr(found, positional.flag, [*(given or []), *stray] if positional.several else stray[0])
            return [f"{listing([shown(each) for each in stray])}: taken for --{positional.flag}."]
        self._refuse_path_with_spaces(stray)
        self._refuse_value_of_switch(stray)
        self._refuse_second_value(stray, positional.advice if positional else "")
        names = [shown(each) for each in refused or stray]
        start = f"{listing(names)} {'belong' if len(names) > 1 else 'belongs'} to no flag"
        if not positional:
            raise FlagError(f"{start}. {SEE_HELP}")
        end = f"{positional.advice} {SEE_HELP}".lstrip()
        ending = os.path.splitext(names[0])[1].lower()
        if refused and ending in positional.other_flags:
            raise FlagError(
                f"{names[0]} belongs to no flag. Did you mean --{positional.other_flags[ending]} {quoted(names[0])}? {SEE_HELP}"
            )
        if refused:
            raise FlagError(f"{start}: --{positional.flag} takes {positional.wanted}. {end}")
        reason = "takes one value" if given is None else f"is {shown(given)} already"
        raise FlagError(f"{start}: --{positional.flag} {reason}. {end}")

    def _refuse_path_with_spaces(self, extra: Sequence[str]) -> None:
        """Raise FlagError if arguments follow the value of a flag for paths, and there is no such path."""
        for run in self._runs():
            flag = self._flag_before(run[0])
            rest = [self._argv[index] for index in run[1:]]
            takes_path = flag is not None and flag.nargs is None and flag.dest in self._paths
            if rest and takes_path and set(rest) <= set(extra) and not os.path.exists(self._value(run[0])):
                raise self._unquoted(run[0], run[-1])

    def _refuse_value_of_switch(self, extra: Sequence[str]) -> None:
        for run in self._runs():
            flag = self._flag_before(run[0])
            if flag and flag.nargs == 0 and self._argv[run[0]] in extra:
                raise FlagError(f"--{flag.dest} is a switch, which takes no value. Got {shown(self._argv[run[0]])}. {SEE_HELP}")

    def _refuse_second_value(self, extra: Sequence[str], advice: str) -> None:
        """Raise FlagError for numbers that follow the value of a flag which takes one."""
        for run in self._runs():
            flag, rest = self._flag_before(run[0]), [self._argv[index] for index in run[1:]]
            if flag and flag.nargs is None and rest and set(rest) <= set(extra) and all(map(NUMBER.match, rest)):
                end = f"{advice} {SEE_HELP}".lstrip()
                raise FlagError(f"--{flag.dest} takes one value, {shown(self._value(run[0]))}, before {' '.join(rest)}. {end}")

    def _runs(self) -> Iterator[list[int]]:
        """Yield the indices of arguments that stand side by side without a flag between them, which `--flag=value` begins."""
        run: list[int] = []
        for index, argument in enumerate(self._argv):
            has_value = "=" in argument and bool(_matching(argument.partition("=")[0], self._actions))
            if is_flag(argument.partition("=")[0]):
                if run:
                    yield run
                run = [index] if has_value else []
            else:
                run.append(index)
        if run:
            yield run

    def _value(self, index: int) -> str:
        argument = self._argv[index]
        return argument.partition("=")[2] if is_flag(argument.partition("=")[0]) else argument

    def _flag_before(self, index: int) -> argparse.Action | None:
        """Return the action of the flag whose value the argument is: in the same argument, or in the one before."""
        own = self._argv[index].partition("=")[0]
        name = own if is_flag(own) else self._argv[index - 1] if index else ""
        matching = _matching(name, self._actions)
        return self._actions[matching[0]] if is_flag(name) and len(matching) == 1 else None

    def _unquoted(self, first: int, last: int) -> FlagError:
        together = " ".join(self._argv[first : last + 1])
        path = " ".join([self._value(first), *self._argv[first + 1 : last + 1]])
        argv = [*self._argv[:first], together, *self._argv[last + 1 :]]
        command = " ".join([self._prog, *map(quoted, argv)])
        return FlagError(f"{shown(path)}: a path that has spaces needs quotes. The command is then: {shown(command)}")


def _matching(name: str, known: Collection[str]) -> list[str]:
    """Return the flags that a name stands for: the flag itself, or those that begin with it."""
    if name in known:
        return [name]
    return [each for each in known if name.startswith("--") and len(name) > 2 and each.startswith(name)]
