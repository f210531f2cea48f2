"""The standard metadata of TensorFlow Lite files, which MediaPipe's and the Task Library's classifiers read.

A flatbuffer under the name `TFLITE_METADATA` says how pixels are scaled and which file holds the labels; that file is in a ZIP
archive behind the model. Source: metadata_schema.fbs of TensorFlow Lite's metadata, version 1.4. The numbers below are the
positions of the fields in its tables.
"""

import io
import zipfile
import zlib
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
from flatbuffers.table import Table

from retrain.graphdef.description import Description

ENTRY = "TFLITE_METADATA"
IDENTIFIER, MIN_PARSER_VERSION = b"M001", "1.0.0"
MODEL_NAME, MODEL_SUBGRAPHS, MODEL_MIN_PARSER_VERSION, MODEL_SIZE = 0, 3, 7, 8
SUBGRAPH_INPUTS, SUBGRAPH_OUTPUTS, SUBGRAPH_SIZE = 2, 3, 10
TENSOR_NAME, TENSOR_CONTENT, TENSOR_UNITS, TENSOR_STATS, TENSOR_FILES, TENSOR_SIZE = 0, 3, 4, 5, 6, 7
CONTENT_KIND, CONTENT_PROPERTIES, CONTENT_SIZE = 0, 1, 3
FEATURE, IMAGE = 1, 2  # Of the union ContentProperties.
IMAGE_COLOURS, IMAGE_SIZE, RGB = 0, 2, 1
UNIT_KIND, UNIT_OPTIONS, UNIT_SIZE, NORMALIZATION = 0, 1, 2, 1
NORMALIZATION_MEAN, NORMALIZATION_STD, NORMALIZATION_SIZE = 0, 1, 2
STATS_MAX, STATS_MIN, STATS_SIZE = 0, 1, 2
FILE_NAME, FILE_KIND, FILE_SIZE = 0, 2, 5
AXIS_LABELS, VALUE_LABELS = 2, 3  # Of the enum AssociatedFileType.
LABELS_FILE = "labels.txt"
MOST_ENTRIES = 16  # Of any list in the metadata that is looked at.
MOST_LABEL_BYTES = 16 << 20
EARLIEST = (1980, 1, 1, 0, 0, 0)  # Of a ZIP archive: the same labels are the same bytes at any time.


@dataclass(frozen=True)
class StandardMetadata:
    """Content of the standard metadata that a classifier needs.

    Attributes:
        labels: one for each class; None if there are none.
        levels: pixel mean and pixel standard deviation; None if they are missing or differ between colours.
    """

    labels: tuple[str, ...] | None = None
    levels: tuple[float, float] | None = None


def metadata_bytes(description: Description) -> bytes:
    """Return the standard metadata of a classifier."""
    builder = flatbuffers.Builder(1024)
    spec = description.input_spec
    lowest, highest = sorted((level - spec.mean) / spec.std for level in (0, 255))
    units = _vector(builder, [_normalization(builder, spec.mean, spec.std)])
    image = _table(builder, IMAGE_SIZE, bytes_at={IMAGE_COLOURS: RGB})
    source = _tensor(builder, "image", (IMAGE, image), (lowest, highest), {TENSOR_UNITS: units})
    file = _table(builder, FILE_SIZE, offsets={FILE_NAME: builder.CreateString(LABELS_FILE)}, bytes_at={FILE_KIND: AXIS_LABELS})
    files = _vector(builder, [file])
    scores = _tensor(builder, "probability", (FEATURE, _table(builder, 0)), (0, 1), {TENSOR_FILES: files})
    ends = {SUBGRAPH_INPUTS: _vector(builder, [source]), SUBGRAPH_OUTPUTS: _vector(builder, [scores])}
    subgraphs = _vector(builder, [_table(builder, SUBGRAPH_SIZE, offsets=ends)])
    about = {
        MODEL_NAME: builder.CreateString(description.architecture or "classifier"),
        MODEL_SUBGRAPHS: subgraphs,
        MODEL_MIN_PARSER_VERSION: builder.CreateString(MIN_PARSER_VERSION),
    }
    builder.Finish(_table(builder, MODEL_SIZE, offsets=about), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def with_labels(model: bytes, labels: tuple[str, ...]) -> bytes:
    """Return the file with the archive of its labels behind it. The offsets in the archive count from the file's beginning."""
    file = io.BytesIO(model)
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        entry = zipfile.ZipInfo(LABELS_FILE, EARLIEST)
        entry.create_system = 3  # Else it depends on the system.
        archive.writestr(entry, "\n".join(labels).encode())
    return file.getvalue()


def read_metadata(metadata: bytes, model: bytes) -> StandardMetadata:
    """Read the standard metadata of a file.

    Args:
        metadata: the flatbuffer.
        model: the whole file.

    Raises:
        ValueError, struct.error, IndexError, TypeError, OverflowError: it is damaged.
    """
    if metadata[4:8] != IDENTIFIER:
        return StandardMetadata()
    root = Table(metadata, flatbuffers.encode.Get(flatbuffers.packer.uoffset, metadata, 0))
    subgraph = next(iter(_tables(root, MODEL_SUBGRAPHS)), None)
    if subgraph is None:
        return StandardMetadata()
    source = next(iter(_tables(subgraph, SUBGRAPH_INPUTS)), None)
    output = next(iter(_tables(subgraph, SUBGRAPH_OUTPUTS)), None)
    return StandardMetadata(_labels(output, model) if output else None, _levels(source) if source else None)


def _levels(source: Table) -> tuple[float, float] | None:
    for unit in _tables(source, TENSOR_UNITS):
        at = unit.Offset(_slot(UNIT_KIND))
        if at and unit.Get(flatbuffers.number_types.Uint8Flags, unit.Pos + at) == NORMALIZATION:
            options = _table_at(unit, UNIT_OPTIONS)
            mean, std = (_floats(options, each) for each in (NORMALIZATION_MEAN, NORMALIZATION_STD)) if options else ([], [])
            if len(set(mean)) == 1 and len(set(std)) == 1 and std[0] > 0 and np.isfinite([mean[0], std[0]]).all():
                return mean[0], std[0]
    return None


def _labels(output: Table, model: bytes) -> tuple[str, ...] | None:
    for file in _tables(output, TENSOR_FILES):
        kind_at, name_at = file.Offset(_slot(FILE_KIND)), file.Offset(_slot(FILE_NAME))
        kind = file.Get(flatbuffers.number_types.Int8Flags, file.Pos + kind_at) if kind_at else 0
        if kind in (AXIS_LABELS, VALUE_LABELS) and name_at:
            name = file.String(file.Pos + name_at).decode()
            return tuple(_archived(model, name).decode("utf-8-sig").rstrip("\r\n").replace("\r\n", "\n").split("\n"))
    return None


def _archived(model: bytes, name: str) -> bytes:
    """Return a file of the archive behind the model. Raises ValueError if there is none, or it is damaged."""
    try:
        with zipfile.ZipFile(io.BytesIO(model)) as archive, archive.open(name) as file:
            return file.read(MOST_LABEL_BYTES)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError, zlib.error, OSError) as error:
        raise ValueError(f"its labels, {name}, cannot be read") from error


