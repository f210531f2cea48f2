"""Writer of PyTorch's older checkpoint files, opcode by opcode: good ones, and ones with anything in them."""

import dataclasses
import struct
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]

MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # As torch.save of any version writes it.
VERSION = b"\x80\x02M\xe9\x03."
STORAGES = {"float32": b"ctorch\nFloatStorage\n", "int64": b"ctorch\nLongStorage\n"}
EMPTY_ORDERED = b"ccollections\nOrderedDict\n)R"
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def sequence(*items: bytes) -> bytes:
    """Return a tuple."""
    return b"(" + b"".join(items) + b"t"


MACHINE = (
    b"\x80\x02}("
    + text("protocol_version")
    + b"M\xe9\x03"
    + text("little_endian")
    + b"\x88"
    + text("type_sizes")
    + b"}("
    + b"".join(text(name) + integer(size) for name, size in (("short", 2), ("int", 4), ("long", 4)))
    + b"uu."
)


@dataclasses.dataclass(frozen=True)
class Part:
    """An entry of the dictionary of tensors, and its storage."""

    name: str
    key: str
    storage: bytes
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    values: bytes
    size: int

    def entry(self) -> bytes:
        storage = sequence(text("storage"), self.storage, text(self.key), text("cpu"), integer(self.size), b"N") + b"Q"
        shape, strides = (sequence(*map(integer, numbers)) for numbers in (self.shape, self.strides))
        return text(self.name) + REBUILD + sequence(storage, integer(0), shape, strides, b"\x89", EMPTY_ORDERED) + b"R"


def parts_of(tensors: Mapping[str, Array]) -> list[Part]:
    """Return the parts of a file. As in the published ones, the first axis of four is the one whose values lie side by side."""
    parts = []
    for number, (name, tensor) in enumerate(tensors.items()):
        axes = np.roll(range(tensor.ndim), -1) if tensor.ndim == 4 else np.arange(tensor.ndim)
        values = np.ascontiguousarray(tensor.transpose(axes))
        strides = np.empty(tensor.ndim, int)
        strides[axes] = np.array(values.strides, int) // tensor.itemsize
        storage = STORAGES[tensor.dtype.name]
        parts.append(
            Part(name, str(1000 + number), storage, tensor.shape, tuple(strides.tolist()), values.tobytes(), tensor.size)
        )
    return parts


def state_pickle(parts: list[Part]) -> bytes:
    """Return the pickle of the dictionary of tensors, with the attribute that PyTorch gives to it."""
    entries = b"".join(part.entry() for part in parts)
    return b"\x80\x02" + EMPTY_ORDERED + b"q\x00(" + entries + b"u}" + text("_metadata") + EMPTY_ORDERED + b"sb."


def keys_pickle(parts: list[Part]) -> bytes:
    return b"\x80\x02]q\x00(" + b"".join(text(part.key) for part in parts) + b"e."


def storages(parts: list[Part]) -> bytes:
    """Return the values, each storage's after their true number."""
    return b"".join(struct.pack("<q", len(part.values) // (8 if b"Long" in part.storage else 4)) + part.values for part in parts)


def checkpoint_of(parts: list[Part], state: bytes | None = None) -> bytes:
    """Return a file of these parts; `state` replaces the pickle of the dictionary of tensors."""
    return MAGIC + VERSION + MACHINE + (state or state_pickle(parts)) + keys_pickle(parts) + storages(parts)


def small_tensors() -> dict[str, Array]:
    """Return the tensors of a layer: kernel, biases, one value, and a counter."""
    rng = np.random.default_rng(5)
    return {
        "layer.weight": rng.normal(size=(4, 3, 2, 5)).astype(np.float32),
        "layer.bias": rng.normal(size=4).astype(np.float32),
        "layer.scale": np.array(2.5, np.float32),
        "layer.num_batches_tracked": np.array(77, np.int64),
    }
