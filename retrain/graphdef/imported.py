"""Graphs that were saved after TensorFlow had imported them: all their names begin with `import/`."""

from tensorboard.compat.proto.graph_pb2 import GraphDef

PREFIX = "import/"
COLOCATED = b"loc:@"  # In the attribute `_class`, before the name of another operation.


def without_prefix(graph_def: GraphDef) -> GraphDef:
    """Return the graph with the names that it had before it was imported; the graph itself if that is not how it was saved."""
    while graph_def.node and all(node.name.startswith(PREFIX) for node in graph_def.node):
        renamed = GraphDef()
        renamed.CopyFrom(graph_def)
        for node in renamed.node:
            node.name = plain_name(node.name)
            node.input[:] = [f"^{plain_name(text[1:])}" if text.startswith("^") else plain_name(text) for text in node.input]
            if "_class" in node.attr:
                places = node.attr["_class"].list.s
                places[:] = [place.replace(COLOCATED + PREFIX.encode(), COLOCATED) for place in places]
        graph_def = renamed
    return graph_def


def plain_name(name: str) -> str:
    """Return a layer's name without the prefix, with which the tutorial's programs name layers."""
    return name.removeprefix(PREFIX)
