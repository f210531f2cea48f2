"""LiteRT: each image alone, on all cores, with TensorFlow's values."""

import threading

import numpy as np
import pytest

from retrain.arrays import FloatArray
from retrain.backbones.load import load_network
from retrain.engines import litert
from retrain.engines.conversion import Original, convert
from retrain.engines.litert import LitertNetwork
from retrain.engines.part import NetworkPart
from retrain.input_spec import InputSpec
from retrain.options.network import NetworkOptions
from tests.support.small_network import FEED, FETCH, SIZE, small_network

PART = NetworkPart(small_network(), FEED, FETCH, InputSpec(SIZE, SIZE, 0.0, 1.0))


@pytest.fixture(scope="module")
def flatbuffer() -> bytes:
    return convert(PART)


def images(count: int, size: int = SIZE) -> FloatArray:
    return np.random.default_rng(count).normal(size=(count, size, size, 3)).astype(np.float32)


@pytest.mark.parametrize("count", [1, 2, 17])
def test_the_values_are_tensorflows(flatbuffer: bytes, count: int) -> None:
    comparison = Original(PART, images(count)).compare(LitertNetwork(flatbuffer))
    assert comparison.agrees
    assert comparison.difference < 1e-5
    assert min(comparison.litert, comparison.tensorflow) > 0
    assert comparison.loading is None, "this process has loaded TensorFlow before"


def test_other_values_do_not_agree(flatbuffer: bytes) -> None:
    changed = Original(PART, images(3))
    assert not changed.compare(lambda pixels: LitertNetwork(flatbuffer)(pixels) * np.float32(1.0005)).agrees  # type: ignore[arg-type]
    assert not changed.compare(lambda pixels: LitertNetwork(flatbuffer)(pixels) * np.float32(np.nan)).agrees  # type: ignore[arg-type]


@pytest.mark.parametrize("n_interpreters", [1, 3])
def test_an_image_has_the_same_bits_in_any_batch(n_interpreters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(litert, "MOST_INTERPRETERS", n_interpreters)
    network = load_network(NetworkOptions(architecture="tiny_resnet_128", engine="litert")).run
    assert isinstance(network, LitertNetwork)
    photos = images(9, 128)
    alone = np.concatenate([network(photo[np.newaxis]) for photo in photos])
    np.testing.assert_array_equal(network(photos), alone)
    np.testing.assert_array_equal(network(photos[::-1])[::-1], alone)
    np.testing.assert_array_equal(network(photos[3:8]), alone[3:8])


def test_several_threads_may_call_it(flatbuffer: bytes) -> None:
    network, batches = LitertNetwork(flatbuffer), [images(count) for count in range(1, 9)]
    alone = [network(batch) for batch in batches]
    found: dict[int, list[FloatArray]] = {}

    def work(number: int) -> None:
        found[number] = [network(batches[number]) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(batches))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(batches)
    for number, results in found.items():
        for result in results:
            np.testing.assert_array_equal(result, alone[number])


@pytest.mark.parametrize("content", [b"", b"no flatbuffer at all", bytes(1000)])
def test_what_is_no_flatbuffer_is_an_error(content: bytes) -> None:
    with pytest.raises((ValueError, RuntimeError, ZeroDivisionError)):
        LitertNetwork(content)


def test_a_wrong_size_is_an_error(flatbuffer: bytes) -> None:
    for count in (1, 2):
        with pytest.raises(ValueError, match="Dimension mismatch"):
            LitertNetwork(flatbuffer)(images(count, SIZE + 1))
