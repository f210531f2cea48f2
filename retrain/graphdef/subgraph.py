"""The part of a graph that an output is computed from, and the operations in it that access files."""

import re
from collections.abc import Iterable

from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef

from retrain.errors import GraphError
from retrain.graphdef.nodes import node_name

# Kinds of operations that access something outside the graph: files, checkpoints, event files, datasets, other processes, Python
# itself; and one that ends the program.
FILE_OPS = re.compile(
    r"File|Record|Save|Restore|Checkpoint|PyFunc|Reader|Print|Debug|Summary|Dataset|LMDB|Rpc|Dump|Iterator|ImportEvent|Abort"
    r"|ImmutableConst|LoadAndRemap|VocabRemapping|DecodeProto|EncodeProto|FixedUnigram|Skipgram|XlaCallModule|RemoteCall|TRT"
    r"|^Copy(Host)?$"
)


def subgraph(graph_def: GraphDef, outputs: Iterable[str]) -> GraphDef:
    """Return a copy of the graph with only the nodes that `outputs` (names of nodes) are computed from, in the same order.

    Raises:
        GraphError: the graph uses an operation that it does not have, or its operations form a cycle.
    """
    cut = GraphDef(versions=graph_def.versions, library=graph_def.library)
    cut.node.extend(_needed(graph_def, outputs))
    return cut


def file_ops(graph_def: GraphDef, output_tensor: str) -> list[str]:
    """Return the kinds of operations that access files, Python or the network and that `output_tensor` is computed from, sorted.

    Raises:
        GraphError: the graph uses an operation that it does not have.
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
                raise GraphError(f"The graph is incomplete: it uses an operation {name} that it does not have.")
            waiting.extend(node_name(text) for text in nodes[name].input)
    chosen = [node for node in graph_def.node if node.name in needed]
    _check_no_cycle(chosen)
    return chosen


def _check_no_cycle(nodes: list[NodeDef]) -> None:
    """Raise GraphError if operations form a cycle. In a loop there is a Merge, which needs one of its inputs only."""
    inputs = {node.name: {node_name(text) for text in node.input if not node.op.endswith("Merge")} for node in nodes}
    users: dict[str, list[str]] = {name: [] for name in inputs}
    for name, names in inputs.items():
        for each in names:
            users[each].append(name)
    ready = [name for name, names in inputs.items() if not names]
    for done in ready:  # Grows meanwhile.
        for user in users[done]:
            inputs[user].discard(done)
            if not inputs[user]:
                ready.append(user)
    if len(ready) < len(inputs):
        raise GraphError("The graph is damaged: its operations form a cycle.")
