"""Images of fine-tuning: the same if they are kept in memory as if they are decoded at each step."""

import shutil
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from retrain.backbones.architecture import Architecture
from retrain.backbones.backbone import Backbone
from retrain.data.decode import image_from_file
from retrain.data.image_lists import ImageLists, LabelledImage
from retrain.errors import ImageFolderError
from retrain.fine_tuning.images import (
    KEPT_BYTES,
    ImageBatch,
    decoded_images,
    load_images,
    new_bottlenecks,
    training_batches,
    validation_images,
)
from retrain.head.dataset import Dataset, Examples
from retrain.input_spec import InputSpec
from retrain.options.fine_tuning import FineTuningOptions
from tests.support.small_network import FEED, FETCH, SIZE, D, small_network

SPEC = InputSpec(24, 32, 127.5, 127.5)
OPTIONS = FineTuningOptions(fine_tune_batch_size=8)
FLIP = FineTuningOptions(fine_tune_batch_size=8, flip_left_right=True)


@pytest.fixture(scope="module")
def photos(small_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return nine photos, three of each class, class by class; the first is a CMYK JPEG, which TensorFlow cannot decode."""
    folder = tmp_path_factory.mktemp("nine")
    paths = []
    for label in sorted(path for path in small_photos.iterdir()):
        for source in sorted(label.iterdir())[:3]:
            paths.append(str(shutil.copy(source, folder / f"{label.name} {source.name}")))
    Image.open(paths[0]).convert("CMYK").save(paths[0])
    return paths


CLASSES = np.repeat(np.arange(3), 3)
MEMBERS = np.array([0, 1, 3, 4, 6, 7])
LABELS = ("a", "b", "c")


def image_lists(paths: Sequence[str]) -> ImageLists:
    images = [LabelledImage(path, "folder", "name", index, "") for path, index in zip(paths, CLASSES.tolist(), strict=True)]
    return ImageLists(LABELS, LABELS, tuple(images))


def dataset(training: npt.NDArray[np.int64] = MEMBERS, validation: Sequence[int] = ()) -> Dataset:
    """Return a data set without bottlenecks, which fine-tuning does not use."""
    members = {"training": training, "validation": np.array(validation, np.int64), "testing": np.array([], np.int64)}
    return Dataset(np.empty((9, 0), np.float32), CLASSES, members, 3)


def batches(photos: list[str], n: int, options: FineTuningOptions = OPTIONS, data: Dataset | None = None) -> list[ImageBatch]:
    rng = np.random.default_rng(3)
    return list(islice(training_batches(options, image_lists(photos), data or dataset(), SPEC, rng), n))


@pytest.fixture(params=[0, KEPT_BYTES], ids=["decoded_at_each_step", "kept"])
def kept_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrain.fine_tuning.images.KEPT_BYTES", request.param)


@pytest.mark.usefixtures("kept_bytes")
def test_they_are_those_of_their_classes(photos: list[str]) -> None:
    """Each image of each batch is that of a training photo of its class, as the decoder returns it; all are drawn in time."""
    expected = {index: image_from_file(photos[index], SPEC) for index in MEMBERS.tolist()}
    drawn = set()
    for images, classes in batches(photos, 8):
        assert images.shape == (8, 24, 32, 3)
        assert [images.dtype, classes.dtype] == [np.dtype(np.float32), np.dtype(np.int64)]
        for image, class_index in zip(images, classes, strict=True):
            [index] = [index for index, photo in expected.items() if np.abs(photo - image).max() < 1e-5]
            assert CLASSES[index] == class_index
            drawn.add(index)
    assert drawn == set(MEMBERS.tolist())


@pytest.mark.usefixtures("kept_bytes")
def test_the_same_seed_draws_the_same(photos: list[str]) -> None:
    for first, second in zip(batches(photos, 5), batches(photos, 5), strict=True):
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])


@pytest.mark.usefixtures("kept_bytes")
def test_an_image_that_was_removed_is_no_longer_drawn(photos: list[str]) -> None:
    expected = {index: image_from_file(photos[index], SPEC) for index in MEMBERS.tolist() if index != 4}
    for images, classes in batches([*photos[:4], "gone.jpg", *photos[5:]], 8):
        for image, class_index in zip(images, classes, strict=True):
            [index] = [index for index, photo in expected.items() if np.abs(photo - image).max() < 1e-5]
            assert CLASSES[index] == class_index


@pytest.mark.usefixtures("kept_bytes")
@pytest.mark.parametrize("options", [OPTIONS, FLIP], ids=["plain", "distorted"])
def test_training_images_that_were_all_removed(options: FineTuningOptions) -> None:
    with pytest.raises(ImageFolderError, match=r"images can no longer be decoded\. Is their folder still there\?$"):
        batches(["gone.jpg"] * 9, 1, options)


def test_distortions_are_drawn_at_each_step(photos: list[str]) -> None:
    plain = image_from_file(photos[1], SPEC)
    seen = [image for images, _ in batches(photos, 3, FLIP, dataset(np.array([1]))) for image in images]
    as_it_is = [np.allclose(image, plain, atol=1e-5) for image in seen]
    mirrored = [np.allclose(image, plain[:, ::-1], atol=1e-5) for image in seen]
    assert all(a != b for a, b in zip(as_it_is, mirrored, strict=True))
    assert any(as_it_is)
    assert any(mirrored)


def test_validation_images_are_all_or_evenly_some(photos: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    lists, everything = image_lists(photos), dataset(validation=range(9))
    images, classes = validation_images(lists, everything, SPEC)
    assert classes.tolist() == CLASSES.tolist()
    assert images == pytest.approx(np.stack([image_from_file(path, SPEC) for path in photos]), abs=1e-5)
    monkeypatch.setattr("retrain.fine_tuning.images.VALIDATION_BYTES", 4 * 24 * 32 * 3 * 4)
    assert validation_images(lists, everything, SPEC)[1].tolist() == [0, 0, 1, 2]
    assert len(validation_images(lists, dataset(), SPEC)[1]) == 0


def test_training_and_validation_images_are_loaded_together(photos: list[str]) -> None:
    lists, data = image_lists(photos), dataset(validation=[2, 8])
    found = load_images(OPTIONS, lists, data, SPEC, np.random.default_rng(3))
    for (images, classes), (expected_images, expected_classes) in zip(islice(found.batches, 3), batches(photos, 3), strict=True):
        np.testing.assert_array_equal(images, expected_images)
        np.testing.assert_array_equal(classes, expected_classes)
    images, classes = found.validation
    assert classes.tolist() == [0, 2]
    assert images == pytest.approx(np.stack([image_from_file(photos[index], SPEC) for index in (2, 8)]), abs=1e-5)


def test_an_image_that_is_gone_is_left_out(photos: list[str]) -> None:
    """In the caller's order, also of the images that only Pillow decodes."""
    indices, images = decoded_images({40: photos[4], 7: photos[0], 3: "gone.jpg", 11: photos[8]}, SPEC)
    assert indices.tolist() == [40, 7, 11]
    assert indices.dtype == np.int64
    assert images == pytest.approx(np.stack([image_from_file(photos[index], SPEC) for index in (4, 0, 8)]), abs=1e-5)


def test_all_images_gone() -> None:
    with pytest.raises(ImageFolderError, match=r"^The images can no longer be decoded\. Is their folder still there\?$"):
        decoded_images({0: "gone.jpg"}, SPEC)


def small_backbone() -> Backbone:
    spec = InputSpec(SIZE, SIZE, 127.5, 127.5)
    architecture = Architecture(
        name="small",
        input_tensor=FEED,
        bottleneck_tensor=FETCH,
        batch_tensor=FETCH,
        bottleneck_size=D,
        input_spec=spec,
        graph_file="small.pb",
    )
    return Backbone(architecture, small_network(), "", 0)


def examples(indices: Sequence[int]) -> Examples:
    return Examples(np.array(indices, np.int64), np.full((len(indices), D), np.nan, np.float32), CLASSES[list(indices)])


def test_new_bottlenecks_are_those_of_the_tested_images_alone(photos: list[str], logged: list[str]) -> None:
    """Draws may repeat an image: each has a row. No other image is read."""
    paths = [path if index in (0, 5, 8) else "gone.jpg" for index, path in enumerate(photos)]
    backbone, tested = small_backbone(), examples([8, 0, 5, 8, 8, 0])
    found = new_bottlenecks(image_lists(paths), tested, backbone)
    assert found.indices.tolist() == [8, 0, 5, 8, 8, 0]
    assert found.classes.tolist() == [2, 0, 1, 2, 2, 0]
    spec = backbone.architecture.input_spec
    expected = backbone.run(np.stack([image_from_file(photos[index], spec) for index in tested.indices]))
    assert (found.bottlenecks.shape, found.bottlenecks.dtype) == ((6, D), np.dtype(np.float32))
    assert found.bottlenecks == pytest.approx(expected, abs=1e-5)
    assert np.isnan(tested.bottlenecks).all(), "the cached ones are not changed"
    assert logged == []


def test_a_tested_image_that_was_removed_is_left_out_with_a_warning(photos: list[str], logged: list[str]) -> None:
    backbone, lists = small_backbone(), image_lists([*photos[:5], "gone.jpg", *photos[6:]])
    found = new_bottlenecks(lists, examples([8, 5, 0, 5]), backbone)
    assert found.indices.tolist() == [8, 0]
    assert found.classes.tolist() == [2, 0]
    assert found.bottlenecks == pytest.approx(new_bottlenecks(lists, examples([8, 0]), backbone).bottlenecks, abs=1e-5)
    assert logged == ["WARNING: gone.jpg is left out of the test: No such file or directory"]


def test_without_tested_images_there_are_no_new_bottlenecks(photos: list[str]) -> None:
    found = new_bottlenecks(image_lists(photos), examples([]), small_backbone())
    assert (len(found), found.bottlenecks.shape, found.classes.shape) == (0, (0, D), (0,))
