"""Random distortions: what is drawn, what each does to an image, and the endless stream of their bottlenecks."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retrain.arrays import FloatArray, IndexArray
from retrain.data.augment import N_DRAWS, Distortion, distort, distorted_bottlenecks
from retrain.data.decode import decode, image_from_bytes
from retrain.data.loader import how_to_decode
from retrain.head.batches import rebatch
from retrain.input_spec import InputSpec
from tests.support.pictures import encoded, noise, tf1_resize

SPEC = InputSpec(height=32, width=48, mean=127.5, std=127.5)
NOTHING = Distortion(flip_left_right=False, random_crop=0, random_scale=0, random_brightness=0)
EVERYTHING = Distortion(flip_left_right=True, random_crop=20, random_scale=30, random_brightness=40)
LARGEST_DRAW = 1 - 2.0**-24  # the largest float32 below 1
PERCENTAGES = st.integers(0, 100)


@given(st.booleans(), PERCENTAGES, PERCENTAGES, PERCENTAGES, st.integers(0, 50), st.integers(0, 2**32))
@settings(deadline=None)
def test_draws_stay_in_their_ranges(flip: bool, crop: int, scale: int, brightness: int, n_images: int, seed: int) -> None:
    draws = Distortion(flip, crop, scale, brightness).draw(n_images, np.random.default_rng(seed))
    assert draws.shape == (n_images, N_DRAWS)
    assert draws.dtype == np.float32
    enlargement, top, left, mirror, factor = draws.T
    margin, rounding = 1 + crop / 100, 1e-6
    assert (enlargement >= margin - rounding).all()
    assert (enlargement <= margin * (1 + scale / 100) + rounding).all()
    assert ((top >= 0) & (top < 1) & (left >= 0) & (left < 1)).all()
    assert np.isin(mirror, [0, 1] if flip else [0]).all()
    assert (np.abs(factor - 1) <= brightness / 100 + rounding).all()


def test_draws_fill_their_ranges() -> None:
    draws = EVERYTHING.draw(10_000, np.random.default_rng(0))
    low, high = draws.min(axis=0), draws.max(axis=0)
    np.testing.assert_allclose(low, [1.2, 0, 0, 0, 0.6], atol=0.01)
    np.testing.assert_allclose(high, [1.2 * 1.3, 1, 1, 1, 1.4], atol=0.01)
    # The means of 10,000 draws come within 5 standard errors, the widest of which, of a fair coin, is 0.005.
    np.testing.assert_allclose(draws.mean(axis=0), [1.2 * 1.15, 0.5, 0.5, 0.5, 1.0], atol=0.025)


def test_without_distortion_nothing_is_changed() -> None:
    draws = NOTHING.draw(100, np.random.default_rng(0))
    np.testing.assert_array_equal(draws[:, [0, 3, 4]], np.tile([1, 0, 1], (100, 1)))
    contents = tf.constant(encoded(noise(61, 45), "PNG"))
    plain = image_from_bytes(contents, SPEC)
    for row in draws[:10]:
        np.testing.assert_allclose(distort(decode(contents), row, SPEC), plain, rtol=0, atol=1e-4)


def distorted(pixels: npt.NDArray[np.uint8], draws: Sequence[float], spec: InputSpec = SPEC) -> FloatArray:
    contents = tf.constant(encoded(pixels, "PNG"))
    return np.asarray(distort(decode(contents), tf.constant(draws, tf.float32), spec))


def normalised(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return (image - 127.5) / 127.5


@pytest.mark.parametrize(
    ("top_draw", "left_draw", "top", "left"),
    [(0.0, 0.0, 0, 0), (0.5, 0.25, 8, 6), (LARGEST_DRAW, 0.0, 16, 0), (0.0, LARGEST_DRAW, 0, 24)],
)
def test_scale_and_crop_agree_with_numpy(top_draw: float, left_draw: float, top: int, left: int) -> None:
    # Enlarged 1.5 times 32 × 48 is 48 × 72, which leaves 17 places down and 25 across.
    pixels = noise(61, 45)
    expected = tf1_resize(pixels, 48, 72)[top : top + 32, left : left + 48]
    found = distorted(pixels, [1.5, top_draw, left_draw, 0, 1])
    np.testing.assert_allclose(found, normalised(expected), rtol=0, atol=1e-4)


def test_flip_agrees_with_numpy() -> None:
    pixels = noise(61, 45)
    expected = tf1_resize(pixels, 32, 48)[:, ::-1]
    np.testing.assert_allclose(distorted(pixels, [1, 0, 0, 1, 1]), normalised(expected), rtol=0, atol=1e-4)


@pytest.mark.parametrize("factor", [0.0, 0.6, 1.4, 2.0])
def test_brightness_agrees_with_numpy(factor: float) -> None:
    pixels = noise(61, 45)  # Grey levels are multiplied before the mean is subtracted, and not cut off at 255.
    expected = tf1_resize(pixels, 32, 48) * factor
    np.testing.assert_allclose(distorted(pixels, [1, 0, 0, 0, factor]), normalised(expected), rtol=0, atol=2e-4)


def test_all_together_agree_with_numpy_in_the_originals_order() -> None:
    pixels = noise(120, 200)
    large = tf1_resize(pixels, 40, 60)  # 1.25 times 32 × 48: 9 places down and 13 across
    expected = large[6 : 6 + 32, 3 : 3 + 48][:, ::-1] * 0.8
    found = distorted(pixels, [1.25, 0.7, 0.25, 1, 0.8])
    np.testing.assert_allclose(found, normalised(expected), rtol=0, atol=1e-4)


@given(PERCENTAGES, PERCENTAGES, st.integers(0, 2**32))
@settings(deadline=None, max_examples=25)
def test_the_result_always_has_the_networks_size(crop: int, scale: int, seed: int) -> None:
    distortion = dataclasses.replace(EVERYTHING, random_crop=crop, random_scale=scale)
    [draws] = distortion.draw(1, np.random.default_rng(seed))
    image = distorted(noise(9, 14), draws, InputSpec(7, 5, 0.0, 1.0))
    assert image.shape == (7, 5, 3)
    assert image.dtype == np.float32


def test_a_pipeline_gives_the_same_bits_as_an_eager_call() -> None:
    contents, [draws] = encoded(noise(61, 45), "JPEG"), EVERYTHING.draw(1, np.random.default_rng(1))
    dataset = tf.data.Dataset.from_tensors((contents, draws)).map(lambda c, d: distort(decode(c), d, SPEC))
    (piped,) = dataset.as_numpy_iterator()
    np.testing.assert_array_equal(piped, distort(decode(tf.constant(contents)), tf.constant(draws), SPEC))


def chunks_of(sizes: Sequence[int]) -> Iterator[tuple[IndexArray, FloatArray]]:
    """Chunks of these sizes, then of 1, without end; positions count from 0, and values are [10 · position, -position]."""
    start = 0
    for size in itertools.chain(sizes, itertools.repeat(1)):
        positions = np.arange(start, start + size)
        yield positions, np.stack([10 * positions, -positions], axis=1).astype(np.float32)
        start += size


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 12))
@settings(deadline=None)
def test_rebatch_changes_sizes_and_nothing_else(sizes: list[int], batch_size: int) -> None:
    batches = list(itertools.islice(rebatch(chunks_of(sizes), batch_size), 8))
    assert [len(positions) for positions, _ in batches] == [batch_size] * 8
    positions = np.concatenate([positions for positions, _ in batches])
    values = np.concatenate([values for _, values in batches])
    assert positions.tolist() == list(range(8 * batch_size))
    np.testing.assert_array_equal(values, np.stack([10 * positions, -positions], axis=1))


def write_pictures(folder: Path, count: int) -> list[str]:
    for i in range(count):
        Image.fromarray(noise(20 + i, 30, seed=i)).save(folder / f"{i}.png")
    return [str(folder / f"{i}.png") for i in range(count)]


def test_what_tensorflow_cannot_decode_is_left_to_pillow_or_named(tmp_path: Path) -> None:
    paths = [*write_pictures(tmp_path, 3), *(str(tmp_path / name) for name in ("text.jpg", "empty.jpg", "none.jpg", "scan.jpg"))]
    (tmp_path / "text.jpg").write_bytes(b"some text")
    (tmp_path / "empty.jpg").write_bytes(b"")
    Image.fromarray(noise(20, 30)).save(tmp_path / "scan.jpg", "TIFF")  # Only Pillow reads it.
    for_pillow, failed = how_to_decode([paths[3], *paths[:2], *paths[4:], paths[2]])
    assert for_pillow == [5]
    assert failed == {0: "it is no image in a known format", 3: "the file is empty", 4: "No such file or directory"}
    assert how_to_decode(paths[:3]) == ([], {})
    assert how_to_decode([]) == ([], {})


def pixels_themselves(images: FloatArray) -> FloatArray:
    """A network whose bottleneck is its input: float32 [B, H, W, 3] → float32 [B, H · W · 3]."""
    return images.reshape(len(images), -1)


def drawing(seed: int, n_images: int, batch_size: int) -> Callable[[], IndexArray]:
    rng = np.random.default_rng(seed)
    return lambda: rng.integers(n_images, size=batch_size)


def first_bottlenecks(paths: Sequence[str], seed: int, count: int) -> tuple[IndexArray, FloatArray]:
    draw_positions = drawing(seed, len(paths), batch_size=10)
    rng = np.random.default_rng(seed + 1)
    chunks = distorted_bottlenecks(paths, [], draw_positions, EVERYTHING, rng, pixels_themselves, SPEC)
    return next(rebatch(chunks, count))


def expected_bottlenecks(paths: Sequence[str], seed: int, count: int) -> tuple[list[int], list[FloatArray]]:
    """The same draws, worked through one by one; images that cannot be decoded are passed over."""
    draw_positions, rng = drawing(seed, len(paths), batch_size=10), np.random.default_rng(seed + 1)
    positions: list[int] = []
    rows: list[FloatArray] = []
    while len(rows) < count:
        for position, draws in zip(draw_positions().tolist(), EVERYTHING.draw(10, rng), strict=True):
            if not paths[position].endswith(".txt"):
                image = distort(decode(tf.io.read_file(paths[position])), tf.constant(draws), SPEC)
                positions.append(position)
                rows.append(np.asarray(image).ravel())
    return positions[:count], rows[:count]


def test_bottlenecks_are_those_of_the_drawn_images_distorted_as_drawn(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 6)
    positions, values = first_bottlenecks(paths, seed=5, count=100)
    expected_positions, expected_values = expected_bottlenecks(paths, seed=5, count=100)
    assert positions.tolist() == expected_positions
    np.testing.assert_array_equal(values, expected_values)


def test_an_image_that_cannot_be_decoded_leaves_its_place_to_the_next_draw(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 4)
    (tmp_path / "text.txt").write_bytes(b"some text")
    paths.insert(2, str(tmp_path / "text.txt"))
    positions, values = first_bottlenecks(paths, seed=6, count=70)
    expected_positions, expected_values = expected_bottlenecks(paths, seed=6, count=70)
    assert set(positions.tolist()) == {0, 1, 3, 4}
    assert positions.tolist() == expected_positions
    np.testing.assert_array_equal(values, expected_values)


def test_the_same_seed_gives_the_same_bottlenecks_and_another_one_others(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 3)
    first, again, other = (first_bottlenecks(paths, seed, 30) for seed in (1, 1, 2))
    np.testing.assert_array_equal(again[0], first[0])
    np.testing.assert_array_equal(again[1], first[1])
    assert not np.array_equal(other[1], first[1])


def test_a_photo_is_distorted_differently_each_time(tmp_path: Path) -> None:
    _, values = first_bottlenecks(write_pictures(tmp_path, 1), seed=0, count=20)
    assert len(np.unique(values, axis=0)) == 20
