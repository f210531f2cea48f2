"""The trials of a sweep: a grid over the values of flags, or a random search in it."""

import argparse
import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from retrain.config import RetrainConfig
from retrain.errors import FlagError
from retrain.options.flags import flags_of, from_namespace, kind_of

# Flags that a sweep sets itself or does not take.
NOT_SWEPT = {
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
    "print_misclassified_test_images",
    "export",
}
# Flags with one value each: texts that may have commas, and settings of which a process has only one.
FIXED = {"image_dir", "bottleneck_dir", "model_dir", "model_url_base", "device", "precision", "strict"}
SEPARATORS = {"hidden_units": ";", "class_weights": ";"}  # Their values have commas of their own.
RANGE = ".."


@dataclasses.dataclass(frozen=True)
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


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add an option for each of `swept_flags`; a switch without a value is on."""
    for name in swept_flags():
        flag = flags_of(RetrainConfig)[name]
        switch = {"nargs": "?", "const": "True"} if kind_of(RetrainConfig, name) is bool else {}
        parser.add_argument(f"--{name}", metavar="VALUES", help=flag.help.replace("%", "%%"), **switch)  # type: ignore[arg-type]


def plan(given: Mapping[str, str | None], n_random: int, search_seed: int) -> list[Trial]:
    """Return the trials: all combinations of the values, or `n_random` random ones, each with every seed.

    Args:
        given: text of each flag, several values joined by commas; None if it was not given.
        n_random: number of combinations to draw; 0 uses all. Only a random search can draw from a range `LOW..HIGH`: uniformly,
            or uniformly on a logarithmic scale if both ends are positive.
        search_seed: of the random search.

    Raises:
        FlagError: a value is wrong.
    """
    values = {name: _values(name, text) for name, text in given.items() if text is not None}
    seeds = values.pop("random_seed", ["1"])
    ranges = [name for name, texts in values.items() if any(_is_range(name, text) for text in texts)]
    if ranges and not n_random:
        raise FlagError(f"--{ranges[0]} is a range, from which only a random search can draw: add --random_search N.")
    chosen = list(_drawn(values, n_random, np.random.default_rng(search_seed)) if n_random else _grid(values))
    differing = [name for name in values if len({texts[name] for texts in chosen}) > 1]
    return [
        Trial(_config({**texts, "random_seed": seed}), {name: texts[name] for name in differing})
        for texts in chosen
        for seed in seeds
    ]


def _values(name: str, text: str) -> list[str]:
    if name in FIXED:
        return [text]
    return list(dict.fromkeys(part.strip() for part in text.split(SEPARATORS.get(name, ","))))


def _is_range(name: str, text: str) -> bool:
    return RANGE in text and kind_of(RetrainConfig, name) in (int, float)


def _grid(values: Mapping[str, Sequence[str]]) -> Iterator[dict[str, str]]:
    for combination in itertools.product(*values.values()):
        yield dict(zip(values, combination, strict=True))


def _drawn(values: Mapping[str, Sequence[str]], count: int, rng: np.random.Generator) -> Iterator[dict[str, str]]:
    for _ in range(count):
        texts = {name: texts[int(rng.integers(len(texts)))] for name, texts in values.items()}
        yield {name: _number_within(name, text, rng) if _is_range(name, text) else text for name, text in texts.items()}


def _number_within(name: str, text: str, rng: np.random.Generator) -> str:
    try:
        low, high = (float(end) for end in text.split(RANGE))
    except ValueError:
        low, high = math.nan, math.nan
    if not -math.inf < low < high < math.inf:
        raise FlagError(f"--{name} must be values, or a range LOW..HIGH. Got {text}.")
    drawn = math.exp(rng.uniform(math.log(low), math.log(high))) if low > 0 else rng.uniform(low, high)
    return str(round(drawn)) if kind_of(RetrainConfig, name) is int else f"{drawn:.4g}"


def _config(texts: Mapping[str, str]) -> RetrainConfig:
    switches = {name: text for name, text in texts.items() if kind_of(RetrainConfig, name) is bool}
    for name, text in switches.items():
        if text.lower() not in ("true", "false"):
            raise FlagError(f"--{name} must be True or False in a sweep. Got {text}.")
    on = {name: True for name, text in switches.items() if text.lower() == "true"}
    rest = {name: text for name, text in texts.items() if name not in switches}
    return from_namespace(RetrainConfig, argparse.Namespace(**rest, **on))
