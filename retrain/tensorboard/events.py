"""TensorBoard summaries: scalars and histograms under the original's tags, and the graph."""

import contextlib
import os
import socket
import struct
import time
from collections.abc import Mapping
from typing import TypeAlias

import google_crc32c
import numpy as np
import numpy.typing as npt
import PIL.Image
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_STRING
from tensorboard.plugins.text.metadata import create_summary_metadata

from retrain.arrays import FloatArray, IndexArray
from retrain.errors import OutputError
from retrain.tensorboard.drawing import encoded

HISTOGRAM_BUCKETS = 30  # As TensorFlow 2's own histogram summaries.
EDGE_NUMBERS = np.arange(HISTOGRAM_BUCKETS + 1, dtype=np.float64)
FloatArray64: TypeAlias = npt.NDArray[np.float64]
LARGEST_SHOWN_CONSTANT = 16  # Values; TensorBoard shows no more of a constant.
# The Projector's files are deleted if they lie beside a configuration that begins with this line.
PROJECTOR_CONFIG, PROJECTOR_MARK = "projector_config.pbtxt", "# Written by retrain; its next run replaces this folder's files."
PROJECTOR_FILES = ("vectors.tsv", "metadata.tsv", "sprite.jpg", PROJECTOR_CONFIG)  # In the order of deletion.


def clear_summaries_dir(summaries_dir: str) -> None:
    """Delete the event files of an earlier run, and what it wrote for the Projector.

    Raises:
        OutputError: the folder holds any other file; nothing is deleted then.
    """
    events, projector = [], []
    for folder, _, names in os.walk(summaries_dir):
        ours = [name for name in PROJECTOR_FILES if name in names] if _is_our_projector(folder) else []
        projector += [os.path.join(folder, name) for name in ours]
        events += [os.path.join(folder, name) for name in names if name not in ours]
    for path in events:
        if not os.path.basename(path).startswith("events.out.tfevents."):
            raise OutputError(
                f"--summaries_dir {summaries_dir} would be emptied, but holds a file that is not TensorBoard's: {path}. "
                "Give another folder."
            )
    try:
        os.makedirs(summaries_dir, exist_ok=True)
        for path in (*events, *projector):
            os.unlink(path)  # The folders stay: another output of this run may go into one.
    except OSError as error:
        raise OutputError(f"--summaries_dir {summaries_dir} cannot be emptied and made ({error.strerror}).") from error


def _is_our_projector(folder: str) -> bool:
    try:
        with open(os.path.join(folder, PROJECTOR_CONFIG), encoding="utf-8", errors="replace") as file:
            return file.readline().rstrip() == PROJECTOR_MARK
    except OSError:
        return False


class SummaryWriter:
    """Writer of the summaries of one set (`train` or `validation`)."""

    def __init__(self, folder: str, first_step: int = 0) -> None:
        """Open an event file in `folder`, which is created if needed. Steps from `first_step` on in earlier files are discarded.

        Raises OSError, as the other methods do, if the folder cannot be written to.
        """
        os.makedirs(folder, exist_ok=True)
        # TensorBoard reads the files whose names have "tfevents", in the order of their names.
        name = f"events.out.tfevents.{time.time_ns() // 10**6}.{socket.gethostname()}.{os.getpid()}"
        self._path = os.path.join(folder, name)
        self._file = open(self._path, "xb")  # noqa: SIM115 - closed by close().
        self._add(Event(file_version="brain.Event:2"))
        if first_step:
            self._add(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def add_graph(self, graph_def: GraphDef) -> None:
        """Write the graph, without the values of its weights."""
        graph = without_large_constants(graph_def).SerializeToString()
        self._add(Event(graph_def=graph))

    def add_step(self, step: int, measures: Mapping[str, float], histograms: Mapping[str, HistogramProto]) -> None:
        """Write one step: scalars and histograms by tag."""
        values = [Summary.Value(tag=tag, simple_value=value) for tag, value in measures.items()]
        values += [Summary.Value(tag=tag, histo=value) for tag, value in histograms.items()]
        self._add(Event(step=step, summary=Summary(value=values)))

    def add_measures(self, step: int, measures: Mapping[str, float]) -> None:
        """Write scalars by tag."""
        self.add_step(step, measures, {})

    def add_image(self, step: int, tag: str, image: PIL.Image.Image, kind: str) -> None:
        """Write a picture, as a file of the kind `PNG` or `JPEG`."""
        value = Summary.Image(height=image.height, width=image.width, colorspace=3, encoded_image_string=encoded(image, kind))
        self._add(Event(step=step, summary=Summary(value=[Summary.Value(tag=tag, image=value)])))

    def add_text(self, step: int, tag: str, markdown: str) -> None:
        """Write a text, which TensorBoard shows as Markdown."""
        tensor = TensorProto(dtype=DT_STRING, string_val=[markdown.encode()])
        about = create_summary_metadata(display_name="", description="")
        self._add(Event(step=step, summary=Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=tensor)])))

    def add_summary(self, summary: Summary) -> None:
        """Write a summary of a TensorBoard plugin."""
        self._add(Event(summary=summary))

    def __enter__(self) -> "SummaryWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        with contextlib.suppress(OSError):  # Everything was written before, or its error was raised then.
            self._file.close()

    def _add(self, event: Event) -> None:
        """Write an event, and flush it, so that TensorBoard shows the training while it runs."""
        event.wall_time = time.time()
        try:
            self._file.write(record(event.SerializeToString()))
            self._file.flush()
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._path) from error


