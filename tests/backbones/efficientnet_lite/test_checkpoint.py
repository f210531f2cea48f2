"""Reading of checkpoints: what is accepted, and what is refused before anything in it could run."""

import dataclasses
import os
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from retrain.backbones.efficientnet_lite.checkpoint import read_checkpoint
from retrain.backbones.efficientnet_lite.package import read_package
from retrain.backbones.efficientnet_lite.pickled import MOST_PROGRAM_BYTES
from retrain.backbones.efficientnet_lite.variants import VARIANTS
from retrain.errors import ModelError, ModelUnavailableError
from tests.support import checkpoints
from tests.support.checkpoints import EMPTY_ORDERED, MACHINE, MAGIC, REBUILD, VERSION, Array, Part, checkpoint_of, parts_of

INSTALL = "pip install --force-reinstall --no-deps weights==1.0"
STATE_START = len(MAGIC + VERSION + MACHINE)


def read(data: bytes) -> dict[str, Array]:
    return read_checkpoint(data, "models/weights.pth", INSTALL)


def refused(data: bytes) -> str:
    """Return what the sentence says was found, after checking the rest of it."""
    with pytest.raises(ModelError) as caught:
        read(data)
    start = "The checkpoint models/weights.pth is damaged, or is not the published one: "
    end = f". Nothing in it was executed. Install it again: {INSTALL}"
    sentence = str(caught.value)
    assert sentence.startswith(start) and sentence.endswith(end), sentence
    return sentence[len(start) : -len(end)]


@pytest.fixture
def tensors() -> dict[str, Array]:
    return checkpoints.small_tensors()


@pytest.fixture
def parts(tensors: dict[str, Array]) -> list[Part]:
    return parts_of(tensors)


@pytest.fixture
def good(parts: list[Part]) -> bytes:
    return checkpoint_of(parts)


@pytest.fixture(params=list(VARIANTS))
def published(request: pytest.FixtureRequest) -> bytes:
    """Return the content of a checkpoint whose package is installed."""
    try:
        return read_package(VARIANTS[request.param])[0]
    except ModelUnavailableError as error:
        pytest.skip(str(error))


def test_the_tensors_come_back(tensors: dict[str, Array], good: bytes) -> None:
    found = read(good)
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        np.testing.assert_array_equal(found[name], tensor)
        assert found[name].flags.c_contiguous


