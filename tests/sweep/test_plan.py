"""The trials of a sweep."""

import math
from typing import Any

import pytest

from retrain.errors import FlagError
from retrain.sweep.__main__ import build_sweep_parser
from retrain.sweep.config import SweepConfig
from retrain.sweep.plan import Trial, plan, read_sweep, swept_flags


def trials(given: dict[str, str], n_random: int = 0, search_seed: int = 0) -> list[Trial]:
    return plan({"image_dir": "photos", **given}, n_random, search_seed)


def values(found: list[Trial], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(getattr(trial.config, name) for name in names) for trial in found]


def test_a_grid_has_every_combination_with_every_seed() -> None:
    found = trials({"learning_rate": "0.005,1", "optimizer": "adam, momentum", "random_seed": "3,7"})
    expected = [(rate, name, seed) for rate in (0.005, 1.0) for name in ("adam", "momentum") for seed in (3, 7)]
    assert values(found, "learning_rate", "optimizer", "random_seed") == expected
    assert found[-1].swept == {"learning_rate": "1", "optimizer": "momentum"}


def test_what_has_one_value_is_not_swept_but_used() -> None:
    [only] = trials({"l2": "0.1", "how_many_training_steps": "7"})
    assert (only.config.l2, only.config.how_many_training_steps, only.config.random_seed, only.swept) == (0.1, 7, 1, {})


def test_texts_with_commas_of_their_own_are_parted_by_semicolons() -> None:
    found = trials({"hidden_units": ";128;128,64", "class_weights": "a=1,b=2"})
    assert values(found, "hidden_units", "class_weights") == [(units, {"a": 1.0, "b": 2.0}) for units in ((), (128,), (128, 64))]


def test_switches_and_paths() -> None:
    assert values(trials({"flip_left_right": "True,false"}), "flip_left_right") == [(True,), (False,)]
    assert values(trials({"image_dir": "a,b..c"}), "image_dir") == [("a,b..c",)]