def record(data: bytes) -> bytes:
    """Return the data as a record of an event file: its length, the length's checksum, the data, their checksum.

    The format is TFRecord's (tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details"). TensorBoard's own writer
    computes the checksums in Python, which took longer than all else in an evaluation.
    """
    length = struct.pack("<Q", len(data))
    return length + _masked_checksum(length) + data + _masked_checksum(data)


def _masked_checksum(data: bytes) -> bytes:
    return struct.pack("<I", masked(google_crc32c.value(data)))


def masked(checksum: int) -> int:
    """Return a CRC-32C, rotated and shifted as TensorFlow's formats demand (tensorflow/core/lib/hash/crc32c.h, `Mask`)."""
    rotated = (checksum >> 15) | (checksum << 17)
    return (rotated + 0xA282EAD8) & 0xFFFFFFFF


def histogram(values: FloatArray) -> HistogramProto:
    """Return the histogram of values of any shape, in buckets of equal width; values that are not finite are left out."""
    finite = np.isfinite(values)
    flat = (values if finite.all() else values[finite]).ravel().astype(np.float64)
    if not flat.size:
        return HistogramProto(bucket_limit=[0], bucket=[0])
    low, high = float(flat.min()), float(flat.max())
    if low == high:  # A large number may have no other float near it for an edge.
        counts, edges = np.array([len(flat)]), np.array([low, low])
    else:
        counts, edges = _equal_width(flat, low, high)
    return HistogramProto(
        min=low,
        max=high,
        num=len(flat),
        sum=flat.sum(),
        sum_squares=flat @ flat,
        bucket_limit=edges[1:].tolist(),
        bucket=counts.tolist(),
    )


def activation_histograms(logits: FloatArray, probabilities: FloatArray) -> dict[str, HistogramProto]:
    """Return histograms of a batch's logits and probabilities, both float32 [N, C], under the original's tags."""
    return {"final_training_ops/Wx_plus_b/pre_activations": histogram(logits), "activations": histogram(probabilities)}


def _equal_width(values: FloatArray64, low: float, high: float) -> tuple[IndexArray, FloatArray64]:
    """Return the counts, int64 [30], and the edges, float64 [31], of `np.histogram`, at half its cost: it checks and plans more.

    An index that rounding put beside its bucket is corrected by the edges, as there.
    """
    edges = low + EDGE_NUMBERS * ((high - low) / HISTOGRAM_BUCKETS)
    edges[-1] = high
    indices = ((values - low) / (high - low) * HISTOGRAM_BUCKETS).astype(np.intp)
    last = HISTOGRAM_BUCKETS - 1
    np.minimum(indices, last, out=indices)
    indices -= values < edges[indices]
    indices += (values >= edges[indices + 1]) & (indices != last)
    return np.bincount(indices, minlength=HISTOGRAM_BUCKETS), edges


def without_large_constants(graph_def: GraphDef) -> GraphDef:
    """Return a copy without the values of weights: TensorBoard shows names and shapes, and 90 MB are slow to serve."""
    shown = GraphDef()
    shown.CopyFrom(graph_def)
    for node in shown.node:
        tensor = node.attr["value"].tensor if node.op == "Const" else None
        if tensor is not None and np.prod([size.size for size in tensor.tensor_shape.dim]) > LARGEST_SHOWN_CONSTANT:
            shape, kind = tensor.tensor_shape, tensor.dtype
            tensor.CopyFrom(type(tensor)(dtype=kind, tensor_shape=shape))
    return shown