def test_a_published_checkpoint(published: bytes) -> None:
    [variant] = [each for each in VARIANTS.values() if read_package(each)[0] == published]
    found = read(published)
    assert len(found) == variant.n_tensors
    floats = {name: tensor for name, tensor in found.items() if tensor.dtype == np.float32}
    assert len(floats) == {296: 247, 386: 322}[variant.n_tensors]
    counters = {tensor.dtype for name, tensor in found.items() if name.endswith("num_batches_tracked")}
    assert counters == {np.dtype(np.int64)} and not any(name.endswith("num_batches_tracked") for name in floats)
    assert found["_fc.weight"].shape == (1000, 1280)
    # Stored with the outputs side by side, as in TensorFlow.
    assert found["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert all(np.isfinite(tensor).all() for tensor in floats.values())


class RunsACommand:
    """An object whose pickle calls `os.system`."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


@pytest.mark.parametrize("place", ["the first pickle", "the dictionary of tensors", "an entry of it"])
def test_a_pickle_that_runs_a_command(place: str, parts: list[Part], tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    attack = pickle.dumps(RunsACommand(f"echo ran > '{marker}'"), protocol=2)
    pickle.loads(attack)
    assert marker.exists(), "the attack must work where a pickle is run"
    marker.unlink()

    body = attack[2:-1]  # Without protocol and end.
    data = {
        "the first pickle": attack,
        "the dictionary of tensors": checkpoint_of(parts, state=attack),
        "an entry of it": checkpoint_of(
            parts, state=b"\x80\x02" + EMPTY_ORDERED + b"(" + checkpoints.text("layer.weight") + body + b"u."
        ),
    }[place]
    assert refused(data) == f"it uses the global {os.system.__module__}.system"
    assert not marker.exists()


def test_a_newer_pickle_that_runs_a_command(parts: list[Part], tmp_path: Path) -> None:
    """Protocol 4 names its globals on the stack."""
    marker = tmp_path / "ran"
    attack = pickle.dumps(RunsACommand(f"echo ran > '{marker}'"), protocol=4)
    assert refused(checkpoint_of(parts, state=attack)) == f"its pickle is of protocol 4 instead of 2 at byte {STATE_START + 2}"
    attack = b"\x80\x02" + checkpoints.text("posix") + checkpoints.text("system") + b"\x93" + checkpoints.text("true") + b"\x85R."
    found = refused(checkpoint_of(parts, state=attack))
    assert found == f"it uses the opcode STACK_GLOBAL at byte {STATE_START + attack.index(0x93)}"
    assert not marker.exists()


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (b"ctorch\nFloatStorage\n", b"ctorch\nHalfStorage\n", "it uses the global torch.HalfStorage"),
        (b"ctorch\nFloatStorage\n", b"cnumpy\nfloat32\n", "it uses the global numpy.float32"),
        (REBUILD, b"cbuiltins\neval\n", "it uses the global builtins.eval"),
        (REBUILD, b"ctorch._utils\n_rebuild_parameter\n", "it uses the global torch._utils._rebuild_parameter"),
        (b"ccollections\nOrderedDict\n", b"ccollections\nCounter\n", "it uses the global collections.Counter"),
        (b"ccollections\nOrderedDict\n", b"ccollections\nO\x1b[2J\xff\n", r"it uses the global collections.O\x1b[2J\xff"),
        (b"ccollections\nOrderedDict\n", b"c" + b"a" * 300 + b"\n", "it has no global of at most 200 bytes at byte 133"),
    ],
)
def test_one_global_changed(good: bytes, old: bytes, new: bytes, found: str) -> None:
    assert refused(good.replace(old, new, 1)) == found


@pytest.mark.parametrize(
    ("position", "new", "found"),
    [
        (0, 0x00, "it uses the byte 0x00 as an opcode at byte 0"),
        (2, ord("I"), "it uses the opcode INT at byte 2"),
        (STATE_START, ord("i"), f"it uses the opcode INST at byte {STATE_START}"),
        (STATE_START + 2, ord("o"), f"it uses the opcode OBJ at byte {STATE_START + 2}"),
        (STATE_START + 2, 0x82, f"it uses the opcode EXT1 at byte {STATE_START + 2}"),
        (STATE_START + 2, ord("P"), f"it uses the opcode PERSID at byte {STATE_START + 2}"),
        (STATE_START + 2, ord("."), f"its pickle takes a value from an empty stack at byte {STATE_START + 3}"),
        (STATE_START + 2 + 25, ord("]"), f"its pickle has something else where a tuple must be at byte {STATE_START + 29}"),
        (5, 0x6D, "it does not begin with the magic number of PyTorch"),
        (len(MAGIC) + 3, 0xEA, "it is not of version 1001 of the layout"),
        (len(MAGIC + VERSION) + MACHINE.index(0x88), 0x89, "it is not of version 1001 of the layout"),
    ],
)
def test_one_opcode_or_byte_changed(good: bytes, position: int, new: int, found: str) -> None:
    changed = bytearray(good)
    assert changed[position] != new
    changed[position] = new
    assert refused(bytes(changed)) == found


def changed_part(index: int, **changes: object) -> Callable[[list[Part]], bytes]:
    def data(parts: list[Part]) -> bytes:
        return checkpoint_of([*parts[:index], dataclasses.replace(parts[index], **changes), *parts[index + 1 :]])  # type: ignore[arg-type]

    return data


def with_state(change: Callable[[bytes], bytes]) -> Callable[[list[Part]], bytes]:
    return lambda parts: checkpoint_of(parts, state=change(checkpoints.state_pickle(parts)))


WEIGHT = "the shape of its tensor layer.weight does not fit its 120 values"
STRIDES = "the strides of its tensor layer.weight do not fit its shape"


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (changed_part(0, shape=(4, 3, 2, 6)), WEIGHT),
        (changed_part(0, shape=(4, 3, 2, 2**31 - 1)), WEIGHT),
        (changed_part(0, shape=(-4, -3, 2, 5)), WEIGHT),
        (changed_part(0, shape=(0, 3, 2, 5)), WEIGHT),
        (changed_part(0, shape=(120,)), WEIGHT),
        (changed_part(0, shape=(4, 3, 2, 5, 1), strides=(1, 40, 20, 4, 1)), WEIGHT),
        (changed_part(0, strides=(1, 40, 20, 5)), STRIDES),
        (changed_part(0, strides=(0, 0, 0, 0)), STRIDES),
        (changed_part(0, strides=(1, 40, 20, -4)), STRIDES),
        (changed_part(0, strides=(2**31 - 1, 40, 20, 4)), STRIDES),
        (changed_part(1, name="layer.weight"), "it has two entries layer.weight"),
        (changed_part(1, key="1000"), "its tensors layer.weight and layer.bias share their values"),
        (changed_part(1, size=5), "its storage 1001 has 4 values where its tensor has 5"),
        (changed_part(1, size=3), "its storage 1001 has 4 values where its tensor has 3"),
        (changed_part(1, size=2**31 - 1), "it ends after 1443 bytes, inside the storage 1001 that ends at byte 8589935987"),
        (changed_part(1, size=0), "it has a storage of an unknown form at byte 457"),
        (changed_part(1, size=-4), "it has a storage of an unknown form at byte 457"),
        (lambda parts: checkpoint_of(parts) + b"\0", "1 bytes follow its last storage"),
        (lambda parts: checkpoint_of(parts)[:-1], "it ends after 1442 bytes, inside the storage 1003 that ends at byte 1443"),
        (lambda parts: checkpoint_of(parts)[:300], "it ends inside a pickle, after 300 bytes"),
        (lambda parts: b"", "it ends inside a pickle, after 0 bytes"),
        (
            lambda parts: checkpoint_of(parts).replace(checkpoints.keys_pickle(parts), checkpoints.keys_pickle(parts[:-1])),
            "its list of storages is not that of its tensors",
        ),
        (
            lambda parts: checkpoint_of(parts).replace(checkpoints.storages(parts)[:8], struct.pack("<q", -1), 1),
            "its storage 1000 has -1 values where its tensor has 120",
        ),
        (with_state(lambda state: b"\x80\x02" + EMPTY_ORDERED + b"."), "it holds no dictionary of tensors"),
        (with_state(lambda state: b"\x80\x02}."), "it holds no dictionary of tensors"),
        (with_state(lambda state: state.replace(b"u}", checkpoints.text("more") + b"Nu}")), "its entry more is no tensor"),
        (
            with_state(lambda state: state.replace(b"_metadata", b"__class__")),
            "it sets attributes that no checkpoint needs at byte 858",
        ),
        (with_state(lambda state: state[:-1] + b"N."), "its pickle leaves 1 values unused at byte 860"),
        (with_state(lambda state: state.replace(b"q\x00", b"q\x01")), "the memory of its pickle has a gap at byte 161"),
        (with_state(lambda state: state.replace(b"q\x00", b"h\x09")), "its pickle uses a value that it has not kept at byte 161"),
        (with_state(lambda state: state.replace(b"cpu", b"gpu")), "it has a storage of an unknown form at byte 271"),
        (with_state(lambda state: b"\x80\x02" + EMPTY_ORDERED * 2 + b"u."), "its pickle lacks a mark at byte 187"),
        (
            with_state(lambda state: b"\x80\x02(" + b"K\x01" * 5 + b"tK\x01R."),
            "its pickle has something else where a tuple must be at byte 147",
        ),
    ],
)
def test_one_tensor_or_size_changed(parts: list[Part], change: Callable[[list[Part]], bytes], found: str) -> None:
    assert refused(change(parts)) == found


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (b"X\xff\xff\xff\x7fabc", "it ends inside a pickle, after {size} bytes"),
        (b"N" + b"r\xff\xff\xff\xff", "the memory of its pickle has a gap at byte {end}"),
        (b")" + b"\x85" * 200_000 + b".", "it holds no dictionary of tensors"),
        (b"(" * 200_000 + b".", "its pickle takes a value from an empty stack at byte {end}"),
        (b"N" * (MOST_PROGRAM_BYTES + 100), f"one of its pickles is longer than {MOST_PROGRAM_BYTES} bytes"),
        # A tuple of a tuple of a tuple, each twice: 2^100 values, if it were written out.
        (
            b")q\x00" + b"".join(b"h" + bytes([n]) + b"\x86q" + bytes([n + 1]) for n in range(100)) + b".",
            "it holds no dictionary of tensors",
        ),
        (b"}q\x00(" + checkpoints.text("itself") + b"h\x00u.", "it holds no dictionary of tensors"),
    ],
    ids=["a long text", "a far memory", "nested tuples", "marks", "a long pickle", "doubled tuples", "a dictionary in itself"],
)
def test_bombs(parts: list[Part], state: bytes, found: str) -> None:
    data = MAGIC + VERSION + MACHINE + b"\x80\x02" + state  # No further pickle is read.
    sentence = refused(data)
    assert sentence == found.format(size=len(data), end=len(data))


def is_refused_or_read(data: bytes) -> bool:
    """Return True if a file is refused. No other error may surface."""
    try:
        found = read(data)
    except ModelError:
        return True
    assert all(tensor.dtype in (np.float32, np.int64) for tensor in found.values())
    return False


def test_no_change_of_a_byte_causes_another_error(good: bytes) -> None:
    """Some changes cannot be noticed here: those of a tensor's name, or of a value."""
    rng = random.Random(3)
    end_of_pickles = len(good) - len(checkpoints.storages(parts_of(checkpoints.small_tensors())))
    outcomes = []
    for _ in range(3000):
        changed = bytearray(good)
        changed[rng.randrange(end_of_pickles)] = rng.randrange(256)
        outcomes.append(is_refused_or_read(bytes(changed)))
    assert 0.5 < np.mean(outcomes) < 1


def test_every_truncation_is_refused(good: bytes) -> None:
    assert all(is_refused_or_read(good[:length]) for length in range(len(good)))


def test_changes_of_a_published_checkpoint(published: bytes) -> None:
    rng = random.Random(4)
    for _ in range(40):
        changed = bytearray(published)
        changed[rng.randrange(47_000)] ^= 1 << rng.randrange(8)
        is_refused_or_read(bytes(changed))
        assert is_refused_or_read(published[: rng.randrange(len(published))])
