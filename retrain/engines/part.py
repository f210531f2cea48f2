"""The part of a graph that an engine runs, and the text that identifies it."""

import functools
import hashlib
from dataclasses import dataclass

from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.graphdef.nodes import find_node, node_name
from retrain.graphdef.portable import portable
from retrain.graphdef.subgraph import subgraph
from retrain.input_spec import InputSpec

RESHAPING = ("Reshape", "Squeeze", "Identity")  # Operations that leave the values of an image as they are, in the same order.


@dataclass(frozen=True)
class NetworkPart:
    """The part of a graph from images to one vector for each.

    Attributes:
        graph_def: the graph; never changed.
        input_tensor: takes float32 [N, H, W, 3].
        output_tensor: its values are reshaped to [N, D].
        spec: the input settings; only height and width matter here.
    """

    graph_def: GraphDef
    input_tensor: str
    output_tensor: str
    spec: InputSpec

    @functools.cached_property
    def output(self) -> str:
        """Tensor that is computed: the output, or what is only reshaped to it, perhaps to a batch of one image."""
        tensor = self.output_tensor
        while (node := find_node(self.graph_def, node_name(tensor))) and node.op in RESHAPING and node.input:
            tensor = node.input[0]
        return tensor if ":" in tensor else f"{tensor}:0"

    @functools.cached_property
    def cut(self) -> GraphDef:
        """The nodes that the output is computed from, without attributes that are the runtime's own."""
        cut = subgraph(self.graph_def, [node_name(self.output)])
        for node in cut.node:
            for note in [key for key in node.attr if key.startswith("_")]:
                del node.attr[note]
        return cut

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of all that the part's values depend on besides the images.

        It is the same for a network and for an exported graph with the same network in it.
        """
        cut = portable(self.cut)
        nodes = GraphDef(library=cut.library)
        nodes.node.extend(cut.node)
        digest = hashlib.sha256(nodes.SerializeToString(deterministic=True))
        ends = (node_name(self.input_tensor), self.output, self.spec.height, self.spec.width)
        digest.update(repr(ends).encode())
        return digest.hexdigest()
