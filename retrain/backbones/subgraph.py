"""The part of a graph that is needed, and whether it reaches outside."""

import re
from collections.abc import Iterable

from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef

from retrain.backbones.rewrite import node_name
from retrain.errors import GraphError

# Kinds of operations that reach outside the graph: files, checkpoints, event files, datasets, other processes, Python itself;
# and one that ends the program.
FILE_OPS = re.compile(
    r"File|Record|Save|Restore|Checkpoint|PyFunc|Reader|Print|Debug|Summary|Dataset|LMDB|Rpc|Dump|Iterator|ImportEvent|Abort"
    r"|ImmutableConst|LoadAndRemap|VocabRemapping|DecodeProto|EncodeProto|FixedUnigram|Skipgram|XlaCallModule|RemoteCall|TRT"
    r"|^Copy(Host)?$"
)


def subgraph(graph_def: GraphDef, outputs: Iterable[str]) -> GraphDef:
    """A copy of the graph with only the nodes that `outputs` (names of nodes) are computed from, in the same order.

    Raises:
        GraphError: an operation is used that the graph does not have.
    """
    cut = GraphDef(versions=graph_def.versions, library=graph_def.library)
    cut.node.extend(_needed(graph_def, outputs))
    return cut


def file_ops(graph_def: GraphDef, output_tensor: str) -> list[str]:
    """The kinds of operations, sorted, that reach for files, Python or the network, of all that `output_tensor` is computed from.

    Raises:
        GraphError: an operation is used that the graph does not have.
    """
    in_functions = (node for function in graph_def.library.function for node in function.node_def)
    nodes = [*_needed(graph_def, [node_name(output_tensor)]), *in_functions]
    return sorted({node.op for node in nodes if FILE_OPS.search(node.op)})


def _needed(graph_def: GraphDef, outputs: Iterable[str]) -> list[NodeDef]:
    nodes = {node.name: node for node in graph_def.node}
    needed: set[str] = set()
    waiting = list(outputs)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            if name not in nodes:
                raise GraphError(f"The graph is cut off: it uses an operation {name} that it does not have.")
            waiting.extend(node_name(text) for text in nodes[name].input)
    return [node for node in graph_def.node if node.name in needed]
