"""The trials of a sweep: a grid over the values of flags, or a random search in it."""

import argparse
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrain.config import RetrainConfig
from retrain.errors import FlagError
from retrain.options.command_line import Parser, from_namespace, grouped, help_text, missing_problems
from retrain.options.flags import convert, flags_of, kind_of, value_problem
from retrain.options.images import NO_IMAGES
from retrain.sweep.config import SweepConfig

if TYPE_CHECKING:
    import numpy as np

# Flags that a sweep sets itself or does not take.
NOT_SWEPT = {
    "run_dir",
    "output_graph",
    "intermediate_output_graphs_dir",
    "intermediate_store_frequency",
    "output_labels",
    "summaries_dir",
    "saved_model_dir",
    "checkpoint_path",
    "resume",
    "timing_report",
    "logging_verbosity",
    "no_progress",
    "print_misclassified_test_images",
    "save_split",
    "report",
    "export",
}
# Flags with one value each: texts that may have commas, and settings of which a process has only one.
FIXED = {"image_dir", "image_list", "bottleneck_dir", "model_dir", "model_url_base", "device", "precision", "strict"}
VALIDATION = "validation_percentage"
SEPARATORS = {"hidden_units": ";", "class_weights": ";"}  # Their values have commas of their own.
RANGE = ".."


@dataclass(frozen=True)
class Trial:
    """One training of a sweep.

    Attributes:
        config: all of its options.
        swept: text of each flag that differs between trials, except the seed.
    """

    config: RetrainConfig
    swept: dict[str, str]


def swept_flags() -> list[str]:
    """Return the names of the training flags that a sweep takes, each with one value or several."""
    return [name for name in flags_of(RetrainConfig) if name not in NOT_SWEPT]


def add_swept_flags(parser: Parser) -> None:
    """Add an option for each of `swept_flags`, in their groups; a switch without a value is on."""
    for heading, names in grouped(RetrainConfig, swept_flags()).items():
        group = parser.group(heading)
        for name in names:
            switch: dict[str, Any] = {"nargs": "?", "const": "True"} if kind_of(RetrainConfig, name) is bool else {}
            metavar = flags_of(RetrainConfig)[name].path or ("VALUE" if name in FIXED else "VALUES")
            group.add_argument(f"--{name}", metavar=metavar, help=help_text(RetrainConfig, name).replace("%", "%%"), **switch)
    parser.paths.update(name for name in swept_flags() if flags_of(RetrainConfig)[name].path)


def read_sweep(args: argparse.Namespace) -> tuple[SweepConfig, list[Trial]]:
    """Return the options of a sweep and its trials, from what the parser found.

    Raises:
        FlagError: with a line for everything that is wrong.
    """
    given = {name: getattr(args, name) for name in swept_flags()}
    values = _all_values(given)
    try:
        config = from_namespace(SweepConfig, args)
    except FlagError as error:
        wrong = dict.fromkeys(_wrong_values(values, ranges_allowed=True).values())
        raise FlagError("\n".join([str(error), *_missing(values), *wrong])) from None
    problems, trials = [], []
    if config.has_budget and any(int(text) == 0 for text in values.get(VALIDATION, []) if text.isdecimal()):
        problems.append(f"--budget_ms and --budget_mb need validation images to choose by: --{VALIDATION} must not be 0.")
    try:
        trials = plan(given, config.random_search, config.search_seed)
    except FlagError as error:
        problems.append(str(error))
    if problems:
        raise FlagError("\n".join(problems))
    return config, trials


def plan(given: Mapping[str, str | None], n_random: int, search_seed: int) -> list[Trial]:
    """Return the trials: all combinations of the values, or `n_random` random ones, each with every seed.

    Args:
        given: text of each flag, several values joined by commas; None if it was not given.
        n_random: number of combinations to draw; 0 uses all. Only a random search can draw from a range `LOW..HIGH`: uniformly,
            or uniformly on a logarithmic scale if both ends are positive.
        search_seed: of the random search.

    Raises:
        FlagError: with a line for each value that is wrong, and for values that cannot be combined.
    """
    values = _all_values(given)
    wrong = _wrong_values(values, ranges_allowed=n_random > 0)
    if missing := _missing(values):
        raise FlagError("\n".join([*missing, *dict.fromkeys(wrong.values())]))
    seeds = values.pop("random_seed", ["1"])
    chosen = list(_drawn(values, n_random, search_seed) if n_random else _grid(values))
    differing = [name for name in values if len({texts[name] for texts in chosen}) > 1]
    trials, problems = [], dict.fromkeys(wrong.values())
    for texts in chosen:
        for seed in seeds:
            try:
                config = RetrainConfig(**{name: _value(name, text) for name, text in (texts | {"random_seed": seed}).items()})
            except FlagError as error:
                problems.update(dict.fromkeys(wrong.get(line, line) for line in str(error).splitlines()))
            else:
                trials.append(Trial(config, {name: texts[name] for name in differing}))
    if problems:
        raise FlagError("\n".join(problems))
    return trials