def test_a_random_search_draws_from_values_and_ranges() -> None:
    given = {
        "learning_rate": "0.001..10",
        "how_many_training_steps": "10..20",
        "optimizer": "adam,momentum",
        "random_seed": "1,2",
    }
    found = trials(given, 200)
    assert len(found) == 400
    rates = [trial.config.learning_rate or 0 for trial in found[::2]]
    assert all(0.001 <= rate <= 10 for rate in rates)
    below = sum(rate < 0.1 for rate in rates)  # 0.1 is the middle of the logarithms.
    assert abs(below - 100) < 5 * math.sqrt(200 / 4)
    assert {trial.config.how_many_training_steps for trial in found} == set(range(10, 21))
    assert {trial.config.optimizer for trial in found} == {"adam", "momentum"}
    names = list(given)
    assert values(found, *names) == values(trials(given, 200), *names)
    assert values(found, *names) != values(trials(given, 200, 1), *names)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"learning_rate": "0.1,0"}, "--learning_rate must be a number in (0, inf). Got 0.0."),
        ({"optimizer": "adam,sgd"}, "--optimizer must be one of gradient_descent, momentum, adam, lbfgs. Got sgd."),
        ({"flip_left_right": "yes"}, "--flip_left_right must be True or False in a sweep. Got yes."),
        ({"l2": "0..1"}, "--l2 is a range, from which only a random search can draw: add --random_search N."),
        ({"device": "cpu,gpu"}, "--device must be cpu, gpu or gpu:NUMBER. Got cpu,gpu."),
        ({"random_seed": "x"}, "--random_seed must be an integer in [0, 4294967296). Got x."),
        (
            {"learning_rate": "fast,0.1,0", "optimizer": "adam,sgd", "random_seed": "1,-1", "l2": "0..1,0..2"},
            "--learning_rate must be a number in (0, inf). Got fast.\n"
            "--learning_rate must be a number in (0, inf). Got 0.0.\n"
            "--optimizer must be one of gradient_descent, momentum, adam, lbfgs. Got sgd.\n"
            "--random_seed must be an integer in [0, 4294967296). Got -1.\n"
            "--l2 is a range, from which only a random search can draw: add --random_search N.",
        ),
        (  # Values that cannot be combined are reported beside a wrong one, and not with it.
            {"optimizer": "lbfgs,adam", "dropout": "0,0.2,2", "flip_left_right": "maybe"},
            "--dropout must be a number in [0, 1). Got 2.0.\n--flip_left_right must be True or False in a sweep. Got maybe.",
        ),
        (
            {"testing_percentage": "50,60", "validation_percentage": "50,10", "early_stopping": "-1"},
            "--early_stopping must be an integer in [0, inf). Got -1.\n"
            "--testing_percentage and --validation_percentage must leave images to train on: their sum must be below 100. "
            "Got 50 + 50.\n"
            "--testing_percentage and --validation_percentage must leave images to train on: their sum must be below 100. "
            "Got 60 + 50.",
        ),
    ],
)
def test_wrong_values_are_named(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(FlagError) as caught:
        trials(given)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("text", ["1..0", "a..b", "0.1..nan", "1..2..3", ".."])
def test_ranges_that_are_none(text: str) -> None:
    with pytest.raises(FlagError) as caught:
        trials({"learning_rate": text}, 3)
    assert str(caught.value) == f"--learning_rate must be values, or a range LOW..HIGH. Got {text}."


def test_in_a_random_search_values_are_reported_whether_they_are_drawn_or_not() -> None:
    given = {"learning_rate": "0..1", "optimizer": "adam,momentum,sgd", "dropout": "0.1..2", "train_batch_size": "0..9,7.5"}
    with pytest.raises(FlagError) as caught:
        trials(given, 1)
    assert str(caught.value).splitlines() == [  # A learning rate of 0 is never drawn.
        "--optimizer must be one of gradient_descent, momentum, adam, lbfgs. Got sgd.",
        "--dropout must be a number in [0, 1). Got 0.1..2.",
        "--train_batch_size must be -1 or an integer in [1, 1000000]. Got 0..9.",
        "--train_batch_size must be -1 or an integer in [1, 1000000]. Got 7.5.",
    ]


def read(*argv: str) -> tuple[SweepConfig, list[Trial]]:
    return read_sweep(build_sweep_parser().parse_args(argv))


def test_the_flags_of_the_sweep_itself() -> None:
    config, found = read("--image_dir=photos", "--budget_ms=3", "--random_search=2", "--l2=0..1", "--flip_left_right")
    assert (config.budget_ms, config.budget_mb, config.has_budget, len(found)) == (3.0, None, True, 2)
    assert all(trial.config.flip_left_right for trial in found)
    assert not read("--image_dir=photos")[0].has_budget


def test_wrong_flags_of_the_sweep_are_reported_with_those_of_training() -> None:
    with pytest.raises(FlagError) as caught:
        read("--random_search=some", "--budget_mb=0", "--l2=0..1,-1,-1", "--optimizer=sgd")
    assert str(caught.value).splitlines() == [  # A range may be right: how many to draw is what is wrong.
        "--random_search must be an integer in [0, inf). Got some.",
        "--budget_mb must be a number in (0, inf). Got 0.0.",
        "--image_dir is required: Folder with one folder of images for each class. Or give --image_list.",
        "--optimizer must be one of gradient_descent, momentum, adam, lbfgs. Got sgd.",
        "--l2 must be a number in [0, 1000000]. Got -1.0.",
    ]


def test_what_is_missing_is_reported_with_what_is_wrong() -> None:
    with pytest.raises(FlagError) as caught:
        read("--l2=a,b")
    assert str(caught.value).splitlines() == [
        "--image_dir is required: Folder with one folder of images for each class. Or give --image_list.",
        "--l2 must be a number in [0, 1000000]. Got a.",
        "--l2 must be a number in [0, 1000000]. Got b.",
    ]


def test_a_budget_needs_validation_images() -> None:
    sentence = "--budget_ms and --budget_mb need validation images to choose by: --validation_percentage must not be 0."
    with pytest.raises(FlagError) as caught:
        read("--image_dir=photos", "--budget_mb=3", "--validation_percentage=10,0")
    assert str(caught.value) == sentence
    with pytest.raises(FlagError) as caught:
        read("--image_dir=photos", "--budget_ms=3", "--validation_percentage=0", "--dropout=1")
    assert str(caught.value) == f"{sentence}\n--dropout must be a number in [0, 1). Got 1.0."


def test_flags_that_a_sweep_sees_to_are_not_taken() -> None:
    assert {"learning_rate", "hidden_units", "random_crop", "architecture"} <= set(swept_flags())
    assert not {"output_graph", "checkpoint_path", "summaries_dir", "resume"} & set(swept_flags())
