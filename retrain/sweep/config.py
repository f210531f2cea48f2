"""The options of a sweep besides those of its trainings."""

from dataclasses import dataclass

from retrain.options.flags import flag
from retrain.options.groups import SWEEP
from retrain.options.process import ProgressOptions


@dataclass(frozen=True, kw_only=True)
class SweepConfig(ProgressOptions, group=SWEEP):
    """Options of a sweep besides those of its trainings."""

    sweep_dir: str = flag(
        "Where to write the table as CSV and the summaries for TensorBoard.", "/tmp/retrain_sweep", path="FOLDER"
    )
    random_search: int = flag(
        "Number of random combinations to try, with ranges LOW..HIGH for numbers if wanted; 0 tries all combinations.", 0, low=0
    )
    search_seed: int = flag("Makes the random search repeatable.", 0, low=0)
    budget_ms: float | None = flag(
        "Name the best network that takes at most this many milliseconds a photo on this machine.",
        None,
        low=0,
        low_open=True,
        shown_default="none",
    )
    budget_mb: float | None = flag(
        "Name the best network whose file has at most this many megabytes.", None, low=0, low_open=True, shown_default="none"
    )

    @property
    def has_budget(self) -> bool:
        """True if the best network within a budget is to be named."""
        return self.budget_ms is not None or self.budget_mb is not None
