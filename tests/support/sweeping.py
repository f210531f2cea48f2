"""Outcomes of sweeps with given numbers."""

from typing import Any

from retrain.config import RetrainConfig
from retrain.sweep.plan import Trial
from retrain.sweep.rows import Outcome


def outcome(architecture: str, validation: float | None, ms: float | None = None, mb: float = 1.0, **more: Any) -> Outcome:
    """Return an outcome of a sweep over `architecture`; `more` are its other fields, and `swept` and `seed` of its trial."""
    swept = {"architecture": architecture, **more.pop("swept", {})}
    config = RetrainConfig(image_dir="photos", random_seed=more.pop("seed", 1))
    fields = {
        "test_accuracy": 0.5,
        "n_test": 10,
        "n_steps": 100,
        "training_seconds": 1.5,
        "trained_numbers": 5010,
        "network_bytes": round(mb * 1e6),
        "network_ms": ms,
        **more,
    }
    return Outcome(trial=Trial(config, swept), architecture=architecture, validation_accuracy=validation, **fields)
