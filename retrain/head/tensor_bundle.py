"""TensorFlow's checkpoint format ("V2", a tensor bundle), written and read without TensorFlow.

`<prefix>.data-00000-of-00001` holds the values of all tensors, one after another; `<prefix>.index`
is a table in LevelDB's format (its doc/table_format.md) from each name to a BundleEntryProto: type, shape, offset, size and
checksum (tensorflow/core/protobuf/tensor_bundle.proto, tensorflow/core/util/tensor_bundle/tensor_bundle.cc).
"""

import math
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt

from retrain.tensorboard.events import masked

TABLE_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
FOOTER_BYTES = 48
TRAILER = struct.Struct("<BI")  # After each block: how it is compressed, 0 for not at all, and its masked checksum.
RESTART_INTERVAL = 16  # Keys share a prefix with the one before, except each sixteenth.
HEADER = b"\x08\x01\x1a\x02\x08\x01"  # BundleHeaderProto: one data file, little-endian, version 1.
STRING = 7
# DataType, by NumPy's name of it.
TYPES = {
    "float32": 1,
    "float64": 2,
    "int32": 3,
    "uint8": 4,
    "int16": 5,
    "int8": 6,
    "int64": 9,
    "bool": 10,
    "uint16": 17,
    "float16": 19,
    "uint32": 22,
    "uint64": 23,
}
NAMES = {number: name for name, number in TYPES.items()}

Tensors = Mapping[str, "npt.NDArray[Any] | np.generic | str"]


def bundle_bytes(tensors: Tensors) -> tuple[bytes, bytes]:
    """Return the content of the index and of the data file; for types in TYPES and single texts, the bytes TensorFlow writes."""
    data, entries = bytearray(), {"": HEADER}
    for name, values in tensors.items():
        kind, shape, stored, checksum = _text(values) if isinstance(values, str) else _numbers(np.asarray(values))
        entries[name] = _entry(kind, shape, len(data), len(stored), checksum)
        data += stored
    return _table(dict(sorted(entries.items()))), bytes(data)


def read_bundle(index: bytes, data: bytes) -> dict[str, "npt.NDArray[Any] | str"]:
    """Return the tensors of a checkpoint of one data file; a text for a tensor of one string.

    Raises:
        ValueError: it is damaged, as a checksum tells, or has a tensor of another type.
    """
    try:
        return {name: _tensor(value, data) for name, value in _rows(index) if name}
    except (IndexError, struct.error, KeyError, OverflowError, TypeError, MemoryError) as error:
        raise ValueError(f"the checkpoint is damaged ({type(error).__name__})") from error


def _numbers(values: npt.NDArray[Any]) -> tuple[int, tuple[int, ...], bytes, int]:
    stored = values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes()
    return TYPES[values.dtype.name], values.shape, stored, google_crc32c.value(stored)


def _text(text: str) -> tuple[int, tuple[int, ...], bytes, int]:
    """Store one string: its length, the length's checksum, and itself."""
    encoded = text.encode()
    of_length = google_crc32c.value(struct.pack("<I", len(encoded)))
    check = struct.pack("<I", masked(of_length))
    checksum = google_crc32c.extend(google_crc32c.extend(of_length, check), encoded)
    return STRING, (), _varint(len(encoded)) + check + encoded, checksum


def _entry(kind: int, shape: tuple[int, ...], offset: int, size: int, checksum: int) -> bytes:
    """Return a BundleEntryProto. Fields with the value 0 are left out."""
    dims = b"".join(b"\x12" + _prefixed(_field(1, length)) for length in shape)
    parts = [_field(1, kind), b"\x12" + _prefixed(dims), _field(4, offset), _field(5, size)]
    return b"".join(parts) + b"\x35" + struct.pack("<I", masked(checksum))


def _field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value) if value else b""


