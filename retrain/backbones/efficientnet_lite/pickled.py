"""Interpreter of a checkpoint's pickles, which executes nothing.

A pickle is a program for a small stack machine. Python's own module runs it and calls whatever it names. Here each opcode is a
function of this module, a global is a mere word, and only those exist that a checkpoint of EfficientNet-Lite uses. The opcodes
are those of protocol 2, as the standard library's `pickletools` documents them.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pickletools import opcodes

from retrain.errors import shown

MOST_PROGRAM_BYTES = 1 << 20  # The largest of the three published checkpoints has a pickle of 56 kB.
MOST_NAME_BYTES = 200


class LayoutError(Exception):
    """A checkpoint is not of the expected layout; the message is the second half of a sentence."""


class Global(Enum):
    """The globals that a checkpoint may name, as `module name`."""

    ORDERED_DICT = "collections OrderedDict"
    REBUILD_TENSOR = "torch._utils _rebuild_tensor_v2"
    FLOAT_STORAGE = "torch FloatStorage"
    LONG_STORAGE = "torch LongStorage"


@dataclass(frozen=True, eq=False)
class Storage:
    """Values of one tensor, which stand after the pickles: their type, their key and their number."""

    kind: Global
    key: str
    size: int


@dataclass(frozen=True, eq=False)
class Tensor:
    """View on a storage. The strides count values, not bytes."""

    storage: Storage
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class Ordered(dict[str, object]):
    """A `collections.OrderedDict` of the checkpoint."""


class _Mark:
    """What the opcode MARK leaves on the stack."""


MARK = _Mark()


def run_pickle(data: bytes, position: int) -> tuple[object, int]:
    """Return what the pickle at `position` describes, and the position after it.

    Raises:
        LayoutError: it is cut off, uses an opcode or a global that no checkpoint needs, or is inconsistent.
    """
    machine = _Machine(data, position)
    while (opcode := machine.read(1)) != b".":
        if opcode not in OPCODES:
            known = next((each.name for each in opcodes if each.code.encode("latin-1") == opcode), None)
            found = f"the opcode {known}" if known else f"the byte 0x{opcode.hex()} as an opcode"
            raise LayoutError(f"it uses {found} at byte {machine.position - 1}")
        OPCODES[opcode](machine)
    result = machine.pop()
    if machine.stack:
        raise LayoutError(f"its pickle leaves {len(machine.stack)} values unused at byte {machine.position}")
    return result, machine.position


class _Machine:
    """Stack, memory and position of a pickle."""

    def __init__(self, data: bytes, position: int) -> None:
        self.data = data
        self.position = position
        self.end = min(len(data), position + MOST_PROGRAM_BYTES)
        self.stack: list[object] = []
        self.memory: list[object] = []

    def error(self, text: str) -> LayoutError:
        return LayoutError(f"{text} at byte {self.position}")

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        if size > self.end - self.position:
            if self.end < len(self.data):
                raise LayoutError(f"one of its pickles is longer than {MOST_PROGRAM_BYTES} bytes")
            raise LayoutError(f"it ends inside a pickle, after {len(self.data)} bytes")
        self.position += size
        return self.data[self.position - size : self.position]

    def number(self, form: str) -> int:
        """Return the next number, in a form of the module `struct`."""
        (value,) = struct.unpack(form, self.read(struct.calcsize(form)))
        return int(value)

    def line(self) -> str:
        """Return the bytes before the next line break as text."""
        found = self.data.find(b"\n", self.position, min(self.end, self.position + MOST_NAME_BYTES))
        if found < 0:
            raise self.error(f"it has no global of at most {MOST_NAME_BYTES} bytes")
        return self.read(found + 1 - self.position)[:-1].decode("ascii", "backslashreplace")

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self) -> object:
        if not self.stack or self.stack[-1] is MARK:
            raise self.error("its pickle takes a value from an empty stack")
        return self.stack.pop()

    def pop_to_mark(self) -> list[object]:
        """Return the values above the last mark, and remove them and the mark."""
        values: list[object] = []
        while self.stack:
            if (value := self.stack.pop()) is MARK:
                return values[::-1]
            values.append(value)
        raise self.error("its pickle lacks a mark")


def _protocol(machine: _Machine) -> None:
    if (found := machine.number("<B")) != 2:
        raise machine.error(f"its pickle is of protocol {found} instead of 2")


def _global(machine: _Machine) -> None:
    module, name = machine.line(), machine.line()
    try:
        machine.push(Global(f"{module} {name}"))
    except ValueError:
        raise LayoutError(f"it uses the global {shown(f'{module}.{name}')}") from None


def _long(machine: _Machine) -> None:
    machine.push(int.from_bytes(machine.read(machine.number("<B")), "little", signed=True))


def _text(machine: _Machine) -> None:
    try:
        machine.push(machine.read(machine.number("<I")).decode("utf-8"))
    except UnicodeDecodeError:
        raise machine.error("a text of its pickle is not UTF-8") from None


def _remember(form: str) -> Callable[[_Machine], None]:
    """Return the opcode that keeps the value on top; pickles number what they keep, without gaps."""

    def keep(machine: _Machine) -> None:
        value = machine.pop()
        machine.push(value)
        if machine.number(form) != len(machine.memory):
            raise machine.error("the memory of its pickle has a gap")
        machine.memory.append(value)

    return keep


def _recall(form: str) -> Callable[[_Machine], None]:
    def get(machine: _Machine) -> None:
        index = machine.number(form)
        if index >= len(machine.memory):
            raise machine.error("its pickle uses a value that it has not kept")
        machine.push(machine.memory[index])

    return get


def _tuple(size: int) -> Callable[[_Machine], None]:
    def collect(machine: _Machine) -> None:
        machine.push(tuple([machine.pop() for _ in range(size)][::-1]))

    return collect


def _append(machine: _Machine) -> None:
    items, target = machine.pop_to_mark(), machine.pop()
    if type(target) is not list:
        raise machine.error("its pickle appends to something that is no list")
    target.extend(items)
    machine.push(target)


def _set(machine: _Machine, items: list[object]) -> None:
    target = machine.pop()
    if not isinstance(target, dict) or len(items) % 2:
        raise machine.error("its pickle sets items of something that is no dictionary")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) is not str:
            raise machine.error("a dictionary has a key that is no text")
        if key in target:
            raise LayoutError(f"it has two entries {shown(key[:MOST_NAME_BYTES])}")
        target[key] = value
    machine.push(target)


def _set_one(machine: _Machine) -> None:
    value, key = machine.pop(), machine.pop()
    _set(machine, [key, value])


def _storage(machine: _Machine) -> None:
    """Turn the tuple of a storage into the storage: ("storage", type, key, device, number of values, no view)."""
    match _as_tuple(machine, machine.pop()):
        case ("storage", Global.FLOAT_STORAGE | Global.LONG_STORAGE as kind, str(key), "cpu", int(size), None) if size > 0:
            machine.push(Storage(kind, key, size))
        case _:
            raise machine.error("it has a storage of an unknown form")


def _reduce(machine: _Machine) -> None:
    """Do what the two functions among the globals do for a checkpoint: an empty dictionary, or a tensor."""
    arguments, function = _as_tuple(machine, machine.pop()), machine.pop()
    match function, arguments:
        case Global.ORDERED_DICT, ():
            machine.push(Ordered())
        # The storage, the offset in it, shape, strides, no gradient, no hooks.
        case Global.REBUILD_TENSOR, (Storage() as storage, 0, tuple(shape), tuple(strides), False, Ordered() as hooks) if (
            not hooks
        ):
            machine.push(Tensor(storage, _integers(machine, shape), _integers(machine, strides)))
        case _:
            raise machine.error("it calls a function in a way that no checkpoint needs")


def _as_tuple(machine: _Machine, value: object) -> tuple[object, ...]:
    if type(value) is not tuple:
        raise machine.error("its pickle has something else where a tuple must be")
    return value


def _integers(machine: _Machine, values: tuple[object, ...]) -> tuple[int, ...]:
    found = tuple(value for value in values if type(value) is int)
    if len(found) != len(values):
        raise machine.error("the shape or the strides of a tensor are no integers")
    return found


def _build(machine: _Machine) -> None:
    """Drop the attribute that PyTorch gives to the dictionary of tensors: the versions of the layers' formats."""
    attributes, target = machine.pop(), machine.pop()
    if not isinstance(target, Ordered) or type(attributes) is not dict or list(attributes) != ["_metadata"]:
        raise machine.error("it sets attributes that no checkpoint needs")
    machine.push(target)


