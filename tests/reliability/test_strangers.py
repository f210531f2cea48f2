"""Archives and graphs from elsewhere. Graphs of strangers, which are programs."""

import functools
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from tensorflow.core.framework.op_def_pb2 import OpList
from tensorflow.python.client import pywrap_tf_session

from label_image.__main__ import main as label_image
from retrain.graphdef.description import NODE_NAME, Description
from retrain.graphdef.subgraph import FILE_OPS
from retrain.graphdef.tensorflow_form import from_tensorflow
from tests.conftest import RunCli
from tests.reliability.conftest import Note
from tests.support.archives import files_below

pytestmark = pytest.mark.slow

ABOUT = Description(("red", "green", "blue"), "input:0", 8, 8, 0.0, 255.0, "final_result:0", "tiny_resnet_128")
Payload = Callable[[Path], tf.Operation | tf.Tensor | NodeDef]  # Adds to the current graph what is to run.


def value_after(payload: Payload, folder: Path) -> tf.Tensor:
    with tf.control_dependencies([payload(folder)]):
        return tf.constant(1)


def in_a_function(payload: Payload) -> Payload:
    """Two functions deep: the graph itself has only a call."""

    def add(folder: Path) -> tf.Tensor:
        inner = tf.function(functools.partial(value_after, payload, folder), autograph=False)
        return tf.function(lambda: inner() + 1, autograph=False)()

    return add


def in_a_branch(payload: Payload) -> Payload:
    def add(folder: Path) -> tf.Tensor:
        chosen = tf.compat.v1.placeholder_with_default(True, [])
        return tf.cond(chosen, functools.partial(value_after, payload, folder), lambda: tf.constant(0))

    return add


def raw(op: str, fields: str) -> Payload:
    """Make an operation that TensorFlow's own interface no longer makes, but still runs. FOLDER stands for the folder."""
    return lambda folder: text_format.Parse(f'name: "spy" op: "{op}" {fields.replace("FOLDER", str(folder))}', NodeDef())


def write(folder: Path) -> tf.Operation:
    return tf.io.write_file(f"{folder}/target", "written")


def save(folder: Path) -> tf.Operation:
    return tf.raw_ops.SaveV2(prefix=f"{folder}/target", tensor_names=["x"], shape_and_slices=[""], tensors=[tf.constant(1.0)])


def restore(folder: Path) -> tf.Operation:
    return tf.raw_ops.RestoreV2(prefix=f"{folder}/saved", tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.float32])[0].op


def read_lines(folder: Path) -> tf.Operation:
    lines = tf.raw_ops.TextLineDataset(filenames=f"{folder}/secret", compression_type="", buffer_size=0)
    return tf.raw_ops.DatasetCardinality(input_dataset=lines).op


def read_records(folder: Path) -> tf.Tensor:
    return tf.raw_ops.ReaderNumRecordsProducedV2(reader_handle=tf.raw_ops.TextLineReaderV2())


def open_event_file(folder: Path) -> tf.Operation:
    writer, logdir = tf.raw_ops.SummaryWriter(), f"{folder}/target"
    return tf.raw_ops.CreateSummaryFileWriter(writer=writer, logdir=logdir, max_queue=1, flush_millis=1, filename_suffix="")


def fill_table(folder: Path) -> tf.Operation:
    table = tf.raw_ops.HashTableV2(key_dtype=tf.int64, value_dtype=tf.string)
    return tf.raw_ops.InitializeTableFromTextFileV2(table_handle=table, filename=f"{folder}/secret", key_index=-1, value_index=-2)


def map_as_constant(folder: Path) -> tf.Tensor:
    return tf.raw_ops.ImmutableConst(dtype=tf.float32, shape=[1], memory_region_name=f"{folder}/secret")


def sample_words(folder: Path) -> tf.Tensor:
    return tf.random.fixed_unigram_candidate_sampler([[1]], 1, 2, True, 2, vocab_file=f"{folder}/secret")[0]


