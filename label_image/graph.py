"""Opens any graph made by retraining, and finds out its input, its output and its labels."""

import dataclasses
import difflib
import os
from collections.abc import Iterable
from typing import Any

from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef

from retrain.arrays import BatchFunction
from retrain.errors import GraphError, ModelError
from retrain.graphdef.description import NODE_NAME, TENSOR_NAME, Description
from retrain.graphdef.known_inputs import JPEG_CONTENTS, KNOWN_INPUTS, stated_size
from retrain.graphdef.nodes import node_name, tensor_name
from retrain.graphdef.run import batch_function, parse_graph, read_graph
from retrain.graphdef.subgraph import file_ops

DEFAULT_OUTPUT = "final_result"


@dataclasses.dataclass(frozen=True)
class Overrides:
    """What the user says of the graph; None where the graph is to say it."""

    input_layer: str | None = None
    input_height: int | None = None
    input_width: int | None = None
    input_mean: float | None = None
    input_std: float | None = None
    output_layer: str | None = None
    labels: str | None = None
    allow_file_ops: bool = False


@dataclasses.dataclass(frozen=True)
class LabelledGraph:
    """A graph and all that is needed to use it.

    Attributes:
        graph_def: the graph.
        description: its labels, input and output; what the user said is worked in.
    """

    graph_def: GraphDef
    description: Description

    @property
    def takes_file_bytes(self) -> bool:
        """Whether the input is an image file's content, which the graph itself decodes, and not pixels."""
        return _node(self.graph_def, self.description.input_tensor).name == JPEG_CONTENTS

    def network(self) -> BatchFunction:
        """float32 [B, H, W, 3] → float32 [B, C]."""
        return batch_function(self.graph_def, self.description.input_tensor, self.description.output_tensor)


def open_graph(path: str, overrides: Overrides) -> LabelledGraph:
    """Reads a graph and its labels.

    Raises:
        GraphError: the file is missing or holds no graph; a named layer is not in the graph; the input, the output or the
            labels are not known; the graph reaches for files.
    """
    graph_def = read_graph(path)
    return labelled_graph(path, graph_def, _stated_description(graph_def), overrides)


def parsed_graph(path: str, data: bytes, overrides: Overrides) -> LabelledGraph:
    """As `open_graph`, of a file that has been read already."""
    try:
        graph_def = parse_graph(data, path)
    except ModelError as error:
        raise GraphError(str(error)) from error
    return labelled_graph(path, graph_def, _stated_description(graph_def), overrides)


def labelled_graph(path: str, graph_def: GraphDef, stated: Description | None, overrides: Overrides) -> LabelledGraph:
    """As `open_graph`, of a graph and its description that are there already; `path` is where labels are looked for."""
    input_tensor = _layer("input_layer", overrides.input_layer or _stated(stated, "input_tensor"), graph_def)
    output_tensor = _layer("output_layer", overrides.output_layer or _stated(stated, "output_tensor"), graph_def)
    described = stated if stated and input_tensor == tensor_name(stated.input_tensor) else None
    if not overrides.allow_file_ops:
        _refuse_file_ops(graph_def, output_tensor)
    numbers = _input_numbers(graph_def, input_tensor, described, overrides)
    labels = labels_of(path, overrides.labels, stated)
    architecture, note = (stated.architecture, stated.note) if stated else ("", "")
    description = Description(labels, input_tensor, **numbers, output_tensor=output_tensor, architecture=architecture, note=note)
    return LabelledGraph(graph_def, description)


def _refuse_file_ops(graph_def: GraphDef, output_tensor: str) -> None:
    reaching = file_ops(graph_def, output_tensor)
    if reaching:
        raise GraphError(
            f"The graph has operations that can read or write files: {', '.join(reaching)}. If you trust whoever made it, "
            "add --allow_file_ops."
        )


def _stated_description(graph_def: GraphDef) -> Description | None:
    for node in graph_def.node:
        if node.name == NODE_NAME and node.op == "Const":
            return Description.from_json(b"".join(node.attr["value"].tensor.string_val))
    return None


def _stated(description: Description | None, field: str) -> str | None:
    return getattr(description, field) if description else None


