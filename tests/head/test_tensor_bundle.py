"""TensorFlow's checkpoint format without TensorFlow, against TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from retrain.head.tensor_bundle import TYPES, bundle_bytes, read_bundle

ENDINGS = (".index", ".data-00000-of-00001")
Tensors = dict[str, "npt.NDArray[Any] | np.generic | str"]


def of_tensorflow(prefix: Path, tensors: Tensors) -> tuple[bytes, bytes]:
    tf.raw_ops.SaveV2(
        prefix=str(prefix), tensor_names=list(tensors), shape_and_slices=[""] * len(tensors), tensors=list(tensors.values())
    )
    index, data = (prefix.with_name(prefix.name + ending).read_bytes() for ending in ENDINGS)
    return index, data


def of_a_head(layers: int = 3) -> Tensors:
    rng = np.random.default_rng(0)
    tensors: Tensors = {f"hidden_{n}/{kind}": rng.random(shape, np.float32) for n in range(layers) for kind, shape in SHAPES}
    return {**tensors, "global_step": np.int64(4000), "identity": '{"labels": ["Käse"]}', "state/loss": np.float64(0.5)}


SHAPES = (("weights", (200, 300)), ("biases", (300,)), ("nothing", (0, 7)))


@pytest.mark.parametrize("layers", [0, 1, 3, 30])
def test_the_files_are_tensorflows_byte_for_byte(layers: int, tmp_path: Path) -> None:
    assert bundle_bytes(of_a_head(layers)) == of_tensorflow(tmp_path / "head", of_a_head(layers))


@pytest.mark.parametrize("name", TYPES)
def test_every_type(name: str, tmp_path: Path) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(name)
    index, data = bundle_bytes({"x": values})
    assert (index, data) == of_tensorflow(tmp_path / "head", {"x": values})
    found = read_bundle(index, data)["x"]
    assert isinstance(found, np.ndarray) and found.dtype == values.dtype
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("text", ["", "x", "Käse", "y" * 300])
def test_a_text(text: str, tmp_path: Path) -> None:
    index, data = bundle_bytes({"x": text})
    assert (index, data) == of_tensorflow(tmp_path / "head", {"x": text})
    assert read_bundle(index, data) == {"x": text}


def test_what_tensorflow_wrote_in_several_blocks_is_read(tmp_path: Path) -> None:
    """Its blocks hold up to 256 KB of names and entries."""
    tensors: Tensors = {f"{number:05d}{'name' * 20}": np.float32(number) for number in range(4000)}
    index, data = of_tensorflow(tmp_path / "head", tensors)
    assert len(index) > 1 << 17
    assert read_bundle(index, data) == tensors


@given(st.data())
@settings(deadline=None, max_examples=300)
def test_damage_is_an_error_or_changes_nothing(draw: st.DataObject) -> None:
    index, data = bundle_bytes(of_a_head(1))
    expected = read_bundle(index, data)
    parts = [bytearray(index), bytearray(data)]
    part = parts[draw.draw(st.integers(0, 1))]
    if draw.draw(st.booleans()):
        del part[draw.draw(st.integers(0, len(part) - 1)) :]
    else:
        part[draw.draw(st.integers(0, len(part) - 1))] ^= draw.draw(st.integers(1, 255))
    try:
        found = read_bundle(bytes(parts[0]), bytes(parts[1]))
    except ValueError:
        return
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)


def test_every_length_of_a_file_that_was_cut_off() -> None:
    index, data = bundle_bytes({"x": np.arange(3, dtype=np.float32), "y": "text"})
    for length in range(len(index)):
        with pytest.raises(ValueError, match=r"checkpoint"):
            read_bundle(index[:length], data)
    for length in range(len(data)):
        with pytest.raises(ValueError, match=r"checkpoint|text"):
            read_bundle(index, data[:length])


def test_several_data_files_are_refused(tmp_path: Path) -> None:
    parts = [tmp_path / name for name in ("a", "b")]
    for part in parts:
        of_tensorflow(part, {part.name: np.int64(1)})
    tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=list(map(str, parts)), destination_prefix=f"{tmp_path}/both")
    index, data = ((tmp_path / f"both{ending}").read_bytes() for ending in (".index", ".data-00000-of-00002"))
    with pytest.raises(ValueError, match="several data files"):
        read_bundle(index, data)
