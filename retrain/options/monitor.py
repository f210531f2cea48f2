"""Options of the evaluations during training."""

from dataclasses import dataclass

from retrain.options.flags import Options, flag
from retrain.options.groups import OUTPUT


@dataclass(frozen=True, kw_only=True)
class MonitorOptions(Options, group=OUTPUT):
    """Options of the evaluations during training, of the head and of fine-tuning."""

    eval_step_interval: int = flag("Evaluate, log and write summaries every this many steps.", 10, low=1)
    summaries_dir: str = flag(
        "Where to write the summaries for TensorBoard; event files of earlier runs there are deleted.",
        "/tmp/retrain_logs",
        path="FOLDER",
    )
