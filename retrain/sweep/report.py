"""Report of a sweep: a table for people, CSV for programs, HParams for TensorBoard."""

import csv
import io
import os
import statistics
from collections.abc import Sequence

from retrain.evaluation.tables import markdown_table
from retrain.files import write_atomically
from retrain.sweep.choice import short, spread
from retrain.sweep.rows import Outcome, Row
from retrain.tensorboard.events import SummaryWriter
from retrain.tensorboard.hparams import end_summary, experiment_summary, start_summary

METRICS = ("test_accuracy", "validation_accuracy", "training_seconds", "trained_numbers", "network_bytes")
COSTS = ("network_ms", "bottleneck_ms", "pareto_front")  # Last in the CSV, so that earlier columns keep their positions.


def table(rows: Sequence[Row]) -> str:
    """Return a Markdown table of the rows, with mean, minimum and maximum over the seeds.

    If the times of the networks were measured, it also shows them, the time for each bottleneck, and the Pareto front.
    """
    heads = [*rows[0].outcomes[0].trial.swept, "test accuracy", "validation accuracy", "seeds", "training", "head", "network"]
    cells = [[*row.outcomes[0].trial.swept.values(), *_cells(row)] for row in rows]
    if any(row.network_ms is not None for row in rows):
        heads += ["one photo", "bottlenecks", "Pareto front"]
        cells = [[*before, *_cost_cells(row)] for before, row in zip(cells, rows, strict=True)]
    return markdown_table(heads, cells, aligned=True)


def _cells(row: Row) -> list[str]:
    outcomes = row.outcomes
    return [
        spread([outcome.test_accuracy for outcome in outcomes]),
        spread([outcome.validation_accuracy for outcome in outcomes]),
        str(len(outcomes)),
        f"{statistics.fmean(outcome.training_seconds for outcome in outcomes):.2f} s",
        f"{outcomes[0].trained_numbers:,} numbers",
        f"{row.network_mb:.1f} MB",
    ]


def _cost_cells(row: Row) -> list[str]:
    return [
        f"{short(row.network_ms)} ms",
        "cached" if row.bottleneck_ms is None else f"{short(row.bottleneck_ms)} ms an image",
        "yes" if row.outcomes[0].pareto_front else "",
    ]


def write_csv(path: str, outcomes: Sequence[Outcome]) -> None:
    """Write a row for each trial: number, swept flags, seed and measures; a measure that is missing is empty. Raises OSError."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(outcomes[0].trial.swept)
    writer.writerow(["trial", *names, "random_seed", "network", *METRICS, "n_test", "n_steps", *COSTS])
    for number, outcome in enumerate(outcomes):
        values = [outcome.trial.swept[name] for name in names]
        measures, costs = ([_measure(outcome, metric) for metric in metrics] for metrics in (METRICS, COSTS))
        seed = outcome.trial.config.random_seed
        writer.writerow([number, *values, seed, outcome.architecture, *measures, outcome.n_test, outcome.n_steps, *costs])
    write_atomically(path, text.getvalue().encode())


def write_hparams(folder: str, outcomes: Sequence[Outcome]) -> None:
    """Write the summaries of TensorBoard's HParams page: flags, metrics and a session for each trial. Raises OSError."""
    is_timed = any(outcome.network_ms is not None for outcome in outcomes)
    tags = [*METRICS, *COSTS] if is_timed else METRICS
    with SummaryWriter(folder) as writer:
        writer.add_summary(experiment_summary([*outcomes[0].trial.swept, "random_seed"], tags))
    for number, outcome in enumerate(outcomes):
        values = {name: _number_or_text(text) for name, text in outcome.trial.swept.items()}
        measures = {tag: value for tag in tags if (value := _measure(outcome, tag)) is not None}
        with SummaryWriter(os.path.join(folder, f"trial_{number}")) as writer:
            values["random_seed"] = float(outcome.trial.config.random_seed or 0)
            writer.add_summary(start_summary(values))
            writer.add_measures(0, measures)
            writer.add_summary(end_summary())


def _measure(outcome: Outcome, name: str) -> float | None:
    """Return a measure; the mark of the Pareto front is 1 or 0."""
    value: float | None = getattr(outcome, name)
    return int(value) if isinstance(value, bool) else value


def _number_or_text(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
