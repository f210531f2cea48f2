"""Options of the engine that runs the network."""

from dataclasses import dataclass

from retrain.options.flags import Options, flag

AUTO, LITERT, TENSORFLOW = "auto", "litert", "tensorflow"
ENGINES = (AUTO, LITERT, TENSORFLOW)


@dataclass(frozen=True, kw_only=True)
class EngineOptions(Options):
    """Options of the engine that runs the network."""

    engine: str = flag(
        "What runs the network: litert converts it once, and from then on TensorFlow need not be loaded. auto selects the one "
        "that was faster here; TensorFlow where the network cannot be converted, with a GPU, and for other precisions.",
        AUTO,
        choices=ENGINES,
    )
