"""A pretrained network, loaded and checked: a function from images to bottlenecks."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.arrays import BatchFunction
from retrain.backbones.architecture import Architecture
from retrain.engines.choice import Work, network_function
from retrain.engines.part import NetworkPart
from retrain.errors import GraphError, ModelError
from retrain.graphdef.input_settings import RECORDED, origins_text
from retrain.graphdef.nodes import node_name
from retrain.graphdef.run import batch_function, parse_graph, static_shape
from retrain.graphdef.subgraph import file_ops
from retrain.options.engine import AUTO
from retrain.process.precision import FLOAT32


@dataclass(frozen=True)
class Backbone:
    """A pretrained network, loaded.

    Attributes:
        architecture: its tensors and its input.
        graph_def: as read from its file; never changed.
        fingerprint: SHA-256 over all that a bottleneck depends on besides the image: the file, the tensors, the input, the
            precision.
        size: of its file, in bytes; computing it from the graph would take longer than reading the file.
        precision: of its computation, one of `precision.PRECISIONS`.
        note: a remark if it replaces the network that was asked for; else empty.
        origins: where its layers and input settings are known from, by their names; those of a named network are in its record.
        engine: what runs it, one of `options.engine.ENGINES`.
        work: what it will be run on.
    """

    architecture: Architecture
    graph_def: GraphDef
    fingerprint: str
    size: int
    precision: str = FLOAT32
    note: str = ""
    origins: Mapping[str, str] = field(default_factory=dict)
    engine: str = AUTO
    work: Work = field(default_factory=Work)

    def __str__(self) -> str:
        chosen = self.architecture
        return (
            f"{chosen.name}: input {chosen.input_tensor}, {chosen.input_spec}; bottleneck {chosen.bottleneck_tensor}, "
            f"{chosen.bottleneck_size} values ({origins_text(self.origins) or RECORDED})"
        )

    @functools.cached_property
    def run(self) -> BatchFunction:
        """The function from images, float32 [N, H, W, 3], to bottlenecks, float32 [N, D]; made at its first use."""
        chosen = self.architecture
        if self.precision == FLOAT32:
            return network_function(self.part, self.engine, self.work)
        function = batch_function(self.graph_def, chosen.input_tensor, chosen.batch_tensor, self.precision)
        return lambda images: function(images).reshape(len(images), chosen.bottleneck_size)

    def with_work(self, paths: Sequence[str], n_images: int | None = None) -> "Backbone":
        """Return the same network for running it on some image files, `n_images` times; None is once each."""
        return dataclasses.replace(self, work=Work(paths, n_images))

    @property
    def part(self) -> NetworkPart:
        """The part of the graph that is run."""
        chosen = self.architecture
        return NetworkPart(self.graph_def, chosen.input_tensor, chosen.batch_tensor, chosen.input_spec)


def load_backbone(architecture: Architecture, graph_bytes: bytes, precision: str = FLOAT32) -> Backbone:
    """Parse the network's file, and check that it has the tensors of its architecture.

    Raises:
        ModelError: the bytes are no GraphDef, a tensor is missing, or the graph accesses files.
    """
    try:
        graph_def = parse_graph(graph_bytes, architecture.graph_file)
    except GraphError as error:
        raise ModelError(f"{error} {_cure(architecture)}") from error
    nodes = {node.name for node in graph_def.node}
    for tensor in (architecture.input_tensor, architecture.bottleneck_tensor, architecture.batch_tensor):
        if node_name(tensor) not in nodes:
            raise _another_network(architecture, f"it has no tensor {tensor}")
    accessing = {
        op for tensor in (architecture.bottleneck_tensor, architecture.batch_tensor) for op in file_ops(graph_def, tensor)
    }
    if accessing:
        raise _another_network(architecture, f"it has operations that can read or write files: {', '.join(sorted(accessing))}")
    shape = static_shape(graph_def, architecture.input_tensor)[1:3]
    expected = [architecture.input_spec.height, architecture.input_spec.width]
    if shape not in ([], [None, None], expected):
        raise _another_network(architecture, f"it takes images of {shape} pixels, not {expected}")
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
    if not architecture.archive:
        return "Install this project again."
    # The archive too: the same file would be unpacked from it again.
    return f"Delete {architecture.graph_file} and {architecture.archive} there, and run again to download a new copy."
