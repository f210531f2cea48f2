"""Helpers of the fuzz tests: trying many inputs and counting how each ended, and inputs made by damaging good ones."""

import dataclasses
import functools
import gzip
import io
import itertools
import json
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import PIL.Image
import tensorflow as tf
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.bottlenecks.cache import format_values
from retrain.errors import RetrainError
from retrain.export.frozen_graph import retrained_graph
from retrain.graphdef.description import NODE_NAME, Description
from retrain.options.flags import flags_of, kind_of

Input = TypeVar("Input")

MOST_EDITS = 6
# Positions are drawn as parts of this, so that one edit suits samples of any length.
WHOLE = 2**32
# Hypothesis likes small numbers; times this (Knuth's multiplicative hash) they fall everywhere, and not on the first bytes alone.
SPREAD = 2654435761
# What counts, sizes and signs turn over at.
ODD_BYTES = (b"\x00", b"\x01", b"\x7f", b"\x80", b"\xff", b"\xff\xff\xff\xff")


@dataclass
class Tally:
    """Outcomes of the inputs of one reader: its word for what it accepted, or the class of our own error."""

    ends: Counter[str] = field(default_factory=Counter)

    @property
    def tried(self) -> int:
        return self.ends.total()

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {end}" for end, count in self.ends.most_common())


def try_all(
    inputs: st.SearchStrategy[Input],
    read: Callable[[Input], str],
    errors: tuple[type[RetrainError], ...],
    examples: int,
    repeatable: bool,
    known: Iterable[Input] = (),
) -> Tally:
    """Pass each input to `read`, which checks what it got and returns a word for it, or raises one of `errors`.

    Whatever else is raised, a failed check or a bug, Hypothesis reduces to a small input and raises again.

    Args:
        inputs: drawn from.
        read: the reader and its checks.
        errors: the classes of our own errors that may come.
        examples: how many inputs to draw.
        repeatable: whether they are the same in each run.
        known: tried besides: what made trouble once.
    """
    tally = Tally()

    def one(value: Input) -> None:
        try:
            end = read(value)
        except errors as refusal:
            assert str(refusal).strip(), f"a {type(refusal).__name__} that says nothing"
            end = f"refused with {type(refusal).__name__}"
        tally.ends[end] += 1

    test = given(inputs)(one)
    for value in known:
        test = example(value)(test)
    quiet = settings(database=None, deadline=None, suppress_health_check=[*HealthCheck])
    settings(quiet, max_examples=examples, derandomize=repeatable)(test)()
    assert tally.tried >= examples, "Hypothesis found fewer inputs than it was asked for"
    return tally


def damaged(samples: Sequence[bytes], tokens: Sequence[bytes] = ODD_BYTES) -> st.SearchStrategy[bytes]:
    """Return a sample after some random edits: bytes changed, inserted, removed, cut off, or copied from another sample.

    `tokens` are pieces that the format gives a meaning to.
    """
    place = st.integers(1, WHOLE).map(lambda number: number * SPREAD % WHOLE)
    length = st.one_of(st.integers(1, 8), st.integers(1, 300))
    piece = st.one_of(st.sampled_from(tokens), st.binary(max_size=8))
    edit = st.one_of(
        st.tuples(st.just(_flip), place, st.integers(0, 7)),
        st.tuples(st.just(_overwrite), place, piece),
        st.tuples(st.just(_insert), place, piece),
        st.tuples(st.just(_delete), place, length),
        st.tuples(st.just(_splice), place, st.tuples(st.sampled_from(samples), place, length)),
        st.tuples(st.just(_cut_off), place, st.none()),
    )
    edits = st.one_of(edit.map(lambda one: [one]), st.lists(edit, max_size=MOST_EDITS))
    return st.builds(_edited, st.sampled_from(samples), edits)


def _edited(sample: bytes, edits: list[tuple[Callable[[bytes, int, Any], bytes], int, Any]]) -> bytes:
    for change, place, argument in edits:
        sample = change(sample, _position(sample, place), argument)
    return sample


def _position(sample: bytes, place: int) -> int:
    return len(sample) * place // WHOLE


def _flip(sample: bytes, at: int, bit: int) -> bytes:
    return sample[:at] + bytes(value ^ 1 << bit for value in sample[at : at + 1]) + sample[at + 1 :]


def _overwrite(sample: bytes, at: int, piece: bytes) -> bytes:
    return sample[:at] + piece + sample[at + len(piece) :]


def _insert(sample: bytes, at: int, piece: bytes) -> bytes:
    return sample[:at] + piece + sample[at:]


