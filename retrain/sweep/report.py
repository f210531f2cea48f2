"""Report of a sweep: a table for people, CSV for programs, HParams for TensorBoard."""

import csv
import io
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from retrain.evaluation.tables import markdown_table
from retrain.evaluation.tensorboard import SummaryWriter
from retrain.files import write_atomically
from retrain.sweep.plan import Trial

METRICS = ("test_accuracy", "validation_accuracy", "training_seconds", "trained_numbers", "network_bytes")


@dataclass(frozen=True)
class Outcome:
    """Result of a trial.

    Attributes:
        trial: the trial.
        architecture: name of the network.
        test_accuracy, validation_accuracy: 0 to 1; None without images.
        n_test: number of test images.
        n_steps: number of training steps.
        training_seconds: wall time; heads trained side by side have equal shares.
        trained_numbers: number of weights and biases of the head.
        network_bytes: size of the network's file.
    """

    trial: Trial
    architecture: str
    test_accuracy: float | None
    validation_accuracy: float | None
    n_test: int
    n_steps: int
    training_seconds: float
    trained_numbers: int
    network_bytes: int


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a Markdown table: a row for each combination of values, with mean, minimum and maximum over the seeds."""
    by_values: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in outcomes:
        by_values.setdefault(tuple(outcome.trial.swept.values()), []).append(outcome)
    names = list(outcomes[0].trial.swept)
    heads = [*names, "test accuracy", "validation accuracy", "seeds", "training", "head", "network"]
    rows = [[*values, *_cells(group)] for values, group in by_values.items()]
    return markdown_table(heads, rows, aligned=True)


def _cells(group: Sequence[Outcome]) -> list[str]:
    first = group[0]
    return [
        _spread([outcome.test_accuracy for outcome in group]),
        _spread([outcome.validation_accuracy for outcome in group]),
        str(len(group)),
        f"{statistics.fmean(outcome.training_seconds for outcome in group):.2f} s",
        f"{first.trained_numbers:,} numbers",
        f"{first.network_bytes / 1e6:.1f} MB",
    ]


def _spread(accuracies: Sequence[float | None]) -> str:
    known = [100 * accuracy for accuracy in accuracies if accuracy is not None]
    if not known:
        return "no images"
    mean = f"{statistics.fmean(known):.1f}%"
    return mean if len(known) == 1 else f"{mean} ({min(known):.1f} to {max(known):.1f})"


def write_csv(path: str, outcomes: Sequence[Outcome]) -> None:
    """Write a row for each trial: number, swept flags, seed and measures. Raises OSError."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(outcomes[0].trial.swept)
    writer.writerow(["trial", *names, "random_seed", "network", *METRICS, "n_test", "n_steps"])
    for number, outcome in enumerate(outcomes):
        values = [outcome.trial.swept[name] for name in names]
        measures = [getattr(outcome, metric) for metric in METRICS]
        seed = outcome.trial.config.random_seed
        writer.writerow([number, *values, seed, outcome.architecture, *measures, outcome.n_test, outcome.n_steps])
    write_atomically(path, text.getvalue().encode())


def write_hparams(folder: str, outcomes: Sequence[Outcome]) -> None:
    """Write the summaries of TensorBoard's HParams page: flags, metrics and a session for each trial. Raises OSError."""
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams import summary as hparams

    flags = [api_pb2.HParamInfo(name=name) for name in [*outcomes[0].trial.swept, "random_seed"]]
    metrics = [api_pb2.MetricInfo(name=api_pb2.MetricName(tag=metric)) for metric in METRICS]
    with SummaryWriter(folder) as writer:
        writer.add_summary(hparams.experiment_pb(flags, metrics).SerializeToString())
    for number, outcome in enumerate(outcomes):
        values = {name: _number_or_text(text) for name, text in outcome.trial.swept.items()}
        measures = {metric: getattr(outcome, metric) for metric in METRICS}
        with SummaryWriter(os.path.join(folder, f"trial_{number}")) as writer:
            values["random_seed"] = float(outcome.trial.config.random_seed or 0)
            writer.add_summary(hparams.session_start_pb(values).SerializeToString())
            writer.add_measures(0, {tag: value for tag, value in measures.items() if value is not None})
            writer.add_summary(hparams.session_end_pb(api_pb2.STATUS_SUCCESS).SerializeToString())


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
