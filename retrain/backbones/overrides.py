"""What a user may say of a network that the catalog does not know: a local graph, or a TensorFlow Hub module."""

import dataclasses
import os

from retrain.backbones.catalog import find_architecture, is_local_graph
from retrain.errors import FlagError


@dataclasses.dataclass(frozen=True)
class NetworkFlags:
    """The flags of that name; None where the network is to say it, or it is to be found out.

    Attributes:
        input_layer, bottleneck_layer: names of operations or of their first outputs; for local graphs only.
        input_height, input_width: in pixels.
        input_mean, input_std: in grey levels 0 to 255.
    """

    input_layer: str | None = None
    bottleneck_layer: str | None = None
    input_height: int | None = None
    input_width: int | None = None
    input_mean: float | None = None
    input_std: float | None = None


LAYERS = ("input_layer", "bottleneck_layer")


def _check_name(architecture: str) -> None:
    try:
        find_architecture(architecture)
    except FlagError as error:
        if not os.path.isdir(architecture):
            raise
        raise FlagError(
            f"--architecture must be a name or a file. Got {architecture}, a folder: is it for --tfhub_module?"
        ) from error


def check_network_flags(architecture: str | None, tfhub_module: str | None, given: NetworkFlags) -> None:
    """Refuses two networks at once, an unknown one, and what would be of no effect. Touches no more than the file's name.

    Raises:
        FlagError: with a line for each flag that does not go with the network.
    """
    if architecture is not None and tfhub_module is not None:
        raise FlagError(
            "--architecture and --tfhub_module must not be given together, since each names the network. "
            f"Got {architecture} and {tfhub_module}."
        )
    local = architecture is not None and is_local_graph(architecture)
    if architecture is not None and not local:
        _check_name(architecture)
    names = [field.name for field in dataclasses.fields(given) if getattr(given, field.name) is not None]
    idle = [] if local else [name for name in names if name in LAYERS] if tfhub_module is not None else names
    if idle:
        takes = "a local graph (--architecture path/to/graph.pb)"
        both = f"{takes} or a module (--tfhub_module)"
        raise FlagError("\n".join(f"--{name} is only for {takes if name in LAYERS else both}: leave it out." for name in idle))
