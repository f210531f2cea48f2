"""Backbones: a pretrained network, loaded and checked, as a function from images to bottlenecks."""

import functools
import hashlib
from dataclasses import dataclass

from tensorflow.core.framework.graph_pb2 import GraphDef

from retrain.arrays import BatchFunction
from retrain.backbones.catalog import Architecture
from retrain.errors import ModelError
from retrain.graphdef.nodes import node_name
from retrain.graphdef.run import batch_function, parse_graph, static_shape
from retrain.graphdef.subgraph import file_ops
from retrain.process.precision import FLOAT32


@dataclass(frozen=True)
class Backbone:
    """A network, loaded.

    Attributes:
        architecture: its tensors and its input.
        graph_def: as read from its file; never changed.
        fingerprint: SHA-256 over all that a bottleneck depends on but the image: the file, the tensors, the input, the precision.
        size: of its file, in bytes; asking the graph itself would take longer than reading it.
        precision: of its computation, one of `precision.PRECISIONS`.
        note: set if it is not the network that was meant.
    """

    architecture: Architecture
    graph_def: GraphDef
    fingerprint: str
    size: int
    precision: str = FLOAT32
    note: str = ""

    @functools.cached_property
    def run(self) -> BatchFunction:
        """float32 [N, H, W, 3], normalised → bottlenecks, float32 [N, D]. Made at the first use: a full cache needs none."""
        chosen = self.architecture
        function = batch_function(self.graph_def, chosen.input_tensor, chosen.batch_tensor, self.precision)
        return lambda images: function(images).reshape(len(images), chosen.bottleneck_size)


def load_backbone(architecture: Architecture, graph_bytes: bytes, precision: str = FLOAT32) -> Backbone:
    """Parses the network's file and checks that it has the tensors of its architecture.

    Raises:
        ModelError: the bytes are no GraphDef, a tensor is missing, or it reaches for files.
    """
    try:
        graph_def = parse_graph(graph_bytes, architecture.graph_file)
    except ModelError as error:
        raise ModelError(f"{error} {_cure(architecture)}") from error
    nodes = {node.name for node in graph_def.node}
    for tensor in (architecture.input_tensor, architecture.bottleneck_tensor, architecture.batch_tensor):
        if node_name(tensor) not in nodes:
            raise _another_network(architecture, f"it has no tensor {tensor}")
    reaching = {
        op for tensor in (architecture.bottleneck_tensor, architecture.batch_tensor) for op in file_ops(graph_def, tensor)
    }
    if reaching:
        raise _another_network(architecture, f"it has operations that can read or write files: {', '.join(sorted(reaching))}")
    shape = static_shape(graph_def, architecture.input_tensor)[1:3]
    wanted = [architecture.input_height, architecture.input_width]
    if shape not in ([], [None, None], wanted):
        raise _another_network(architecture, f"it takes images of {shape} pixels, not {wanted}")
    return Backbone(architecture, graph_def, graph_fingerprint(graph_bytes, architecture, precision), len(graph_bytes), precision)


def graph_fingerprint(graph_bytes: bytes, architecture: Architecture, precision: str) -> str:
    """Return the SHA-256, in hexadecimal, of all that a bottleneck depends on besides the image.

    The text is part of the cache format (docs/cache-format.md) and never changes.
    """
    digest = hashlib.sha256(graph_bytes)
    spec = architecture.input_spec.fingerprint_text
    digest.update(f"({architecture.input_tensor!r}, {architecture.batch_tensor!r}, {spec}, {precision!r})".encode())
    return digest.hexdigest()


def _another_network(architecture: Architecture, difference: str) -> ModelError:
    return ModelError(
        f"{architecture.graph_file} in --model_dir is not the network {architecture.name}: {difference}. {_cure(architecture)}"
    )


def _cure(architecture: Architecture) -> str:
    """The archive has to go too: the same would come out of it again."""
    if not architecture.archive:
        return "Install this project again."
    return f"Delete {architecture.graph_file} and {architecture.archive} there, and run again to get them anew."
