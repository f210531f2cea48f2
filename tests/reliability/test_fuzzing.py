"""Fuzzing.

Each reader gets good inputs that were then damaged at random, and some made from nothing. It has to end with what the input
really says, or with an error of our own. Whatever else it does is a failure, which Hypothesis reduces to a small input.
"""

import dataclasses
import gzip
import io
import json
import re
import struct
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image
from tensorboard.compat.proto.graph_pb2 import GraphDef

from label_image.__main__ import TEXTS as LABEL_TEXTS
from label_image.classify import classify
from label_image.config import ClassifierOptions, LabelConfig
from label_image.opening import open_classifier
from label_image.settings import with_settings, write_settings
from retrain.__main__ import TEXTS as RETRAIN_TEXTS
from retrain.arrays import FloatArray
from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.bottlenecks.cache import BottleneckCache, Stale, parse_values
from retrain.config import RetrainConfig
from retrain.data.decode import image_from_bytes, image_from_file
from retrain.data.image_list import read_list
from retrain.data.image_lists import LabelledImage
from retrain.data.orientation import orientation_of
from retrain.errors import CheckpointError, FlagError, GraphError, ImageError, ImageFolderError, ModelError, RetrainError
from retrain.graphdef.description import Description
from retrain.graphdef.nodes import node_name
from retrain.head.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from retrain.input_spec import InputSpec
from retrain.options.command_line import build_parser, from_namespace
from retrain.options.flags import check, flags_of, kind_of
from retrain.runtimes.tflite_metadata import metadata_bytes, read_metadata, with_labels
from scripts.evaluate import EvaluateConfig
from scripts.make_flowers import FlowersConfig
from tests.reliability import fuzz as make
from tests.reliability.conftest import Note

pytestmark = pytest.mark.slow

Fuzz = Callable[..., make.Tally]
ACCEPTED = "accepted"
AS_PYTHON = "read as Python's float() reads it"