def _delete(sample: bytes, at: int, length: int) -> bytes:
    return sample[:at] + sample[at + length :]


def _splice(sample: bytes, at: int, source: tuple[bytes, int, int]) -> bytes:
    other, place, length = source
    start = _position(other, place)
    return sample[:at] + other[start : start + length] + sample[at:]


def _cut_off(sample: bytes, at: int, _: None) -> bytes:
    return sample[:at]


# Descriptions of graphs

DESCRIPTION = Description(("daisy", "roses"), "input:0", 4, 4, 127.5, 127.5, "final_result:0", "tiny")
ODD_NUMBERS: list[Any] = [None, True, 0, -1, 2**31, 10**30, 10**400, 5e-324, 1e300, float("nan"), float("inf")]
ODD_JSON = st.sampled_from([*ODD_NUMBERS, "", ":0", "a:1:2", "^a", "input:9999999999", "\ud800", [], [None], {}])
ANY_JSON = st.recursive(ODD_JSON | st.floats() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=3), max_leaves=5)
JSON_TOKENS = [*(mark.encode() for mark in '"[]{},:-'), b"null", b"NaN", b"1e999", b"\\ud800", b"\xff", b"[" * 5000, b"9" * 5000]
# What once ended in a traceback, or in scores that are no numbers.
TROUBLE: list[dict[str, Any]] = [
    {"input_mean": 10**400},
    {"input_mean": 1e300},
    {"input_std": 5e-324},
    {"input_height": 10**30},
    {"input_tensor": f"input:{10**20}"},
]


def described(values: dict[str, Any]) -> bytes:
    """Return the description of the tiny graph with some other values."""
    return json.dumps({**dataclasses.asdict(DESCRIPTION), **values}).encode()


def descriptions() -> st.SearchStrategy[bytes]:
    """Descriptions as JSON: damaged, with values replaced by others, or any JSON at all."""
    names = st.sampled_from([*dataclasses.asdict(DESCRIPTION)])
    changed = st.dictionaries(names, ANY_JSON, min_size=1, max_size=3).map(described)
    return st.one_of(damaged([described({})], JSON_TOKENS), changed, ANY_JSON.map(lambda value: json.dumps(value).encode()))


# Graphs

ODD_NAMES = ("", ":", "a:1", "^axes", "Mul", "DecodeJpeg/contents", "bottleneck:0", "no such node")
KINDS = ("Placeholder", "Const", "Identity", "Mean", "Reshape", "Conv2D", "Mul", "AddV2", "Rsqrt", "CheckNumerics", "DecodeJpeg")
RARE_KINDS = ("BatchNormWithGlobalNormalization", "Concat", "Switch", "Merge", "VariableV2", "ReadFile", "no such operation")


@functools.cache
def _exported() -> GraphDef:
    """As the exporter makes it, 2 KB: 4 × 4 pixels → their mean → a head of two classes."""
    network = GraphDef()
    pixels = network.node.add(name="input", op="Placeholder")
    pixels.attr["dtype"].type = tf.float32.as_datatype_enum
    pixels.attr["shape"].shape.ParseFromString(tf.TensorShape([None, 4, 4, 3]).as_proto().SerializeToString())
    axes = network.node.add(name="axes", op="Const")
    axes.attr["dtype"].type = tf.int32.as_datatype_enum
    axes.attr["value"].tensor.ParseFromString(tf.make_tensor_proto([1, 2]).SerializeToString())
    mean = network.node.add(name="bottleneck", op="Mean", input=["input", "axes"])
    mean.attr["T"].type, mean.attr["Tidx"].type = tf.float32.as_datatype_enum, tf.int32.as_datatype_enum
    weights, biases = np.eye(3, 2, dtype=np.float32), np.zeros(2, np.float32)
    return retrained_graph(network, "bottleneck:0", [(weights, biases)], "final_result", DESCRIPTION)


def tiny_graph(description: bytes | None) -> bytes:
    """Return the exported graph with that description of itself, or with none as the original's graphs."""
    graph = GraphDef()
    graph.CopyFrom(_exported())
    [node] = [node for node in graph.node if node.name == NODE_NAME]
    if description is None:
        graph.node.remove(node)
    else:
        node.attr["value"].tensor.string_val[0] = description
    return graph.SerializeToString()


