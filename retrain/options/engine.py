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
        "Library that runs the network: litert, on a copy of the network that is converted once; tensorflow; or auto, the one "
        "that was measured to be faster on this machine, and TensorFlow where litert cannot do the work: with a GPU, at another "
        "precision, or for a network that cannot be converted.",
        AUTO,
        choices=ENGINES,
    )