@pytest.fixture
def fuzz(long: bool, note: Note) -> Fuzz:
    """Return a function that tries many inputs on a reader, the same in each quick run, and records how they ended."""

    def run(
        fault: str,
        inputs: st.SearchStrategy[Any],
        read: Callable[[Any], str],
        error: type[RetrainError] | None,
        often: int = 20_000,
        known: Iterable[Any] = (),
    ) -> make.Tally:
        examples = often if long else min(300, often // 50)
        tally = make.try_all(inputs, read, (error,) if error else (), examples, repeatable=not long, known=known)
        assert len(tally.ends) > 1, f"these inputs show little: {tally}"
        note(fault, tried=tally.tried, happened=str(tally))
        return tally

    return run


# Labels and descriptions


def test_labels(fuzz: Fuzz, tmp_path: Path) -> None:
    graph, labels = tmp_path / "graph.pb", tmp_path / "labels.txt"
    graph.write_bytes(make.tiny_graph(None))

    def read(content: bytes) -> str:
        labels.write_bytes(content)
        found = open_classifier(str(graph), ClassifierOptions(labels=str(labels))).description.labels
        is_utf_16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        lines = re.split("\r\n|\r|\n", content.decode("utf-16" if is_utf_16 else "utf-8-sig"))
        while lines and not lines[-1]:
            lines.pop()
        lines = [line.strip(" ") or line for line in lines]
        are_numbered = all(line.startswith(f"{number} ") for number, line in enumerate(lines))
        assert found == tuple(line.split(" ", 1)[1] if are_numbered else line for line in lines)
        return ACCEPTED

    samples = [b"daisy\nroses\n", "Gänseblümchen\r\n雛菊\r\n".encode()]
    tokens = [b"\n", b"\r", b"\r\n", b"\0", b"\xff\xfe", "\u2028".encode(), b"\xed\xa0\x80"]
    fuzz("a damaged labels file", make.damaged(samples, tokens), read, GraphError)


def check_description(found: Description, text: bytes) -> None:
    """Assert that it says what the JSON says, and can be used."""
    stated = json.loads(text)
    assert found.labels == tuple(label.strip(" ") or label for label in map(str, stated["labels"]))
    for name in ("input_height", "input_width", "input_mean", "input_std"):
        assert getattr(found, name) == stated[name]
    assert all(0 < size < 2**31 for size in (found.input_height, found.input_width)), "TensorFlow counts pixels in an int32"
    with np.errstate(over="ignore"):
        assert np.isfinite(np.array([found.input_mean, 1 / found.input_std], np.float32)).all()


def test_descriptions(fuzz: Fuzz) -> None:
    def read(text: bytes) -> str:
        found = Description.from_json(text)
        check_description(found, text)
        assert Description.from_json(found.to_json()) == found
        return ACCEPTED

    known = [b"[" * 5000, *map(make.described, make.TROUBLE)]
    fuzz("a damaged description of a graph", make.descriptions(), read, GraphError, known=known)


def test_graphs_with_such_descriptions(fuzz: Fuzz, tmp_path: Path) -> None:
    path = tmp_path / "graph.pb"

    def read(text: bytes) -> str:
        path.write_bytes(make.tiny_graph(text))
        check_description(open_classifier(str(path), ClassifierOptions()).description, text)
        return ACCEPTED

    fuzz("a graph with such a description", make.descriptions(), read, GraphError)


# Graphs


def test_graphs(fuzz: Fuzz, tmp_path: Path) -> None:
    path, labels = tmp_path / "graph.pb", tmp_path / "labels.txt"
    labels.write_text("daisy\nroses\n", encoding="utf-8")

    def read(content: bytes) -> str:
        path.write_bytes(content)
        graph = open_classifier(str(path), ClassifierOptions(labels=str(labels)))
        names = {node.name for node in GraphDef.FromString(content).node}
        assert {node_name(graph.description.input_tensor), node_name(graph.description.output_tensor)} <= names
        return ACCEPTED

    known = [make.graph_of((name, "Placeholder"), ("final_result", "Const")) for name in ("a:1", "^a", "")]
    fuzz("a damaged graph, opened", make.graphs(), read, GraphError, known=known)


def test_labelling_with_damaged_graphs(fuzz: Fuzz, tmp_path: Path) -> None:
    path, photo = tmp_path / "graph.pb", tmp_path / "photo.png"
    Image.new("RGB", (6, 5), (200, 90, 10)).save(photo)

    def read(content: bytes) -> str:
        path.write_bytes(content)
        graph = open_classifier(str(path), ClassifierOptions())
        if graph.description.input_height * graph.description.input_width > 2**20:
            return "not run, as the input would be large"
        failed: dict[str, str] = {}
        answers = classify(graph, [str(photo)], 2, failed)
        assert len(answers) + len(failed) == 1
        return "gave an answer" if answers else "could not read the photo"

    known = [make.circular_graph(), *(make.tiny_graph(make.described(values)) for values in make.TROUBLE)]
    fuzz("a damaged graph, used to label a photo", make.graphs(), read, GraphError, often=2_000, known=known)


# The cache


def parsed(text: bytes) -> FloatArray | None:
    """Return what Python's float() makes of it; None if it refuses a part."""
    try:
        numbers = [float(part) for part in text.split(b",")]
    except ValueError:
        return None
    with np.errstate(over="ignore"):
        return np.array(numbers, np.float64).astype(np.float32)


def test_numbers(fuzz: Fuzz) -> None:
    def read(text: bytes) -> str:
        found, expected = parse_values(text), parsed(text)
        if expected is None:
            assert found is None or found.size == 0
            return "refused"
        assert found is not None
        np.testing.assert_array_equal(found, expected)
        return AS_PYTHON

    fuzz("a damaged line of numbers", make.number_lines(), read, None)


def open_cache(folder: Path) -> BottleneckCache:
    return BottleneckCache(str(folder / "cache"), "tiny", 4, "network 1")


@pytest.fixture
def image(tmp_path: Path) -> LabelledImage:
    """Make an image whose bottleneck is in the cache, by its own writer."""
    path = tmp_path / "daisy" / "a.jpg"
    path.parent.mkdir()
    path.write_bytes(b"content of a photo")
    labelled = LabelledImage(str(path), "daisy", "a.jpg", 0, "training")
    open_cache(tmp_path).keep([labelled], np.array([[0.25, 1e-7, 3.0, 0.0]], np.float32), [path.stat().st_mtime_ns])
    return labelled


def test_the_caches_two_files(fuzz: Fuzz, image: LabelledImage, tmp_path: Path) -> None:
    """A good line may be refused for its record, and one without a record is as the original's; but no number is made up."""
    index, line = (tmp_path / "cache" / "daisy" / name for name in (".index_tiny.jsonl", "a.jpg_tiny.txt"))
    whole = index.read_bytes(), line.read_bytes()
    tokens = [b'"a.jpg"', b'"network 1"', b"null", b"{}", b"[", b"]", b",", b"\n", b"-1", b"1e400", b"9" * 30, b"\\ud800"]

    def read(contents: tuple[bytes, bytes]) -> str:
        index.write_bytes(contents[0])
        line.write_bytes(contents[1])
        found = open_cache(tmp_path).read(image)
        if isinstance(found, Stale):
            return f"to be made again: {found.value}"
        expected = parsed(contents[1])
        assert expected is not None and np.isfinite(found).all() and found.shape == (4,) and found.dtype == np.float32
        np.testing.assert_array_equal(found, expected)
        return AS_PYTHON

    records = make.damaged([whole[0], whole[0] * 3], tokens)
    lines = make.number_lines()
    inputs = st.one_of(st.tuples(records, lines), st.tuples(st.just(whole[0]), lines), st.tuples(records, st.just(whole[1])))
    tally = fuzz("a damaged cache: the numbers, their record, or both", inputs, read, None, known=[whole])
    assert tally.ends["to be made again: unreadable"] and tally.ends[AS_PYTHON]


# Flags

COMMANDS: dict[str, tuple[type, dict[str, str], list[str]]] = {
    "retrain": (RetrainConfig, RETRAIN_TEXTS, ["--image_dir=photos"]),
    "label_image": (LabelConfig, LABEL_TEXTS, ["--image=photo.jpg"]),
    "scripts.evaluate": (EvaluateConfig, {}, ["graph.pb"]),
    "scripts.make_flowers": (FlowersConfig, {}, []),
}


def shown(config: Any) -> list[str]:
    """Return the command line that says all that a configuration says."""
    argv = []
    for name in flags_of(type(config)):
        value = getattr(config, name)
        if kind_of(type(config), name) is bool:
            argv += [f"--{name}"] * value
        elif value is not None:
            argv += [f"--{name}={part}" for part in (value if isinstance(value, tuple) else [value])]
    return argv


def check_typed(config: Any, argv: Sequence[str]) -> None:
    """Every value is the default, or was typed."""
    typed = [text for arg in argv for text in (arg, arg.partition("=")[2])]
    for field in dataclasses.fields(config):
        value, kind = getattr(config, field.name), kind_of(type(config), field.name)
        for part in value if isinstance(value, tuple) else [value]:
            if part != field.default and kind is not bool:
                assert any(is_same(text, part) for text in typed), f"--{field.name} is {part!r}, which nobody typed"


def is_same(text: str, value: str | float) -> bool:
    if isinstance(value, str):
        return text.lower() == value.lower()
    try:
        return type(value)(text) == value
    except ValueError:
        return False


@pytest.mark.parametrize("command", COMMANDS)
def test_command_lines(command: str, fuzz: Fuzz, capsys: pytest.CaptureFixture[str]) -> None:
    config_class, texts, required = COMMANDS[command]
    positional = [arg for arg in required if not arg.startswith("--")]

    def parse(argv: Sequence[str]) -> Any:
        parser = build_parser(config_class, **texts)
        for _ in positional:
            parser.add_argument("graph")
        return from_namespace(config_class, parser.parse_args(argv))

    def read(argv: list[str]) -> str:
        try:
            config = parse(argv)
        except SystemExit as end:
            capsys.readouterr()
            assert end.code == 0
            return "printed the help"
        check(config)
        check_typed(config, argv)
        assert parse([*positional, *shown(config)]) == config
        return ACCEPTED

    lines = make.command_lines(config_class, required)
    known = [[*required, f"--{name}=--"] for name in flags_of(config_class)]
    fuzz(f"a random command line of {command}", lines, read, FlagError, known=known)


# Archives, images, checkpoints

MOBILENET = find_architecture("mobilenet_0.50_224")  # The SHA-256 of its archive is not known.
NETWORK = b"the network: " + bytes(range(256)) * 8
TAR = make.tar_of({"LICENSE": b"free", MOBILENET.graph_file: NETWORK, "x/" * 70: b""})
RIGHT_BYTES = "gave the right bytes"


def test_archives(fuzz: Fuzz, tmp_path: Path) -> None:
    archive, unpacked = tmp_path / MOBILENET.archive, tmp_path / MOBILENET.graph_file

    def read(content: bytes) -> str:
        archive.write_bytes(content)
        unpacked.unlink(missing_ok=True)
        try:
            found = read_graph_file(MOBILENET, str(tmp_path))
        except ModelError:
            assert {path.name for path in tmp_path.rglob("*")} <= {archive.name, unpacked.parent.name}, "something was unpacked"
            raise
        assert unpacked.read_bytes() == found
        assert len(found) <= len(gzip.decompress(content)), "a file that is longer than the tar around it"
        return RIGHT_BYTES if found == NETWORK else "gave what the tar says"

    tally = fuzz("an archive of a network, damaged after it was packed", make.damaged([make.pack(TAR)]), read, ModelError)
    assert "gave what the tar says" not in tally.ends, "gzip's checksum shows every damage"
    alone = make.tar_of({MOBILENET.graph_file: b""})
    bombs = [make.tar_of_long_names(TAR), make.tar_that_turns_back(TAR), make.tar_with_hole(alone, 1 << 26)]
    inputs = make.tars(TAR, MOBILENET.graph_file).map(make.pack)
    fuzz("an archive of a network, damaged before it was packed", inputs, read, ModelError, known=map(make.pack, [TAR, *bombs]))


def test_images(fuzz: Fuzz, tmp_path: Path) -> None:
    path, spec = tmp_path / "photo", InputSpec(9, 7, 127.5, 127.5)

    def read(content: bytes) -> str:
        path.write_bytes(content)
        pixels = image_from_file(str(path), spec)
        assert pixels.shape == (9, 7, 3) and pixels.dtype == np.float32
        assert (np.abs(pixels) < 1.0001).all(), "grey levels are 0 to 255"
        return "decoded"

    tally = fuzz("a damaged photo", make.damaged(make.pictures()), read, ImageError, often=3_000, known=make.pictures())
    assert tally.ends["decoded"] >= len(make.pictures())


def test_checkpoints(fuzz: Fuzz, tmp_path: Path) -> None:
    rng, prefix = np.random.default_rng(0), tmp_path / "head"
    weights, biases = rng.normal(size=(5, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    write_checkpoint(str(prefix), Checkpoint([weights, biases], 7, 3, "flowers"))
    index, data = prefix.with_name("head.index"), prefix.with_name("head.data-00000-of-00001")
    whole = index.read_bytes(), data.read_bytes()

    def read(contents: tuple[bytes, bytes]) -> str:
        index.write_bytes(contents[0])
        data.write_bytes(contents[1])
        found = read_checkpoint(str(prefix))
        assert found
        np.testing.assert_array_equal(found.variables[0], weights)
        np.testing.assert_array_equal(found.variables[1], biases)
        assert (found.step, found.random_seed, found.identity) == (7, 3, "flowers")
        return "gave the right weights"

    indices, values = make.damaged(whole[:1]), make.damaged(whole[1:])
    either = st.one_of(st.tuples(indices, st.just(whole[1])), st.tuples(st.just(whole[0]), values))
    fuzz("a damaged checkpoint, read by --resume", either, read, CheckpointError, often=2_000, known=[whole])


# Tables of images, EXIF, the standard metadata of TensorFlow Lite, settings beside graphs


def test_tables(fuzz: Fuzz, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    path = tmp_path / "photos.csv"

    def read(content: bytes) -> str:
        path.write_bytes(content)
        photos = read_list(str(path), "folder", multi_label=True)
        assert photos and all(photo.labels and photo.hashed and ".." not in photo.folder.split("/") for photo in photos)
        return ACCEPTED

    samples = [
        b"path,label,set,group\na.jpg,cat|dog,training,1\n",
        "path\tlabel\na.jpg\tGänseblümchen\n".encode("utf-16"),
        b"a.jpg;x\n",
    ]
    tokens = [b"\n", b"\r", b"\0", b",", b"|", b'"', b"..", b"/", b"\xff\xfe", b"\xed\xa0\x80", b"testing"]
    fuzz("a damaged table of images", make.damaged(samples, tokens), read, ImageFolderError, often=10_000)


def test_exif(fuzz: Fuzz) -> None:
    spec = InputSpec(8, 8, 0.0, 1.0, exif_orientation="apply")
    exif = Image.Exif()
    exif[0x0112] = 6
    samples = []
    for kind in ("JPEG", "PNG", "WEBP"):
        file = io.BytesIO()
        Image.new("RGB", (9, 7), (200, 90, 10)).save(file, kind, exif=exif)
        samples.append(file.getvalue())

    def read(content: bytes) -> str:
        assert 1 <= orientation_of(content) <= 8
        assert image_from_bytes(content, spec).shape == (8, 8, 3)
        return ACCEPTED

    fuzz(
        "a photo with damaged EXIF", make.damaged(samples, [b"Exif\0\0", b"\x01\x12", b"\0" * 9]), read, ImageError, often=10_000
    )


def test_metadata_of_tensorflow_lite(fuzz: Fuzz) -> None:
    about = Description(("daisy", "roses"), "input:0", 8, 8, 127.5, 127.5, "final_result:0", "a network")
    model = with_labels(b"a model", about.labels)

    def read(content: bytes) -> str:
        try:
            found = read_metadata(content, model)
        except (ValueError, struct.error, IndexError, TypeError, OverflowError) as error:  # Which the reader of models expects.
            raise GraphError(str(error)) from error
        assert found.labels in (None, about.labels) and (found.levels is None or np.isfinite(found.levels).all())
        return ACCEPTED

    fuzz(
        "damaged metadata of TensorFlow Lite",
        make.damaged([metadata_bytes(about)], [b"\0\0\0\0"]),
        read,
        GraphError,
        often=10_000,
    )


def test_settings(fuzz: Fuzz, tmp_path: Path) -> None:
    graph = tmp_path / "graph.pb"
    graph.write_bytes(make.tiny_graph(make.described({})))
    path = Path(write_settings(str(graph), {"input_mean": 1.0, "resize": "crop", "input_layer": "input"}))

    def read(content: bytes) -> str:
        path.write_bytes(content)
        with_settings(str(graph), ClassifierOptions())
        return ACCEPTED

    samples, tokens = [path.read_bytes()], [b"null", b"-1", b"1e999", b"[", b"{", b'"']
    fuzz("damaged settings beside a graph", make.damaged(samples, tokens), read, GraphError, often=10_000)