@st.composite
def graphs(draw: st.DrawFn) -> bytes:
    """Return the tiny graph damaged, or changed in a way that leaves it a GraphDef: names, operations, inputs, attributes."""
    content = tiny_graph(draw(st.sampled_from([described({}), None])))
    if draw(st.booleans()):
        return draw(damaged([content]))
    graph = GraphDef.FromString(content)
    for _ in range(draw(st.sampled_from([1, 1, 2, 4]))):
        node, other = (graph.node[draw(st.integers(0, len(graph.node) - 1))] for _ in range(2))
        _change(draw, graph, node, other)
    return graph.SerializeToString()


def _change(draw: st.DrawFn, graph: GraphDef, node: Any, other: Any) -> None:
    names = st.sampled_from([*(each.name for each in graph.node), *ODD_NAMES])
    change, attributes = draw(st.integers(0, 6)), st.sampled_from(sorted(other.attr) or ["T"])
    if change == 0:
        node.name = draw(names)
    elif change == 1:
        node.op = draw(st.sampled_from(KINDS + RARE_KINDS))
    elif change == 2:
        node.input.insert(draw(st.integers(0, 2)), draw(names))
    elif change == 3:
        del node.input[draw(st.integers(0, 2)) :]
    elif change == 4:
        attribute = draw(attributes)
        node.attr[attribute].CopyFrom(other.attr[attribute])
    elif change == 5:
        node.attr.pop(draw(attributes), None)
    elif len(graph.node) > 1:
        graph.node.remove(node)


def circular_graph() -> bytes:
    """Two operations that wait for each other."""
    graph = GraphDef.FromString(tiny_graph(described({})))
    [node] = [node for node in graph.node if node.name == "final_training_ops/weights/final_weights/read"]
    other = graph.node.add(name="other", op="Identity", input=[node.name])
    other.attr["T"].CopyFrom(node.attr["T"])
    node.input[0] = "other"
    return graph.SerializeToString()


def graph_of(*kinds: tuple[str, str]) -> bytes:
    """Operations by name and kind, unconnected."""
    graph = GraphDef()
    for name, op in kinds:
        graph.node.add(name=name, op=op)
    return graph.SerializeToString()


# The cache

NUMBER_TOKENS = [*(mark.encode() for mark in ",-.e_0 \t\n[]\0"), b"E400", b"nan", b"inf", b"null", b"\xd9\xa1", b"9" * 400]


def number_lines() -> st.SearchStrategy[bytes]:
    """Damaged bottlenecks of four values, and other texts of the same characters."""
    rows = np.array([[0.25, 1e-7, 3.0, 0.0], [1.4e-45, -3.4e38, 0.1, 16777217]], np.float32)
    return st.one_of(
        damaged([*map(format_values, rows), b"0.5,1e0,.5,+2."], NUMBER_TOKENS),
        st.lists(st.sampled_from(NUMBER_TOKENS), max_size=12).map(b"".join),
        st.lists(st.floats() | st.integers(), max_size=6).map(lambda numbers: ",".join(map(repr, numbers)).encode()),
    )


# Command lines

ODD_VALUES = [
    "",
    " ",
    "-",
    "--",
    "--=",
    "=",
    "-h",
    "--help",
    "\n",
    "a\nb",
    "\ud800",
    "\0",
    "é",
    "%s",
    "%(prog)s",
    "@file",
    "[]",
    "None",
]
ODD_COUNTS = ["0", "1", "-1", "1.0", "1_0", "0x10", "１２", "4294967296", "9" * 5000, "1e400", "nan", "inf"]


def command_lines(config_class: type, required: list[str]) -> st.SearchStrategy[list[str]]:
    """Mostly what is needed, and then real flags with good and odd values, beginnings of flags, and values alone."""
    names = st.sampled_from([*flags_of(config_class)])
    texts = st.text(st.characters(exclude_categories=()), max_size=6)
    odd_values = st.one_of(st.sampled_from(ODD_VALUES + ODD_COUNTS), texts, st.integers().map(str), st.floats().map(repr))
    beginnings = st.builds(lambda name, length: f"--{name[:length]}", names, st.integers(0, 12))
    flags = st.one_of(names.map("--{}".format), beginnings)
    odd = st.one_of(st.builds("{}={}".format, flags, odd_values), flags, odd_values)
    good = names.flatmap(lambda name: _good_flags(config_class, name))
    return st.builds(
        lambda *parts: [*itertools.chain(*parts)],
        st.sampled_from([required, required, required, []]),
        st.lists(good, max_size=4),
        st.one_of(st.just([]), odd.map(lambda one: [one]), st.lists(odd, max_size=4)),
    )


