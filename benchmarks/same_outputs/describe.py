"""Files as lines of text that can be compared: everything that matters, nothing that differs from run to run."""

import csv
import fnmatch
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST_LINE = 2000  # Characters; longer lines with commas, such as bottlenecks, become a line for each value.
DESCRIPTION = "retrain_description"
# The Pareto front depends on the times of the networks.
SECONDS_COLUMNS = {"training_seconds", "seconds", "network_ms", "bottleneck_ms", "pareto_front"}
# Applied to what commands print, and to reports of times.
VARYING = tuple(
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?", "<time>"),
        (r"\b[\d.,]+ (images|steps)/s", r"<rate> \1/s"),
        (r"\b\d+(?:\.\d+)? ?(s|ms|seconds)\b", r"<number> \1"),
        (r"^\d+( of \d+ heads trained)", r"<number>\1"),  # Whichever process is ready first.
        (r'("(?:seconds|per_second)": )[^,\s}]+', r"\1<number>"),
    )
)


@dataclass(frozen=True)
class Side:
    """One checkout's part of a case: the folder that its commands wrote to, and the checkout."""

    folder: Path
    checkout: Path


def describe(path: Path, side: Side) -> list[str]:
    """Return the content of a file as lines; two files have the same lines exactly if they are to count as the same."""
    name = path.relative_to(side.folder).as_posix()
    reader = next(reader for pattern, reader in _READERS.items() if fnmatch.fnmatchcase(name, pattern))
    return reader(path, side)


def digest(data: bytes) -> str:
    """Return what stands for the bytes in a line."""
    return f"{len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()[:20]}"


def normalised(text: str, side: Side) -> str:
    """Return what a command printed, without paths of this very run, times and rates."""
    for path, shown in ((side.folder, "<folder>"), (side.checkout, "<checkout>")):
        for form in {str(path), str(path.resolve())}:
            text = text.replace(form, shown)
    for pattern, replacement in VARYING:
        text = pattern.sub(replacement, text)
    return text


def _printed(path: Path, side: Side) -> list[str]:
    lines = normalised(_decoded(path), side).splitlines()
    # The columns of a table are as wide as the times in them.
    return [re.sub(r" +", " ", re.sub(r"-+", "-", line)) if line.startswith("| ") else line for line in lines]


def _text(path: Path, side: Side) -> list[str]:
    text = _decoded(path)
    lines = [part for line in text.split("\n") for part in (line.split(",") if len(line) > LONGEST_LINE else [line])]
    return lines[:-1] if lines[-1] == "" else [*lines, "(no newline at the end)"]


def _decoded(path: Path) -> str:
    return path.read_bytes().decode("utf-8", errors="backslashreplace")


def _csv(path: Path, side: Side) -> list[str]:
    rows = list(csv.reader(io.StringIO(_decoded(path))))
    times = {column for column, head in enumerate(rows[0] if rows else []) if head in SECONDS_COLUMNS}
    return [
        str(["<number>" if number and at in times else cell for at, cell in enumerate(row)]) for number, row in enumerate(rows)
    ]


def _bytes(path: Path, side: Side) -> list[str]:
    return [digest(path.read_bytes())]


def _graph(path: Path, side: Side) -> list[str]:
    from google.protobuf.message import DecodeError
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    data = path.read_bytes()
    try:
        return [digest(data), *_graph_lines(GraphDef.FromString(data))]
    except DecodeError:
        return [digest(data)]


def _graph_lines(graph: Any) -> Iterable[str]:
    yield f"versions: {_one_line(graph.versions)}"
    yield f"library: {digest(graph.library.SerializeToString(deterministic=True))}"
    for node in graph.node:
        if node.name == DESCRIPTION and node.op == "Const":
            yield from _description_lines(node.attr["value"].tensor.string_val[0])
            continue
        attributes = "; ".join(f"{key}: {_attribute(node.attr[key])}" for key in sorted(node.attr))
        yield f"node {node.name}: {node.op}({', '.join(node.input)}) {{{attributes}}}"


def _description_lines(data: bytes) -> list[str]:
    """Return a line for each entry of the metadata of a graph."""
    return [f"{DESCRIPTION} {name}: {value!r}" for name, value in json.loads(data).items()]


def _description(path: Path, side: Side) -> list[str]:
    return _description_lines(path.read_bytes())


def _attribute(value: Any) -> str:
    if value.HasField("tensor"):
        tensor = value.tensor
        if len(tensor.string_val) == 1:
            return repr(tensor.string_val[0])
        shape = [size.size for size in tensor.tensor_shape.dim]
        return f"type {tensor.dtype} {shape}, {digest(tensor.SerializeToString(deterministic=True))}"
    text = _one_line(value)
    return text if len(text) < LONGEST_LINE else digest(text.encode())


