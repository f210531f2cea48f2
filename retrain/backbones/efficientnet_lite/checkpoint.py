"""Reader of PyTorch's older checkpoint files, without PyTorch and without the module `pickle`.

Such a file holds five pickles (a magic number, the version, facts about the machine, the dictionary of tensors, the list of the
storages' keys), then for each key the number of values, 8 bytes, and the values; all little-endian. The reader accepts what the
published checkpoints of EfficientNet-Lite have, and nothing else: each tensor has a storage of its own and uses all of it.
"""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from retrain.backbones.efficientnet_lite.pickled import Global, LayoutError, Ordered, Storage, Tensor, run_pickle
from retrain.errors import ModelError, shown

MAGIC = 0x1950A86A20F9469CFC6C  # torch.serialization.MAGIC_NUMBER
VERSION = 1001  # torch.serialization.PROTOCOL_VERSION
MACHINE = {"protocol_version": VERSION, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
DTYPES: Mapping[Global, np.dtype[np.generic]] = {Global.FLOAT_STORAGE: np.dtype("<f4"), Global.LONG_STORAGE: np.dtype("<i8")}
MOST_AXES = 4
COUNT_BYTES = 8  # Of the number of values before each storage.


def read_checkpoint(data: bytes, path: str, install_again: str) -> dict[str, npt.NDArray[np.generic]]:
    """Return the tensors of a checkpoint by name, float32 or int64, in the order of the file.

    Nothing in the file is executed or imported, and no more memory is used than a small multiple of the file's size.

    Args:
        data: the file's content.
        path: its path, for messages.
        install_again: the command that replaces the file with the published one, for messages.

    Raises:
        ModelError: the file is not of this layout; the message says what was found.
    """
    try:
        return _tensors(data)
    except LayoutError as error:
        raise ModelError(
            f"The checkpoint {shown(path)} is damaged, or is not the published one: {error}. Nothing in it was executed. "
            f"Install it again: {install_again}"
        ) from error


def _tensors(data: bytes) -> dict[str, npt.NDArray[np.generic]]:
    magic, position = run_pickle(data, 0)
    if type(magic) is not int or magic != MAGIC:
        raise LayoutError("it does not begin with the magic number of PyTorch")
    for expected in (VERSION, MACHINE):
        found, position = run_pickle(data, position)
        if type(found) is not type(expected) or found != expected:
            raise LayoutError(f"it is not of version {VERSION} of the layout")
    state, position = run_pickle(data, position)
    keys, position = run_pickle(data, position)
    tensors = _named_tensors(state)
    values = _storages(data, position, keys, {tensor.storage.key: tensor.storage for tensor in tensors.values()})
    return {name: _array(name, tensor, values[tensor.storage.key]) for name, tensor in tensors.items()}


def _named_tensors(state: object) -> dict[str, Tensor]:
    if not isinstance(state, Ordered) or not state:
        raise LayoutError("it holds no dictionary of tensors")
    tensors = {}
    users: dict[str, str] = {}
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise LayoutError(f"its entry {_name(name)} is no tensor")
        if tensor.storage.key in users:
            raise LayoutError(f"its tensors {_name(users[tensor.storage.key])} and {_name(name)} share their values")
        users[tensor.storage.key] = name
        tensors[name] = tensor
    return tensors


def _storages(data: bytes, position: int, keys: object, expected: dict[str, Storage]) -> dict[str, npt.NDArray[np.generic]]:
    """Return the values of each storage, [size], by key. `position` is that of the first one."""
    if type(keys) is not list or not all(type(key) is str for key in keys) or sorted(keys) != sorted(expected):
        raise LayoutError("its list of storages is not that of its tensors")
    values = {}
    for key in keys:
        storage = expected[key]
        dtype = DTYPES[storage.kind]
        start, end = position + COUNT_BYTES, position + COUNT_BYTES + storage.size * dtype.itemsize
        if end > len(data):
            raise LayoutError(f"it ends after {len(data)} bytes, inside the storage {_name(key)} that ends at byte {end}")
        if (count := int.from_bytes(data[position:start], "little", signed=True)) != storage.size:
            raise LayoutError(f"its storage {_name(key)} has {count} values where its tensor has {storage.size}")
        values[key] = np.frombuffer(data, dtype, storage.size, start)
        position = end
    if position != len(data):
        raise LayoutError(f"{len(data) - position} bytes follow its last storage")
    return values


def _array(name: str, tensor: Tensor, values: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Return a tensor's values in its shape. The strides must be those of a dense array with its axes in some order."""
    shape, strides = tensor.shape, tensor.strides
    if len(shape) > MOST_AXES or len(shape) != len(strides) or min(shape, default=1) < 1 or math.prod(shape) != len(values):
        raise LayoutError(f"the shape of its tensor {_name(name)} does not fit its {len(values)} values")
    order = sorted(range(len(shape)), key=lambda axis: (strides[axis], shape[axis]), reverse=True)
    expected = 1
    for axis in reversed(order):
        if shape[axis] > 1 and strides[axis] != expected:
            raise LayoutError(f"the strides of its tensor {_name(name)} do not fit its shape")
        expected *= shape[axis]
    dense = values.reshape([shape[axis] for axis in order]).transpose(np.argsort(order))
    return np.ascontiguousarray(dense, values.dtype.newbyteorder("=")).reshape(shape)


def _name(text: str) -> str:
    return shown(text[:100])