def _good_flags(config_class: type, name: str) -> st.SearchStrategy[str]:
    """Return the flag with a value that is most likely allowed."""
    flag, kind = flags_of(config_class)[name], kind_of(config_class, name)
    if kind is bool:
        return st.just(f"--{name}")
    words = flag.choices or ("tiny_resnet_128", "a folder/a name", "1.0")
    values = st.sampled_from(words) if kind in (str, tuple) else st.sampled_from(["1", "07", " 3", "20", "1_0"])
    return values.map(f"--{name}={{}}".format)


# Archives

HEADER = 512  # Bytes before each file in a tar.
TAR_TOKENS = [b"0" * 11, b"7" * 11, b"\xff" * 12, b"\x80" + b"\0" * 11, b"L", b"K", b"x", b"g", b"S", b"1", b"2", b"5", b"7"]


def tar_of(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def pack(tar: bytes) -> bytes:
    return gzip.compress(tar, 1, mtime=0)


def tars(tar: bytes, name: str) -> st.SearchStrategy[bytes]:
    """Damage the tar anywhere, or in the header of its first file or of the file `name`, whose checksum is then corrected."""
    places = (0, tar.index(name.encode()))
    headers = damaged([tar[at : at + HEADER] for at in places], TAR_TOKENS).map(with_checksum)
    in_place = st.builds(lambda header, at: tar[:at] + header + tar[at + HEADER :], headers, st.sampled_from(places))
    return st.one_of(damaged([tar], TAR_TOKENS), in_place)


def with_checksum(header: bytes) -> bytes:
    """Return a header whose checksum is right (POSIX, ustar): its own eight bytes count as spaces."""
    header = header[:HEADER].ljust(HEADER, b"\0")
    return header[:148] + b"%06o\0 " % (sum(header[:148]) + sum(header[156:]) + 8 * ord(" ")) + header[156:]


def tar_of_long_names(tar: bytes) -> bytes:
    """In front of the files stand a thousand long names, each said to belong to what follows."""
    header = tar[:124] + b"%011o\0" % 2 + tar[136:156] + b"L" + tar[157:HEADER]
    return (with_checksum(header) + b"a".ljust(HEADER, b"\0")) * 1000 + tar


def tar_that_turns_back(tar: bytes) -> bytes:
    """Make the second file shorter than nothing by the length of its header, so that the header comes again (CVE-2025-8194)."""
    size = b"\xff" * 10 + b"\xfe\x00"
    header = with_checksum(tar[:124] + size + tar[136:HEADER])
    return tar[: 2 * HEADER] + header + tar[2 * HEADER :]


def tar_with_hole(tar: bytes, size: int) -> bytes:
    """Make the first file nothing but a hole of `size` bytes (GNU's sparse files)."""
    header = bytearray(tar[:HEADER])
    header[124:136] = b"%011o\0" % 0
    header[156:157] = b"S"
    header[386:410] = b"%011o\0" % 0 * 2
    header[483:495] = b"%011o\0" % size
    return with_checksum(bytes(header)) + bytes(2 * HEADER)


# Images


def pictures() -> list[bytes]:
    """Return a small picture in the formats that are read, as far as this Pillow writes them."""
    picture = PIL.Image.effect_mandelbrot((24, 20), (-2, -1, 1, 1), 20).convert("RGB")
    palette = picture.convert("P")
    wanted: list[tuple[PIL.Image.Image, str, dict[str, Any]]] = [
        (picture, "JPEG", {}),
        (picture, "JPEG", {"progressive": True}),
        (picture.convert("CMYK"), "JPEG", {}),
        (picture.convert("L"), "JPEG", {}),
        (picture, "PNG", {}),
        (palette, "PNG", {"transparency": 0}),
        (picture.convert("L").convert("I;16"), "PNG", {}),
        (picture.convert("RGBA"), "PNG", {}),
        (palette, "GIF", {"save_all": True, "append_images": [palette.rotate(90)]}),
        (picture, "BMP", {}),
        (palette, "BMP", {}),
        (picture, "WEBP", {}),
        (picture, "WEBP", {"lossless": True}),
        (picture, "TIFF", {}),
        (picture, "TIFF", {"compression": "tiff_lzw"}),
        (picture, "JPEG2000", {}),
        (picture, "TGA", {}),
        (picture, "PPM", {}),
        (picture, "ICO", {}),
    ]
    PIL.Image.init()
    encoded = []
    for image, kind, options in wanted:
        if kind in PIL.Image.SAVE:
            image.save(file := io.BytesIO(), kind, **options)
            encoded.append(file.getvalue())
    return encoded
