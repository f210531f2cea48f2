"""Options of the bottleneck cache."""

from dataclasses import dataclass

from retrain.options.flags import LARGEST_BATCH, Options, flag
from retrain.options.groups import ADVANCED


@dataclass(frozen=True, kw_only=True)
class BottleneckOptions(Options, group=ADVANCED):
    """Options of the bottleneck cache."""

    bottleneck_dir: str = flag("Folder of the cached bottlenecks.", "/tmp/bottleneck", path="FOLDER")
    bottleneck_batch_size: int | None = flag(
        "Number of images that go through the network together.",
        None,
        low=1,
        high=LARGEST_BATCH,
        shown_default="chosen to suit the network",
    )