def _prefixed(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _varint(value: int) -> bytes:
    """Return a number in groups of 7 bits, the lowest first; the eighth bit tells that another group follows."""
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def _table(entries: Mapping[str, bytes]) -> bytes:
    """Return a table of one data block: a checkpoint of a head has a few tensors."""
    blocks = [_block(entries), _block({})]
    handle = _varint(0) + _varint(len(blocks[0]) - TRAILER.size)
    successor = chr(ord(max(entries)[0]) + 1) if max(entries) else ""  # The shortest text that is not before any key.
    blocks.append(_block({successor: handle}))
    metaindex, index = len(blocks[0]), len(blocks[0]) + len(blocks[1])
    handles = b"".join(
        _varint(start) + _varint(len(block) - TRAILER.size) for start, block in ((metaindex, blocks[1]), (index, blocks[2]))
    )
    return b"".join(blocks) + handles.ljust(FOOTER_BYTES - len(TABLE_MAGIC), b"\0") + TABLE_MAGIC


def _block(entries: Mapping[str, bytes]) -> bytes:
    block, restarts, before = bytearray(), [0], b""
    for number, (name, value) in enumerate(entries.items()):
        key = name.encode()
        shared = 0
        if number % RESTART_INTERVAL:
            shared = next((i for i, (a, b) in enumerate(zip(before, key, strict=False)) if a != b), min(len(before), len(key)))
        elif number:
            restarts.append(len(block))
        block += _varint(shared) + _varint(len(key) - shared) + _varint(len(value)) + key[shared:] + value
        before = key
    block += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    return bytes(block) + TRAILER.pack(0, masked(google_crc32c.value(bytes(block) + b"\0")))


def _rows(table: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the keys and values of a table, whatever its number of blocks."""
    footer = table[-FOOTER_BYTES:]
    if not footer.endswith(TABLE_MAGIC):
        raise ValueError("the checkpoint's index is no table")
    position = 0
    handles = []
    for _ in range(4):
        value, position = _read_varint(footer, position)
        handles.append(value)
    for _, handle in _block_rows(table, handles[2], handles[3]):
        start, position = _read_varint(handle, 0)
        size, _ = _read_varint(handle, position)
        yield from ((key.decode(), value) for key, value in _block_rows(table, start, size))


def _block_rows(table: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    block = table[start : start + size]
    compression, checksum = TRAILER.unpack_from(table, start + size)
    if compression:
        raise ValueError("the checkpoint's index is compressed")
    if masked(google_crc32c.value(block + b"\0")) != checksum:
        raise ValueError("a checksum of the checkpoint's index does not match")
    [n_restarts] = struct.unpack("<I", block[-4:])
    end, position, key = len(block) - 4 * (n_restarts + 1), 0, b""
    while position < end:
        shared, position = _read_varint(block, position)
        own, position = _read_varint(block, position)
        length, position = _read_varint(block, position)
        key = key[:shared] + block[position : position + own]
        position += own
        yield key, block[position : position + length]
        position += length


def _tensor(entry: bytes, data: bytes) -> "npt.NDArray[Any] | str":
    fields = _fields(entry)
    kind, offset, size = (int(fields.get(number, 0)) for number in (1, 4, 5))
    shape = [int(_fields(dim).get(1, 0)) for dim in fields.get(2, {}).get("dims", [])]
    stored = data[offset : offset + size]
    if fields.get(3, 0) or 7 in fields:
        raise ValueError("the checkpoint has several data files, or parts of tensors")
    if kind == STRING:
        return _read_text(stored, shape, fields[6])
    if len(stored) != size or masked(google_crc32c.value(stored)) != fields[6]:
        raise ValueError("a checksum of the checkpoint's values does not match")
    values = np.frombuffer(stored, np.dtype(NAMES[kind]).newbyteorder("<"))
    if len(values) != math.prod(shape):
        raise ValueError("the shape of a tensor is not that of its values")
    return values.reshape(shape).astype(NAMES[kind])


def _read_text(stored: bytes, shape: list[int], checksum: int) -> str:
    length, position = _read_varint(stored, 0)
    text = stored[position + 4 :]
    if shape or len(text) != length:
        raise ValueError("a tensor of texts is not one text")
    _, _, expected, found = _text(text.decode())
    if expected != stored or masked(found) != checksum:
        raise ValueError("a checksum of the checkpoint's text does not match")
    return text.decode()


def _fields(message: bytes) -> dict[int, Any]:
    """Return the fields of a BundleEntryProto by number: integers, and of the shape, field 2, its `dims` as messages."""
    found: dict[int, Any] = {}
    position = 0
    while position < len(message):
        tag, position = _read_varint(message, position)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            found[number], position = _read_varint(message, position)
        elif wire == 5:
            [found[number]] = struct.unpack_from("<I", message, position)
            position += 4
        elif wire == 2:
            length, position = _read_varint(message, position)
            part = message[position : position + length]
            position += length
            found.setdefault(number, {}).setdefault("dims", []).extend(_parts(part))
        else:
            raise ValueError("the checkpoint's index holds no entry for a tensor")
    return found


def _parts(shape: bytes) -> Iterator[bytes]:
    """Yield the dimensions of a TensorShapeProto, each as a message."""
    position = 0
    while position < len(shape):
        tag, position = _read_varint(shape, position)
        length, position = _read_varint(shape, position)
        if tag >> 3 == 2:
            yield shape[position : position + length]
        position += length if tag & 7 == 2 else 0


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Return the number that begins at `position`, and the position after it. Raises IndexError at the end of the data."""
    value = shift = 0
    while True:
        group = data[position]
        value |= (group & 0x7F) << shift
        position += 1
        if group < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a number of the checkpoint is too long")
