"""Options of the engine that runs the network."""

from dataclasses import dataclass

from retrain.options.flags import Options, flag
from retrain.options.groups import ADVANCED

AUTO, LITERT, TENSORFLOW = "auto", "litert", "tensorflow"
ENGINES = (AUTO, LITERT, TENSORFLOW)


@dataclass(frozen=True, kw_only=True)
class EngineOptions(Options, group=ADVANCED):
    """Options of the engine that runs the network."""

    engine: str = flag(
        "Library that runs the network: litert, on a copy that is converted once; tensorflow; or auto, the one that was faster "
        "here, which is TensorFlow for networks that cannot be converted, with a GPU, and for other precisions.",
        AUTO,
        choices=ENGINES,
    )