def _missing(values: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a sentence for each flag that is required and not given; one of two flags names the images."""
    return missing_problems(RetrainConfig, values) + ([] if values.keys() & {"image_dir", "image_list"} else [NO_IMAGES])


def _all_values(given: Mapping[str, str | None]) -> dict[str, list[str]]:
    return {name: _values(name, text) for name, text in given.items() if text is not None}


def _values(name: str, text: str) -> list[str]:
    if name in FIXED:
        return [text]
    return list(dict.fromkeys(part.strip() for part in text.split(SEPARATORS.get(name, ","))))


def _value(name: str, text: str) -> Any:
    """Return the value of a text; one that cannot be converted is returned as it is."""
    if kind_of(RetrainConfig, name) is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    return convert(RetrainConfig, name, text)


def _wrong_values(values: Mapping[str, Sequence[str]], ranges_allowed: bool) -> dict[str, str]:
    """Return the sentence about each wrong value, by the sentence that a configuration with that value has for it."""
    found = {}
    for name, texts in values.items():
        for text in texts:
            problem = value_problem(RetrainConfig, name, _value(name, text))
            if problem and (reason := _reason(name, text, problem, ranges_allowed)):
                found[problem] = reason
    return found


def _reason(name: str, text: str, problem: str, ranges_allowed: bool) -> str | None:
    """Return what is wrong in the words of a sweep; None for a range from which values can be drawn."""
    if kind_of(RetrainConfig, name) is bool:
        return f"--{name} must be True or False in a sweep. Got {text}."
    if not _is_range(name, text):
        return problem
    if not ranges_allowed:
        return f"--{name} is a range, from which only a random search can draw: add --random_search N."
    ends = _ends(text)
    if not ends:
        return f"--{name} must be values, or a range LOW..HIGH. Got {text}."
    return None if _holds(name, ends) else problem


def _is_range(name: str, text: str) -> bool:
    return RANGE in text and kind_of(RetrainConfig, name) in (int, float)


def _ends(text: str) -> tuple[float, float] | None:
    """Return both ends of a range `LOW..HIGH`; None if it is none."""
    try:
        low, high = (float(end) for end in text.split(RANGE))
    except ValueError:
        return None
    return (low, high) if -math.inf < low < high < math.inf else None


def _holds(name: str, ends: tuple[float, float]) -> bool:
    """Return True if the flag allows all values between the ends; an end may be an excluded bound, which is never drawn."""
    inner = (math.nextafter(*ends), math.nextafter(*reversed(ends)))
    kind = kind_of(RetrainConfig, name)
    return not any(value_problem(RetrainConfig, name, round(end) if kind is int else end) for end in inner)


def _grid(values: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    for combination in itertools.product(*values.values()):
        yield dict(zip(values, combination, strict=True))


def _drawn(values: Mapping[str, Sequence[str]], count: int, seed: int) -> Iterator[dict[str, str]]:
    import numpy as np

    rng = np.random.default_rng(seed)
    for _ in range(count):
        texts = {name: texts[int(rng.integers(len(texts)))] for name, texts in values.items()}
        yield {name: _number_within(name, text, rng) if _is_range(name, text) else text for name, text in texts.items()}


def _number_within(name: str, text: str, rng: "np.random.Generator") -> str:
    """Draw a number from a range; return a text from which none can be drawn as it is, so that it is reported once."""
    ends = _ends(text)
    if not ends or not _holds(name, ends):
        return text
    low, high = ends
    drawn = math.exp(rng.uniform(math.log(low), math.log(high))) if low > 0 else rng.uniform(low, high)
    return str(round(drawn)) if kind_of(RetrainConfig, name) is int else f"{drawn:.4g}"
