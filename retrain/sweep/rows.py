"""Results of a sweep: an outcome for each trial, and a row for the trials that differ in their seeds alone."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from retrain.sweep.plan import Trial


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
        network_ms: time of the network for one image, in milliseconds; None if it was not measured.
        bottleneck_ms: wall time for each bottleneck made, decoding included, in milliseconds; None if all were in the cache.
        pareto_front: True if the row of the trial is on the Pareto front; None if the times of the networks were not measured.
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
    network_ms: float | None = None
    bottleneck_ms: float | None = None
    pareto_front: bool | None = None


@dataclass(frozen=True)
class Row:
    """Outcomes of the trials with the same values of all swept flags but the seed: at least one."""

    outcomes: tuple[Outcome, ...]

    @property
    def name(self) -> str:
        """The network and the other swept flags, such as `tiny_resnet_128 (learning_rate 0.1)`."""
        first = self.outcomes[0]
        values = [f"{name} {text or 'none'}" for name, text in first.trial.swept.items() if name != "architecture"]
        return f"{first.architecture} ({', '.join(values)})" if values else first.architecture

    @property
    def validation_accuracy(self) -> float | None:
        """Mean over the seeds, 0 to 1; None without images."""
        known = [outcome.validation_accuracy for outcome in self.outcomes if outcome.validation_accuracy is not None]
        return statistics.fmean(known) if known else None

    @property
    def network_ms(self) -> float | None:
        """Time of the network for one image, in milliseconds; None if it was not measured."""
        return self.outcomes[0].network_ms

    @property
    def network_mb(self) -> float:
        """Size of the network's file, in millions of bytes."""
        return self.outcomes[0].network_bytes / 1e6

    @property
    def bottleneck_ms(self) -> float | None:
        """Time of a bottleneck, in milliseconds, in the trial that made them; None if all were in the cache."""
        return next((outcome.bottleneck_ms for outcome in self.outcomes if outcome.bottleneck_ms is not None), None)


def rows_of(outcomes: Sequence[Outcome]) -> list[Row]:
    """Return the rows, in the order of their first trials."""
    by_values: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in outcomes:
        by_values.setdefault(tuple(outcome.trial.swept.values()), []).append(outcome)
    return [Row(tuple(group)) for group in by_values.values()]
