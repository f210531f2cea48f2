"""Names and nodes of a GraphDef."""


def node_name(tensor: str) -> str:
    """`pool_3:0` → `pool_3`; also a node's input as written in a GraphDef, `^name` for a control dependency."""
    return tensor.lstrip("^").split(":", 1)[0]


def tensor_name(name: str) -> str:
    """`Mul` → `Mul:0`; a name with an output number stays."""
    return name if ":" in name else f"{name}:0"