def _one_line(message: Any) -> str:
    return re.sub(r"\s+", " ", str(message)).strip()


def _saved_model(path: Path, side: Side) -> list[str]:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    data = path.read_bytes()
    lines = [digest(data)]
    for meta in SavedModel.FromString(data).meta_graphs:
        lines += [f"tags: {list(meta.meta_info_def.tags)}"]
        lines += [f"signature {key}: {_one_line(meta.signature_def[key])}" for key in sorted(meta.signature_def)]
        lines += _graph_lines(meta.graph_def)
    return lines


def _fingerprint(path: Path, side: Side) -> list[str]:
    from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef

    fingerprint = FingerprintDef.FromString(path.read_bytes())
    fingerprint.ClearField("uuid")  # Random.
    return str(fingerprint).splitlines()


def _checkpoint(path: Path, side: Side) -> list[str]:
    import tensorflow as tf

    lines = [digest(path.read_bytes())]
    prefix = str(path).removesuffix(".index")
    if not Path(prefix + ".data-00000-of-00001").exists():
        return lines
    try:
        reader = tf.train.load_checkpoint(prefix)
        for name in sorted(reader.get_variable_to_shape_map()):
            lines.append(f"tensor {name}: {_array(reader.get_tensor(name))}")
    except (tf.errors.OpError, ValueError) as error:
        lines.append(f"cannot be read: {type(error).__name__}")
    return lines


def _array(values: Any) -> str:
    import numpy as np

    array = np.asarray(values)
    if array.size <= 4 or array.dtype == object:
        return f"{array.dtype} {array.shape} {array.tolist()!r}"
    data = digest(np.ascontiguousarray(array).tobytes())
    return f"{array.dtype} {array.shape} from {array.min()} to {array.max()}, {data}"


def _events(path: Path, side: Side) -> list[str]:
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    lines = []
    for data in RawEventFileLoader(str(path)).Load():
        event = Event.FromString(data)
        kind = event.WhichOneof("what")
        if kind == "summary":
            lines += [f"step {event.step}: {_value(value)}" for value in event.summary.value]
        elif kind == "graph_def":
            lines += [f"graph: {line}" for line in _graph_lines(GraphDef.FromString(event.graph_def))]  # Maps have no order.
        else:
            lines += [f"step {event.step}: {kind} {_one_line(getattr(event, kind)) if kind else ''}"]
    return lines


def _value(value: Any) -> str:
    kind = value.WhichOneof("value")
    if value.metadata.plugin_data.plugin_name == "hparams":
        return f"{value.tag} {_hparams(value.metadata.plugin_data.content)}"
    if kind == "simple_value":
        return f"{value.tag} = {'<number>' if value.tag in SECONDS_COLUMNS else repr(value.simple_value)}"
    if kind == "histo":
        histogram = value.histo
        about = f"min {histogram.min!r}, max {histogram.max!r}, num {histogram.num!r}, sum {histogram.sum!r}"
        return f"{value.tag} histogram, {about}, {digest(histogram.SerializeToString(deterministic=True))}"
    return f"{value.tag} {kind} {digest(value.SerializeToString(deterministic=True))}"


def _hparams(content: bytes) -> str:
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    data = HParamsPluginData.FromString(content)
    for part, field in (
        ("experiment", "time_created_secs"),
        ("session_start_info", "start_time_secs"),
        ("session_end_info", "end_time_secs"),
    ):
        if data.HasField(part):
            getattr(data, part).ClearField(field)
    parts = sorted(f"{key}={_one_line(value)}" for key, value in data.session_start_info.hparams.items())
    data.session_start_info.hparams.clear()  # The order of a map is no difference.
    return f"hparams {_one_line(data)} {parts}"


def _json(path: Path, side: Side) -> list[str]:
    text = normalised(_decoded(path), side)
    try:
        json.loads(_decoded(path))
    except ValueError:
        return [*text.splitlines(), "(no JSON)"]
    return text.splitlines()


# The first pattern that fits a file's path decides.
_READERS: dict[str, Callable[[Path, Side], list[str]]] = {
    "logs/*": _printed,
    "*events.out.tfevents.*": _events,
    "*saved_model.pb": _saved_model,
    "*fingerprint.pb": _fingerprint,
    "*.pb": _graph,
    "*.index": _checkpoint,
    "*retrain_description.json": _description,
    "*.json": _json,
    "*.csv": _csv,
    "*.jsonl": _text,
    "*.txt": _text,
    "*/checkpoint": _text,
    "*": _bytes,
}
