"""Random distortions: what is drawn, what each does to an image, and the endless stream of distorted images."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from retrain.arrays import FloatArray, IndexArray
from retrain.data.augment import N_DRAWS, DistortedLoader, distort, draw_distortions
from retrain.data.decode import decode, image_from_bytes
from retrain.data.loader import rebatch
from retrain.data.sampling import RandomGenerators
from retrain.errors import ImageFolderError
from retrain.head.batches import Batch, Batches
from retrain.head.dataset import Dataset
from retrain.input_spec import InputSpec
from retrain.options.augmentation import AugmentationOptions
from retrain.options.head import HeadOptions
from tests.support.pictures import encoded, noise, tf1_resize

SPEC = InputSpec(height=32, width=48, mean=127.5, std=127.5)
NOTHING = AugmentationOptions(flip_left_right=False, random_crop=0, random_scale=0, random_brightness=0)
EVERYTHING = AugmentationOptions(flip_left_right=True, random_crop=20, random_scale=30, random_brightness=40)
LARGEST_DRAW = 1 - 2.0**-24  # the largest float32 below 1
PERCENTAGES, BELOW_100 = st.integers(0, 100), st.integers(0, 99)


@given(
    st.builds(
        AugmentationOptions,
        flip_left_right=st.booleans(),
        random_crop=BELOW_100,
        random_scale=PERCENTAGES,
        random_brightness=PERCENTAGES,
    ),
    st.integers(0, 50),
    st.integers(0, 2**32),
)
@settings(deadline=None)
def test_draws_stay_in_their_ranges(options: AugmentationOptions, n_images: int, seed: int) -> None:
    draws = draw_distortions(options, n_images, np.random.default_rng(seed))
    assert draws.shape == (n_images, N_DRAWS)
    assert draws.dtype == np.float32
    enlargement, top, left, mirror, factor = draws.T
    margin, rounding = 1 + options.random_crop / 100, 1e-6
    assert (enlargement >= margin - rounding).all()
    assert (enlargement <= margin * (1 + options.random_scale / 100) + rounding).all()
    assert ((top >= 0) & (top < 1) & (left >= 0) & (left < 1)).all()
    assert np.isin(mirror, [0, 1] if options.flip_left_right else [0]).all()
    assert (np.abs(factor - 1) <= options.random_brightness / 100 + rounding).all()


def test_draws_fill_their_ranges() -> None:
    draws = draw_distortions(EVERYTHING, 10_000, np.random.default_rng(0))
    low, high = draws.min(axis=0), draws.max(axis=0)
    np.testing.assert_allclose(low, [1.2, 0, 0, 0, 0.6], atol=0.01)
    np.testing.assert_allclose(high, [1.2 * 1.3, 1, 1, 1, 1.4], atol=0.01)
    # The means of 10,000 draws come within 5 standard errors, the widest of which, of a fair coin, is 0.005.
    np.testing.assert_allclose(draws.mean(axis=0), [1.2 * 1.15, 0.5, 0.5, 0.5, 1.0], atol=0.025)


def test_without_distortion_nothing_is_changed() -> None:
    draws = draw_distortions(NOTHING, 100, np.random.default_rng(0))
    np.testing.assert_array_equal(draws[:, [0, 3, 4]], np.tile([1, 0, 1], (100, 1)))
    contents = encoded(noise(61, 45), "PNG")
    plain = image_from_bytes(contents, SPEC)
    for row in draws[:10]:
        np.testing.assert_allclose(distort(decode(contents), row, SPEC), plain, rtol=0, atol=1e-4)


def distorted(pixels: npt.NDArray[np.uint8], draws: Sequence[float], spec: InputSpec = SPEC) -> FloatArray:
    return distort(decode(encoded(pixels, "PNG")), np.array(draws, np.float32), spec)


def normalised(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return (image - 127.5) / 127.5


@pytest.mark.parametrize(
    ("top_draw", "left_draw", "top", "left"),
    [(0.0, 0.0, 0, 0), (0.5, 0.25, 8, 6), (LARGEST_DRAW, 0.0, 16, 0), (0.0, LARGEST_DRAW, 0, 24)],
)
def test_scale_and_crop_agree_with_numpy(top_draw: float, left_draw: float, top: int, left: int) -> None:
    # Enlarged 1.5 times 32 × 48 is 48 × 72, which leaves 17 positions down and 25 across.
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
    large = tf1_resize(pixels, 40, 60)  # 1.25 times 32 × 48: 9 positions down and 13 across
    expected = large[6 : 6 + 32, 3 : 3 + 48][:, ::-1] * 0.8
    found = distorted(pixels, [1.25, 0.7, 0.25, 1, 0.8])
    np.testing.assert_allclose(found, normalised(expected), rtol=0, atol=1e-4)


@given(BELOW_100, PERCENTAGES, st.integers(0, 2**32))
@settings(deadline=None, max_examples=25)
def test_the_result_always_has_the_networks_size(crop: int, scale: int, seed: int) -> None:
    options = dataclasses.replace(EVERYTHING, random_crop=crop, random_scale=scale)
    [draws] = draw_distortions(options, 1, np.random.default_rng(seed))
    image = distorted(noise(9, 14), draws, InputSpec(7, 5, 0.0, 1.0))
    assert image.shape == (7, 5, 3)
    assert image.dtype == np.float32


def originals_way(pixels: npt.NDArray[np.uint8], draws: FloatArray, spec: InputSpec) -> FloatArray:
    """Return the distorted image, float32 [H, W, 3], by the original's operations in TensorFlow, all of it enlarged."""
    height, width = (tf.cast(draws[0] * float(size), tf.int32) for size in (spec.height, spec.width))
    enlarged = tf.raw_ops.ResizeBilinear(images=pixels[np.newaxis], size=[height, width])[0]
    top = tf.cast(draws[1] * tf.cast(height - spec.height + 1, tf.float32), tf.int32)
    left = tf.cast(draws[2] * tf.cast(width - spec.width + 1, tf.float32), tf.int32)
    cropped = tf.slice(enlarged, [top, left, 0], [spec.height, spec.width, 3])
    mirrored = tf.reverse(cropped, [1]) if draws[3] else cropped
    return np.asarray((mirrored * draws[4] - np.float32(spec.mean)) * np.float32(1 / spec.std))


