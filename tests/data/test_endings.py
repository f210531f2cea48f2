"""Images of all kinds in class folders: each is used, or counted with the reason."""

import importlib.util
from pathlib import Path

import pytest
from PIL import Image

from retrain.data.endings import ENDINGS
from retrain.data.image_lists import create_image_lists
from retrain.options.images import ImageOptions

NAMES = ["1.jpg", "2.JPEG", "3.png", "4.webp", "5.WEBP", "6.bmp", "7.tif", "8.gif", "9.avif", "10.heic", "photo", "notes.txt"]


def folders(image_dir: Path) -> str:
    for folder in ("a", "b"):
        (image_dir / folder).mkdir(parents=True)
        for name in NAMES:
            (image_dir / folder / name).write_bytes(b"\xff\xd8\xff\xe0 begins as a JPEG" if name == "photo" else b"")
        for number in range(20):
            (image_dir / folder / f"more {number}.jpg").touch()
    return str(image_dir)


def used(image_dir: str, like_original: bool, all_images: bool = False) -> set[str]:
    options = ImageOptions(image_dir=image_dir, testing_percentage=0, validation_percentage=0, all_images=all_images)
    names = {image.file_name for image in create_image_lists(options, like_original).images}
    return {name for name in names if not name.startswith("more")}


def unnamed(image_dir: str) -> str:
    return (
        "WARNING: 2 images are not used for want of an ending such as .jpg in the name: "
        f"{image_dir}/a/photo, {image_dir}/b/photo."
    )


def test_the_networks_of_the_original_use_its_endings_and_count_the_others(tmp_path: Path, logged: list[str]) -> None:
    image_dir = folders(tmp_path)
    assert used(image_dir, like_original=True) == {"1.jpg", "2.JPEG", "3.png"}
    heic = "2 .heic, " if importlib.util.find_spec("pillow_heif") else ""
    assert logged[0] == (
        f"WARNING: Images that are not used, as the original would not use them: 2 .avif, 2 .bmp, 2 .gif, {heic}2 .tif, 4 .webp. "
        "Add --all_images to use them."
    )
    assert logged[-1] == unnamed(image_dir)


@pytest.mark.parametrize(("like_original", "all_images"), [(False, False), (True, True)])
@pytest.mark.parametrize("reads_heif", [True, False])
def test_all_that_can_be_decoded_are_used(
    tmp_path: Path, logged: list[str], monkeypatch: pytest.MonkeyPatch, like_original: bool, all_images: bool, reads_heif: bool
) -> None:
    image_dir = folders(tmp_path)
    if not reads_heif:
        monkeypatch.setattr("retrain.data.endings.HEIF_PACKAGE", "a_package_that_is_not_installed")
    elif not importlib.util.find_spec("pillow_heif"):
        pytest.skip("pillow-heif is not installed")
    expected = {name for name in NAMES if name not in ("photo", "notes.txt")} - (set() if reads_heif else {"10.heic"})
    assert used(image_dir, like_original, all_images) == expected
    heif = ["WARNING: Images that are not used: 2 .heic. Install the package that reads them: pip install '.[heif]'"]
    assert logged == ([] if reads_heif else heif) + [unnamed(image_dir)]


def test_a_class_of_other_images_alone_is_not_lost_without_a_word(tmp_path: Path, logged: list[str]) -> None:
    image_dir = folders(tmp_path)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "1.webp").touch()
    used(image_dir, like_original=True)
    assert logged[0] == f"WARNING: No images in {image_dir}/c: the folder is skipped. It has 1 image of another kind."
    assert "5 .webp" in logged[1]


def test_every_ending_is_of_a_format_that_can_be_decoded() -> None:
    Image.init()
    known = {ending for ending, name in Image.EXTENSION.items() if name in Image.OPEN}
    # An MPO file is a JPEG with more pictures behind the first; the others depend on the packages that are installed.
    assert set(ENDINGS) - known <= {".mpo", ".heic", ".heif", ".avif"}