# Tables of a flatbuffer: https://flatbuffers.dev/internals


def _slot(number: int) -> int:
    return 4 + 2 * number


def _table_at(table: Table, number: int) -> Table | None:
    at = table.Offset(_slot(number))
    return Table(table.Bytes, table.Indirect(table.Pos + at)) if at else None


def _tables(table: Table, number: int) -> list[Table]:
    at = table.Offset(_slot(number))
    if not at:
        return []
    start = table.Vector(at)
    count = min(table.VectorLen(at), MOST_ENTRIES)
    return [Table(table.Bytes, table.Indirect(start + 4 * index)) for index in range(count)]


def _floats(table: Table, number: int) -> list[float]:
    at = table.Offset(_slot(number))
    if not at:
        return []
    start, count = table.Vector(at), min(table.VectorLen(at), MOST_ENTRIES)
    return [float(table.Get(flatbuffers.number_types.Float32Flags, start + 4 * index)) for index in range(count)]


def _table(builder: Any, size: int, offsets: dict[int, int] | None = None, bytes_at: dict[int, int] | None = None) -> int:
    """Write a table of `size` fields: offsets of what was written before, and numbers of one byte, by position."""
    builder.StartObject(size)
    for number, offset in (offsets or {}).items():
        builder.PrependUOffsetTRelativeSlot(number, offset, 0)
    for number, value in (bytes_at or {}).items():
        builder.PrependUint8Slot(number, value, 0)
    written: int = builder.EndObject()
    return written


def _vector(builder: Any, offsets: list[int]) -> int:
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    written: int = builder.EndVector()
    return written


def _normalization(builder: Any, mean: float, std: float) -> int:
    mean_at, std_at = (builder.CreateNumpyVector(np.array([value], np.float32)) for value in (mean, std))
    options = _table(builder, NORMALIZATION_SIZE, offsets={NORMALIZATION_MEAN: mean_at, NORMALIZATION_STD: std_at})
    return _table(builder, UNIT_SIZE, offsets={UNIT_OPTIONS: options}, bytes_at={UNIT_KIND: NORMALIZATION})


def _tensor(builder: Any, name: str, content: tuple[int, int], limits: tuple[float, float], further: dict[int, int]) -> int:
    """Write the metadata of a tensor: kind and offset of its properties, its least and greatest value, and more fields."""
    kind, properties = content
    least, greatest = (builder.CreateNumpyVector(np.array([value], np.float32)) for value in limits)
    fields = {
        TENSOR_NAME: builder.CreateString(name),
        TENSOR_CONTENT: _table(builder, CONTENT_SIZE, offsets={CONTENT_PROPERTIES: properties}, bytes_at={CONTENT_KIND: kind}),
        TENSOR_STATS: _table(builder, STATS_SIZE, offsets={STATS_MAX: greatest, STATS_MIN: least}),
    }
    return _table(builder, TENSOR_SIZE, offsets=fields | further)