def test_distortions_have_the_bits_of_the_originals_operations() -> None:
    pixels = noise(150, 111)
    for draws in draw_distortions(EVERYTHING, 40, np.random.default_rng(1)):
        np.testing.assert_array_equal(distorted(pixels, draws.tolist()), originals_way(pixels, draws, SPEC))


def chunks_of(sizes: Sequence[int]) -> Iterator[tuple[IndexArray, FloatArray]]:
    """Yield chunks of these sizes, then of 1, without end; indices count from 0, and values are [10 · index, -index]."""
    start = 0
    for size in itertools.chain(sizes, itertools.repeat(1)):
        indices = np.arange(start, start + size)
        yield indices, np.stack([10 * indices, -indices], axis=1).astype(np.float32)
        start += size


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 12))
@settings(deadline=None)
def test_rebatch_changes_sizes_and_nothing_else(sizes: list[int], batch_size: int) -> None:
    batches = list(itertools.islice(rebatch(chunks_of(sizes), batch_size), 8))
    assert [len(indices) for indices, _ in batches] == [batch_size] * 8
    indices = np.concatenate([indices for indices, _ in batches])
    values = np.concatenate([values for _, values in batches])
    assert indices.tolist() == list(range(8 * batch_size))
    np.testing.assert_array_equal(values, np.stack([10 * indices, -indices], axis=1))


def write_pictures(folder: Path, count: int) -> list[str]:
    for i in range(count):
        Image.fromarray(noise(20 + i, 30, seed=i)).save(folder / f"{i}.png")
    return [str(folder / f"{i}.png") for i in range(count)]


def test_what_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    paths = [*write_pictures(tmp_path, 3), *(str(tmp_path / name) for name in ("text.jpg", "empty.jpg", "none.jpg", "scan.jpg"))]
    (tmp_path / "text.jpg").write_bytes(b"some text")
    (tmp_path / "empty.jpg").write_bytes(b"")
    Image.fromarray(noise(20, 30)).save(tmp_path / "scan.jpg", "TIFF")  # Only Pillow reads it.
    assert failures({}) == {}
    assert failures(dict(enumerate(paths[:3]))) == {}
    sparse = dict(zip([300, 2, 41, 7, 1, 12, 1000], paths, strict=True))
    reasons = {7: "it is no image in a known format", 1: "the file is empty", 12: "No such file or directory"}
    assert failures(sparse) == reasons
    assert list(failures(sparse)) == [7, 1, 12], "in the caller's order"