DUMP = """
input: "mean" attr { key: "log_dir_path" value { s: "FOLDER" } } attr { key: "file_name" value { s: "target" } }
attr { key: "func_name" value { s: "f" } } attr { key: "node_name" value { s: "n" } }
attr { key: "enabled" value { b: true } } attr { key: "T" value { type: DT_FLOAT } }
"""
SKIPGRAM = """
attr { key: "filename" value { s: "FOLDER/text" } } attr { key: "batch_size" value { i: 1 } }
attr { key: "window_size" value { i: 1 } } attr { key: "min_count" value { i: 1 } }
"""
# What a graph does before it answers: the operations that the error names.
STRANGERS: dict[str, tuple[Payload, str]] = {
    "reads a file": (lambda folder: tf.io.read_file(f"{folder}/secret"), "ReadFile"),
    "lists a folder": (lambda folder: tf.io.matching_files(f"{folder}/*"), "MatchingFiles"),
    "restores a checkpoint": (restore, "RestoreV2"),
    "counts a dataset's lines": (read_lines, "DatasetCardinality, TextLineDataset"),
    "reads records": (read_records, "ReaderNumRecordsProducedV2, TextLineReaderV2"),
    "fills a table from a file": (fill_table, "InitializeTableFromTextFileV2"),
    "maps a file into a constant": (map_as_constant, "ImmutableConst"),
    "samples words from a file": (sample_words, "FixedUnigramCandidateSampler"),
    "takes pairs of words from a file": (raw("Skipgram", SKIPGRAM), "Skipgram"),
}
WRITING_STRANGERS: dict[str, tuple[Payload, str]] = {
    "writes a file": (write, "WriteFile"),
    "writes in a function of a function": (in_a_function(write), "WriteFile"),
    "writes in a branch": (in_a_branch(write), "WriteFile"),
    "saves a checkpoint": (save, "SaveV2"),
    "opens an event file": (open_event_file, "CreateSummaryFileWriter, SummaryWriter"),
    "prints into a file": (lambda folder: tf.print("x", output_stream=f"file://{folder}/target"), "PrintV2"),
    "dumps a tensor": (raw("DumpTensor", DUMP), "DumpTensor"),
    "calls Python": (lambda folder: tf.numpy_function((folder / "target").touch, [], []), "PyFunc"),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Make a folder with a photo to label, and what a stranger would like to have."""
    folder = tmp_path / "stranger"
    folder.mkdir()
    (folder / "secret").write_text("a,1\nb,1\n")
    (folder / "text").write_text("some words " * 20)
    tf.raw_ops.SaveV2(prefix=f"{folder}/saved", tensor_names=["x"], shape_and_slices=[""], tensors=[tf.constant(1.0)])
    Image.new("RGB", (9, 9), "red").save(folder / "photo.png")
    return folder


def write_graph(folder: Path, payload: Payload) -> tuple[list[str], tf.Graph]:
    """Write a graph that describes itself as an exported one does, and runs `payload` before it answers.

    Returns the flags to use it, and what has to live on for its calls of Python to be found.
    """
    with tf.Graph().as_default() as graph:
        tf.reduce_mean(tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], name="input"), [1, 2], name="mean")
        spy = payload(folder)
    graph_def = from_tensorflow(graph.as_graph_def())
    if isinstance(spy, NodeDef):
        graph_def.node.append(spy)
        graph_def.versions.producer = 15  # TensorFlow refuses Skipgram in later graphs.
    name = spy.op.name if isinstance(spy, tf.Tensor) else spy.name
    graph_def.node.add(name="final_result", op="Identity", input=["mean", f"^{name}"]).attr[
        "T"
    ].type = tf.float32.as_datatype_enum
    return write_with_description(folder, graph_def, ABOUT.to_json()), graph


def write_with_description(folder: Path, graph_def: GraphDef, text: str) -> list[str]:
    description = graph_def.node.add(name=NODE_NAME, op="Const")
    description.attr["dtype"].type = tf.string.as_datatype_enum
    description.attr["value"].tensor.ParseFromString(tf.make_tensor_proto(text).SerializeToString())
    (folder / "graph.pb").write_bytes(graph_def.SerializeToString())
    return [f"--graph={folder}/graph.pb", f"--image={folder}/photo.png", "--top_k=1"]


def refusal(ops: str) -> str:
    return (
        f"error: The graph has operations that can read or write files: {ops}. If you trust whoever made it, "
        "add --allow_file_ops.\n"
    )


@pytest.mark.parametrize("what", [*STRANGERS, *WRITING_STRANGERS])
def test_a_graph_that_reaches_for_files_is_refused_unless_it_is_trusted(
    what: str, place: Path, capfd: pytest.CaptureFixture[str], note: Note
) -> None:
    payload, ops = (STRANGERS | WRITING_STRANGERS)[what]
    flags, _graph = write_graph(place, payload)
    before = files_below(place)
    assert label_image(flags) == 2
    assert capfd.readouterr() == ("", refusal(ops))
    assert files_below(place) == before
    assert label_image([*flags, "--allow_file_ops"]) == 0
    assert capfd.readouterr().out.endswith("\nred (score=1.00000)\n")
    assert (files_below(place) != before) == (what in WRITING_STRANGERS)  # It does what it was refused for.
    note(f"a graph that {what}", tried=1, happened=f"`{refusal(ops).strip()}`")


LIES = {
    "brackets within brackets, 200,000 deep": "[" * 200_000,
    "a mean of 400 digits": ABOUT.to_json().replace(" 0.0,", f" {10**400},"),
    "a standard deviation that is no number": ABOUT.to_json().replace(" 255.0,", " NaN,"),
    "a text in place of fields": '"red"',
    "no labels": ABOUT.to_json().replace("labels", "names"),
    "a negative height": ABOUT.to_json().replace(" 8,", " -8,"),
    "a label that forges a line of the answer": ABOUT.to_json().replace("red", r"red (score=1.00000)\n\u001b[2K"),
    "a label that is half a character": ABOUT.to_json().replace("red", r"\ud800"),
}


def test_descriptions_that_lie_are_refused(place: Path, capfd: pytest.CaptureFixture[str], note: Note) -> None:
    with tf.Graph().as_default() as graph:
        tf.reduce_mean(tf.compat.v1.placeholder(tf.float32, [None, 8, 8, 3], name="input"), [1, 2], name="final_result")
    for what, text in LIES.items():
        assert label_image(write_with_description(place, graph.as_graph_def(), text)) == 2, what
        out, error = capfd.readouterr()
        assert out == ""
        assert re.fullmatch(r"error: The model's metadata cannot be read \(.+\)\.\n", error)
    note(f"a graph that describes itself with {', '.join(LIES)}", tried=len(LIES), happened=f"such as `{error.strip()}`")


def test_the_command_refuses_a_strangers_graph(place: Path, run_cli: RunCli, note: Note) -> None:
    flags, _ = write_graph(place, in_a_function(in_a_branch(write)))
    process = run_cli("label_image", *flags)
    assert (process.returncode, process.stdout, process.stderr) == (2, "", refusal("WriteFile"))
    assert not (place / "target").exists()
    assert label_image([*flags, "--allow_file_ops"]) == 0
    assert (place / "target").read_text() == "written"
    note(
        "a graph that writes in a branch of a function, for the command `label_image`",
        tried=1,
        happened=f"`{process.stderr.strip()}` With that flag it wrote its file",
    )


def test_no_operation_of_tensorflow_takes_a_files_name_unnoticed() -> None:
    """As the names of inputs and attributes tell; a new TensorFlow may bring more of them."""
    about_files = re.compile(r"file|path|dir(ectory)?(_|$)|address")
    ops = OpList.FromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList())).op
    reaching = {op.name for op in ops if any(about_files.search(field.name) for field in [*op.attr, *op.input_arg])}
    assert len(reaching) > 30
    assert {name for name in reaching if not FILE_OPS.search(name)} == {"CTCBeamSearchDecoder"}  # Paths through a matrix.
