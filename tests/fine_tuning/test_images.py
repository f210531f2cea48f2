"""The images that fine-tuning sees: the same whether they are kept in memory or decoded at each step."""

import shutil
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from retrain.data.augment import Distortion
from retrain.data.decode import image_from_file
from retrain.errors import ImageFolderError
from retrain.fine_tuning.images import decoded_images, image_batches, validation_images
from retrain.input_spec import InputSpec

SPEC = InputSpec(24, 32, 127.5, 127.5)
FLIP = Distortion(flip_left_right=True, random_crop=0, random_scale=0, random_brightness=0)
Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]


@pytest.fixture(scope="module")
def photos(small_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Nine photos, three of each class, class by class; the first is a CMYK JPEG, which TensorFlow cannot decode."""
    folder = tmp_path_factory.mktemp("nine")
    paths = []
    for label in sorted(path for path in small_photos.iterdir()):
        for source in sorted(label.iterdir())[:3]:
            paths.append(str(shutil.copy(source, folder / f"{label.name} {source.name}")))
    Image.open(paths[0]).convert("CMYK").save(paths[0])
    return paths


CLASS_OF = np.repeat(np.arange(3), 3)
MEMBERS = np.array([0, 1, 3, 4, 6, 7])


def batches(
    photos: list[str], n: int, kept_bytes: int, distortion: Distortion | None = None, members: npt.NDArray[np.int64] = MEMBERS
) -> list[Batch]:
    rng = np.random.default_rng(3)
    return list(islice(image_batches(photos, CLASS_OF, members, distortion, rng, SPEC, 8, kept_bytes), n))


@pytest.mark.parametrize("kept_bytes", [0, 1 << 20], ids=["decoded_at_each_step", "kept"])
def test_they_are_those_of_their_classes(photos: list[str], kept_bytes: int) -> None:
    """Each image of each batch is that of a training photo of its class, as the decoder gives it; all are drawn in time."""
    expected = {place: image_from_file(photos[place], SPEC) for place in MEMBERS.tolist()}
    drawn = set()
    for images, classes in batches(photos, 8, kept_bytes):
        assert images.shape == (8, 24, 32, 3)
        assert [images.dtype, classes.dtype] == [np.dtype(np.float32), np.dtype(np.int64)]
        for image, index in zip(images, classes, strict=True):
            [place] = [place for place, photo in expected.items() if np.abs(photo - image).max() < 1e-5]
            assert CLASS_OF[place] == index
            drawn.add(place)
    assert drawn == set(MEMBERS.tolist())


@pytest.mark.parametrize("kept_bytes", [0, 1 << 20])
def test_the_same_seed_draws_the_same(photos: list[str], kept_bytes: int) -> None:
    for first, second in zip(batches(photos, 5, kept_bytes), batches(photos, 5, kept_bytes), strict=True):
        np.testing.assert_array_equal(first[0], second[0])
        np.testing.assert_array_equal(first[1], second[1])


def test_distortions_are_drawn_afresh(photos: list[str]) -> None:
    one = np.array([1])
    plain = image_from_file(photos[1], SPEC)
    seen = [image for images, _ in batches(photos, 3, 1 << 20, FLIP, one) for image in images]
    as_it_is = [np.allclose(image, plain, atol=1e-5) for image in seen]
    mirrored = [np.allclose(image, plain[:, ::-1], atol=1e-5) for image in seen]
    assert all(a != b for a, b in zip(as_it_is, mirrored, strict=True))
    assert any(as_it_is)
    assert any(mirrored)


def test_validation_images_are_all_or_evenly_some(photos: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    images, classes = validation_images(photos, CLASS_OF, np.arange(9), SPEC)
    assert classes.tolist() == CLASS_OF.tolist()
    assert images == pytest.approx(np.stack([image_from_file(path, SPEC) for path in photos]), abs=1e-5)
    monkeypatch.setattr("retrain.fine_tuning.images.VALIDATION_BYTES", 4 * 24 * 32 * 3 * 4)
    assert validation_images(photos, CLASS_OF, np.arange(9), SPEC)[1].tolist() == [0, 0, 1, 2]
    assert len(validation_images(photos, CLASS_OF, np.array([], np.int64), SPEC)[1]) == 0


def test_one_that_is_gone_drops_out(photos: list[str]) -> None:
    positions, images = decoded_images(["gone.jpg", *photos[1:]], np.array([0, 4]), SPEC)
    assert positions.tolist() == [4]
    assert images.shape == (1, 24, 32, 3)


def test_all_gone() -> None:
    with pytest.raises(ImageFolderError, match=r"^The images can no longer be decoded\. Is their folder still there\?$"):
        decoded_images(["gone.jpg"], np.array([0]), SPEC)