def failures(files: Mapping[int, str]) -> dict[int, str]:
    return DistortedLoader(files, EVERYTHING, np.random.default_rng(0), SPEC).failed


def test_photos_beyond_the_memory_for_them_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = dict(enumerate(write_pictures(tmp_path, 6)))
    expected = first_bottlenecks(files, seed=5, count=50)
    monkeypatch.setattr("retrain.data.augment.KEPT_BYTES", 20 * 30 * 4 + 10)  # One of them.
    for found, kept in zip(first_bottlenecks(files, seed=5, count=50), expected, strict=True):
        np.testing.assert_array_equal(found, kept)


def pixels_themselves(images: FloatArray) -> FloatArray:
    """Return the input as bottlenecks, float32 [B, H, W, 3] → float32 [B, H · W · 3]: a network."""
    return images.reshape(len(images), -1)


def drawing(seed: int, indices: Sequence[int], batch_size: int) -> Callable[[], IndexArray]:
    rng = np.random.default_rng(seed)
    return lambda: rng.choice(indices, batch_size)


def first_bottlenecks(files: Mapping[int, str], seed: int, count: int) -> tuple[IndexArray, FloatArray]:
    loader = DistortedLoader(files, EVERYTHING, np.random.default_rng(seed + 1), SPEC)
    return next(rebatch(loader.outputs(drawing(seed, list(files), batch_size=10), pixels_themselves), count))


def expected_bottlenecks(files: Mapping[int, str], seed: int, count: int) -> tuple[list[int], list[FloatArray]]:
    """Process the same draws one by one; images that cannot be decoded are skipped."""
    draw_indices, rng = drawing(seed, list(files), batch_size=10), np.random.default_rng(seed + 1)
    indices: list[int] = []
    rows: list[FloatArray] = []
    while len(rows) < count:
        for index, draws in zip(draw_indices().tolist(), draw_distortions(EVERYTHING, 10, rng), strict=True):
            if not files[index].endswith(".txt"):
                indices.append(index)
                rows.append(distort(decode(Path(files[index]).read_bytes()), draws, SPEC).ravel())
    return indices[:count], rows[:count]


def test_bottlenecks_are_those_of_the_drawn_images_distorted_as_drawn(tmp_path: Path) -> None:
    files = dict(enumerate(write_pictures(tmp_path, 6)))
    indices, values = first_bottlenecks(files, seed=5, count=100)
    expected_indices, expected_values = expected_bottlenecks(files, seed=5, count=100)
    assert indices.tolist() == expected_indices
    np.testing.assert_array_equal(values, expected_values)


@pytest.mark.slow
def test_an_image_that_cannot_be_decoded_is_replaced_by_the_next_draw(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 4)
    (tmp_path / "text.txt").write_bytes(b"some text")
    paths.insert(2, str(tmp_path / "text.txt"))
    files = dict(enumerate(paths))
    indices, values = first_bottlenecks(files, seed=6, count=70)
    expected_indices, expected_values = expected_bottlenecks(files, seed=6, count=70)
    assert set(indices.tolist()) == {0, 1, 3, 4}
    assert indices.tolist() == expected_indices
    np.testing.assert_array_equal(values, expected_values)


def test_sparse_indices_are_those_of_their_own_files(tmp_path: Path) -> None:
    """Indices with gaps, in no order; of one file that is no image, and of one that only Pillow decodes."""
    paths = write_pictures(tmp_path, 4)
    (tmp_path / "text.txt").write_bytes(b"some text")
    Image.fromarray(noise(25, 30, seed=9)).save(tmp_path / "scan.tif")
    files = dict(zip([31, 4, 200, 17, 90, 5], [*paths, str(tmp_path / "text.txt"), str(tmp_path / "scan.tif")], strict=True))
    assert DistortedLoader(files, EVERYTHING, np.random.default_rng(0), SPEC).failed == {90: "it is no image in a known format"}
    indices, values = first_bottlenecks(files, seed=7, count=90)
    expected_indices, expected_values = expected_bottlenecks(files, seed=7, count=90)
    assert set(indices.tolist()) == {31, 4, 200, 17, 5}
    assert indices.tolist() == expected_indices
    np.testing.assert_array_equal(values, expected_values)