def _value(make: Callable[[], object]) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(make())


def _integer(form: str) -> Callable[[_Machine], None]:
    return lambda machine: machine.push(machine.number(form))


OPCODES: Mapping[bytes, Callable[[_Machine], None]] = {
    b"\x80": _protocol,  # PROTO
    b"c": _global,  # GLOBAL
    b"R": _reduce,  # REDUCE
    b"Q": _storage,  # BINPERSID
    b"b": _build,  # BUILD
    b"X": _text,  # BINUNICODE
    b"\x8a": _long,  # LONG1
    b"K": _integer("<B"),  # BININT1
    b"M": _integer("<H"),  # BININT2
    b"J": _integer("<i"),  # BININT
    b"\x88": _value(lambda: True),  # NEWTRUE
    b"\x89": _value(lambda: False),  # NEWFALSE
    b"N": _value(lambda: None),  # NONE
    b")": _value(lambda: ()),  # EMPTY_TUPLE
    b"]": _value(list),  # EMPTY_LIST
    b"}": _value(dict),  # EMPTY_DICT
    b"(": _value(lambda: MARK),  # MARK
    b"t": lambda machine: machine.push(tuple(machine.pop_to_mark())),  # TUPLE
    b"\x85": _tuple(1),  # TUPLE1
    b"\x86": _tuple(2),  # TUPLE2
    b"e": _append,  # APPENDS
    b"s": _set_one,  # SETITEM
    b"u": lambda machine: _set(machine, machine.pop_to_mark()),  # SETITEMS
    b"q": _remember("<B"),  # BINPUT
    b"r": _remember("<I"),  # LONG_BINPUT
    b"h": _recall("<B"),  # BINGET
    b"j": _recall("<I"),  # LONG_BINGET
}
