"""Options in Python: their names, and the documentation of each field."""

import textwrap
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from retrain.options.flags import default_text, flags_of, group_of, kind_of, range_text
from retrain.options.groups import GROUPS, title
from retrain.options.nearest import did_you_mean

Class = TypeVar("Class", bound=type)
Function = TypeVar("Function", bound=Callable[..., Any])
WIDTH, INDENT = 100, "    "
MOST_LISTED = 20  # Options in an error.


def check_names(function: str, config_class: type, names: Iterable[str]) -> None:
    """Raise TypeError if `config_class` has no option of one of these names, which were passed to a function."""
    known = flags_of(config_class)
    if unknown := [name for name in names if name not in known]:
        meant = did_you_mean(unknown[0], known) if len(unknown) == 1 else ""
        are_few = len(known) <= MOST_LISTED
        listed = f" The options are: {', '.join(known)}." if are_few else f" help({_public_name(config_class)}) lists them."
        raise TypeError(f"{function}() has no option {', '.join(unknown)}.{meant or listed}")


def _public_name(config_class: type) -> str:
    """Return the name of a class as the package has it, such as `retrain.RetrainConfig`."""
    return f"{config_class.__module__.partition('.')[0]}.{config_class.__name__}"


def with_documented_fields(config_class: Class) -> Class:
    """Add all fields, in their groups, to the docstring of a class of options: each with its type, its default, and its help."""
    config_class.__doc__ = f"{config_class.__doc__}\n\n{fields_text(config_class)}"
    return config_class


def with_documented_options(config_class: type) -> Callable[[Function], Function]:
    """Return a decorator that adds the fields of `config_class` to the docstring of a function that takes them by name."""

    def documented(function: Function) -> Function:
        function.__doc__ = f"{function.__doc__}\n\n{fields_text(config_class)}"
        return function

    return documented


def fields_text(config_class: type) -> str:
    """Return a paragraph for each field, in the order of the groups."""
    by_group: dict[str, list[str]] = {group: [] for group in GROUPS}
    for name in flags_of(config_class):
        by_group[group_of(config_class, name)].append(_paragraph(config_class, name))
    parts = [f"{title(group)}:\n" + "\n".join(paragraphs) for group, paragraphs in by_group.items() if paragraphs]
    return textwrap.indent("\n\n".join(parts), INDENT)


def _paragraph(config_class: type, name: str) -> str:
    """Return the field as it is declared in Python, and below it its help, its legal values, and what None stands for."""
    field = config_class.__dataclass_fields__[name]  # type: ignore[attr-defined]
    flag = flags_of(config_class)[name]
    kind = field.type.__name__ if isinstance(field.type, type) and not hasattr(field.type, "__args__") else str(field.type)
    sentences = [flag.help]
    if flag.in_python:
        sentences.append(f"In Python {flag.in_python}.")
    elif flag.choices and kind_of(config_class, name) is tuple:
        sentences.append(f"Any of {', '.join(flag.choices)}.")
    elif flag.choices or kind_of(config_class, name) in (int, float):
        legal = range_text(config_class, name)
        sentences.append(f"{legal[0].upper()}{legal[1:]}.")
    if field.default is None:
        sentences.append(f"None: {default_text(config_class, name)}.")
    text = textwrap.fill(" ".join(sentences), WIDTH, break_long_words=False, break_on_hyphens=False)
    head = f"{name}: {kind.replace('collections.abc.', '')} = {field.default!r}"
    return textwrap.indent(f"{head}\n{textwrap.indent(text, INDENT)}", INDENT)