@pytest.mark.parametrize("batch_size", [1, 7, None])
def test_the_network_gets_the_loaders_batches_and_not_those_of_the_training(batch_size: int | None, tmp_path: Path) -> None:
    files = dict(zip([3, 11], write_pictures(tmp_path, 2), strict=True))
    loaders = [DistortedLoader(files, EVERYTHING, np.random.default_rng(2), SPEC, batch_size) for _ in range(2)]
    size = batch_size or 64
    assert [loader.batch_size for loader in loaders] == [size, size]
    batches = loaders[0].batches(drawing(1, [3, 11], batch_size=10))
    outputs = loaders[1].outputs(drawing(1, [3, 11], batch_size=10), pixels_themselves)
    for (indices, images), (same_indices, values) in itertools.islice(zip(batches, outputs, strict=True), 5):
        assert images.shape == (size, 32, 48, 3)
        assert [images.dtype, indices.dtype] == [np.dtype(np.float32), np.dtype(np.int64)]
        np.testing.assert_array_equal(same_indices, indices)
        np.testing.assert_array_equal(values, images.reshape(size, -1))


def test_images_that_were_all_removed_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrain.data.augment.KEPT_BYTES", 0)  # Else they are still in memory.
    files = {5: str(write_pictures(tmp_path, 1)[0])}
    loader = DistortedLoader(files, EVERYTHING, np.random.default_rng(0), SPEC)
    Path(files[5]).unlink()
    with pytest.raises(ImageFolderError, match=r"^The training images can no longer be decoded\. Is their folder still there\?$"):
        next(loader.batches(drawing(0, [5], batch_size=10)))


def test_the_same_seed_returns_the_same_bottlenecks_and_another_one_others(tmp_path: Path) -> None:
    files = dict(enumerate(write_pictures(tmp_path, 3)))
    first, again, other = (first_bottlenecks(files, seed, 30) for seed in (1, 1, 2))
    np.testing.assert_array_equal(again[0], first[0])
    np.testing.assert_array_equal(again[1], first[1])
    assert not np.array_equal(other[1], first[1])


def test_a_photo_is_distorted_differently_each_time(tmp_path: Path) -> None:
    _, values = first_bottlenecks({0: write_pictures(tmp_path, 1)[0]}, seed=0, count=20)
    assert len(np.unique(values, axis=0)) == 20


@pytest.mark.slow
@pytest.mark.parametrize("first_step", [0, 1, 4, 6, 7])
@pytest.mark.parametrize("train_batch_size", [5, -1])
def test_batches_from_a_later_step_are_the_rest_of_an_uninterrupted_run(
    first_step: int, train_batch_size: int, tmp_path: Path
) -> None:
    """Seven steps, with an evaluation after every second one and after the last; a generator for each set and for distortions."""
    classes = np.array([0, 0, 1, 1, 1, 0, 1, 0, 1])
    members = {"training": np.array([0, 5, 2, 4, 6]), "validation": np.array([1, 3]), "testing": np.array([7, 8])}
    data = Dataset(np.zeros((9, 1), np.float32), classes, members, 2)
    options = HeadOptions(
        how_many_training_steps=7, train_batch_size=train_batch_size, validation_batch_size=3, eval_step_interval=2
    )
    files = dict(zip([0, 5, 2, 4, 6], write_pictures(tmp_path, 5), strict=True))

    def run(first: int) -> tuple[list[Batch], list[IndexArray]]:
        rngs = RandomGenerators(3)
        loader = DistortedLoader(files, EVERYTHING, rngs.distortion, SPEC, 4)
        batches, trained, validated = Batches(options, data, rngs.of_split), [], []
        for step, batch in enumerate(batches.distorted(loader, pixels_themselves, first), first):
            trained.append(batch)
            if options.is_evaluated(step):
                validated.append(batches.validation()[1])
        return trained, validated

    (whole, whole_validated), (rest, rest_validated) = run(0), run(first_step)
    assert len(whole) == 7
    assert len(rest) == 7 - first_step
    assert len(np.unique(np.concatenate([values for values, _ in whole]), axis=0)) == 7 * 5, "all are distorted differently"
    for (values, labels), (expected_values, expected_labels) in zip(rest, whole[first_step:], strict=True):
        assert values.shape == (5, 32 * 48 * 3)
        np.testing.assert_array_equal(labels, expected_labels)
        np.testing.assert_array_equal(values, expected_values)
    expected = whole_validated[len(whole_validated) - len(rest_validated) :]
    np.testing.assert_array_equal(rest_validated, expected)
