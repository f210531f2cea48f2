"""Options of the checkpoint, and of what a resumed run needs."""

from dataclasses import dataclass

from retrain.options.flags import Options, flag
from retrain.options.groups import ADVANCED


@dataclass(frozen=True, kw_only=True)
class CheckpointOptions(Options, group=ADVANCED):
    """Options of the checkpoint, of resuming from it, and of randomness."""

    checkpoint_path: str = flag(
        "Prefix of the checkpoint files that hold the trained head.", "/tmp/_retrain_checkpoint", path="PATH"
    )
    resume: bool = flag("Resume the training in the checkpoint, if there is one.", False)
    random_seed: int | None = flag(
        "Makes the run repeatable, bit for bit on one machine.",
        None,
        low=0,
        high=2**32,
        high_open=True,
        shown_default="different in each run",
    )
