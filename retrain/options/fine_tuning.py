"""Options of fine-tuning."""

import re
from dataclasses import dataclass

from retrain.options.augmentation import AugmentationOptions
from retrain.options.flags import LARGEST_BATCH, LARGEST_STEPS, cross_check, flag
from retrain.options.groups import FINE_TUNING
from retrain.options.monitor import MonitorOptions


@dataclass(frozen=True, kw_only=True)
class FineTuningOptions(AugmentationOptions, MonitorOptions, group=FINE_TUNING):
    """Options of fine-tuning: the training of the network's own weights, after the head."""

    fine_tune_steps: int = flag(
        "Number of fine-tuning steps after the training of the head; 0 leaves the network's weights as they are.",
        0,
        low=0,
        high=LARGEST_STEPS,
    )
    fine_tune_learning_rate: float = flag(
        "Highest learning rate of fine-tuning.", 0.0003, low=0, low_open=True, shown_default="0.0003"
    )
    fine_tune_batch_size: int = flag("Number of images in the batch of a fine-tuning step.", 32, low=1, high=LARGEST_BATCH)
    fine_tune_layers: str | None = flag(
        "Fine-tune only the weights whose names match this regular expression.", None, shown_default="all weights"
    )

    @cross_check("fine_tune_layers")
    def _layers_are_a_regular_expression(self) -> str | None:
        try:
            re.compile(self.fine_tune_layers or "")
        except re.error as error:
            return f"--fine_tune_layers must be a regular expression ({error}). Got {self.fine_tune_layers}."
        return None