def _layer(flag: str, name: str | None, graph_def: GraphDef) -> str:
    """The tensor of a layer that was named, or else is recognised."""
    names = {node.name for node in graph_def.node if TENSOR_NAME.fullmatch(node.name) and ":" not in node.name}
    if name is None:
        candidates = [each for each in _candidates(flag, graph_def) if each in names]
        known = [*KNOWN_INPUTS] if flag == "input_layer" else [DEFAULT_OUTPUT]
        recognised = [each for each in known if each in names] or candidates
        if len(recognised) == 1 or recognised[:1] == ["Mul"]:
            return tensor_name(recognised[0])
        found = f"It could be: {', '.join(recognised)}" if recognised else "None was found"
        what = flag.split("_", maxsplit=1)[0]
        raise GraphError(f"The graph does not say which of its operations is its {what}. {found}. Name it with --{flag}.")
    if node_name(name) not in names:
        likely = [*dict.fromkeys([*_candidates(flag, graph_def), *difflib.get_close_matches(node_name(name), names)])]
        could = (
            f"It could be: {', '.join(likely)}." if likely else f"It has {len(names)} operations; scripts.count_ops lists them."
        )
        raise GraphError(f"--{flag}: the graph has no operation named {node_name(name)}. {could}")
    return tensor_name(name)


def _candidates(flag: str, graph_def: GraphDef) -> list[str]:
    """Names that could be meant: places to feed, or results that nothing else uses."""
    if flag == "input_layer":
        return [
            node.name
            for node in graph_def.node
            if node.op == "Placeholder" or node.name in KNOWN_INPUTS or node.name == JPEG_CONTENTS
        ]
    used = {node_name(text) for node in graph_def.node for text in node.input}
    return [n.name for n in graph_def.node if n.name not in used and n.op not in ("Const", "Placeholder", "NoOp")]


def _input_numbers(graph_def: GraphDef, input_tensor: str, described: Description | None, overrides: Overrides) -> dict[str, Any]:
    """Height, width, mean and standard deviation: from the user, else from the description, else as recognised."""
    node = _node(graph_def, input_tensor)
    if node.name == JPEG_CONTENTS:
        return {"input_height": 1, "input_width": 1, "input_mean": 0.0, "input_std": 1.0}  # The graph sees to it.
    height, width = stated_size(node)
    mean, std = KNOWN_INPUTS.get(node.name, (None, None))
    recognised = {"input_height": height, "input_width": width, "input_mean": mean, "input_std": std}
    numbers: dict[str, Any] = {}
    for name, value in recognised.items():
        stated = getattr(described, name) if described else value
        given = getattr(overrides, name)
        numbers[name] = stated if given is None else given
        if numbers[name] is None:
            raise GraphError(f"The graph does not say what its input looks like. Give it with --{name}.")
        if given is not None and name in ("input_height", "input_width") and value not in (None, given):
            raise GraphError(f"--{name} must be {value}, the size that the graph's input {node.name} has. Got {given}.")
    return numbers


def labels_of(graph_path: str, labels_path: str | None, stated: Description | None) -> tuple[str, ...]:
    """From the user's file, else from the description, else from the file beside the graph. Raises GraphError."""
    if labels_path is None and stated:
        return stated.labels
    if labels_path is None:
        folder, name = os.path.split(graph_path)
        labels_path = os.path.join(folder, os.path.splitext(name.replace("graph", "labels"))[0] + ".txt")
        if not os.path.isfile(labels_path):
            raise GraphError(
                f"The graph does not say what its labels are, and there is no {labels_path}. Give them with --labels."
            )
    try:
        with open(labels_path, encoding="utf-8") as file:
            return _without_blank_end(line.rstrip("\r\n") for line in file)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise GraphError(f"--labels {labels_path} cannot be read ({reason}).") from error


def _without_blank_end(lines: Iterable[str]) -> tuple[str, ...]:
    labels = list(lines)
    while labels and not labels[-1]:
        labels.pop()
    return tuple(labels)


def _node(graph_def: GraphDef, tensor: str) -> NodeDef:
    for node in graph_def.node:
        if node.name == node_name(tensor):
            return node
    raise GraphError(f"The graph has no operation named {node_name(tensor)}. Name its input with --input_layer.")
