"""Image folders: their classes and images, the set of each image, and the report of those that cannot be decoded."""

import csv
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.__main__ import main
from retrain.data.image_lists import ImageLists, create_image_lists, report_failed
from retrain.data.labels import label_of
from retrain.data.splitting import which_split
from retrain.errors import ImageFolderError
from retrain.options.images import ImageOptions

TO_FOLDERS = "Put the images (.jpg, .jpeg, .png) of each class into a folder of its own there."


def make_class(image_dir: Path, folder: str, names: Iterable[str] | int) -> None:
    """Make a class folder; its files need no content, for nothing is decoded here."""
    (image_dir / folder).mkdir(parents=True)
    for name in (f"{i:02d}.jpg" for i in range(names)) if isinstance(names, int) else names:
        (image_dir / folder / name).touch()


def make_classes(image_dir: Path, **sizes: int) -> str:
    for folder, size in sizes.items():
        make_class(image_dir, folder, size)
    return str(image_dir)


def lists_of(image_dir: str, testing: int, validation: int) -> ImageLists:
    options = ImageOptions(image_dir=image_dir, testing_percentage=testing, validation_percentage=validation)
    return create_image_lists(options)


def names_of(lists: ImageLists, folder: str) -> list[str]:
    return [image.file_name for image in lists.images if image.folder == folder]


def error_of(image_dir: str | Path, testing: int = 0, validation: int = 0) -> str:
    with pytest.raises(ImageFolderError) as caught:
        lists_of(str(image_dir), testing, validation)
    assert caught.value.exit_code == 2
    return str(caught.value)


# The split


def reference_rows(reference_dir: Path) -> list[dict[str, str]]:
    with open(reference_dir / "split.tsv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_all_photos_go_to_the_sets_the_original_puts_them_in(reference_dir: Path) -> None:
    """The split depends on the path as typed, so the strings of the reference are compared, wherever the photos lie."""
    rows = reference_rows(reference_dir)
    found = [which_split(row["path"], 10, 10) for row in rows]
    assert len(rows) == 600
    assert found == [row["set"] for row in rows]
    assert Counter(found) == {"training": 476, "validation": 64, "testing": 60}  # counted in split.tsv


def test_the_lists_of_the_photos_are_the_originals(
    reference_dir: Path, flower_photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "shared").symlink_to(flower_photos.parent)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    lists = lists_of("../shared/flower_photos", 10, 10)
    found = [(image.path, lists.labels[image.class_index], image.split) for image in lists.images]
    assert found == sorted((row["path"], row["label"], row["set"]) for row in reference_rows(reference_dir))
    assert lists.labels == lists.folders == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert [len(lists.indices(split)) for split in ("training", "validation", "testing")] == [476, 64, 60]


# The SHA-1 (from the program sha1sum), modulo 2^27, as a percentage of 2^27 - 1: photos/a/4.jpg 9.21, photos/a/5.jpg 30.30,
# ./photos/a/5.jpg 1.12.
@pytest.mark.parametrize(
    ("path", "testing", "validation", "expected"),
    [
        ("photos/a/4.jpg", 10, 10, "validation"),
        ("photos/a/4.jpg", 10, 9, "testing"),
        ("photos/a/4.jpg", 1, 9, "testing"),
        ("photos/a/4.jpg", 0, 9, "training"),
        ("photos/a/5.jpg", 10, 10, "training"),
        ("photos/a/5.jpg", 31, 0, "testing"),
        ("photos/a/5.jpg", 30, 0, "training"),
        ("photos/a/5.jpg", 0, 31, "validation"),
        ("./photos/a/5.jpg", 10, 10, "validation"),  # another string for the same file
    ],
)
def test_the_split_compares_the_hash_with_the_percentages(path: str, testing: int, validation: int, expected: str) -> None:
    assert which_split(path, testing, validation) == expected


def test_the_hash_never_reaches_validation_or_testing_at_0_percent() -> None:
    assert {which_split(f"photos/a/{i}.jpg", 0, 0) for i in range(1000)} == {"training"}


def test_shares_come_out_near_the_percentages() -> None:
    """10,000 names at 30% and 20%: the standard deviation of a share is below 0.5 points."""
    counts = Counter(which_split(f"photos/a/{i}.jpg", 30, 20) for i in range(10_000))
    assert counts["testing"] == pytest.approx(3000, abs=200)
    assert counts["validation"] == pytest.approx(2000, abs=200)


@given(path=st.text().map(lambda text: os.fsdecode(text.encode())), testing=st.integers(0, 99), validation=st.integers(0, 99))
def test_the_split_follows_the_rule_for_any_path(path: str, testing: int, validation: int) -> None:
    """The rule, written a second time from its description; lone surrogates stand for bytes that are not UTF-8."""
    start = path.find("_nohash_")
    hashed = os.fsencode(path if start < 0 else path[:start])
    percentage = int.from_bytes(hashlib.sha1(hashed).digest(), "big") % 2**27 * (100 / (2**27 - 1))
    expected = "validation" if percentage < validation else "testing" if percentage < validation + testing else "training"
    assert which_split(path, testing, validation) == expected


@pytest.mark.parametrize("ending", ["_nohash_1.jpg", "_nohash_.png", "_nohash_2_nohash_3.jpg"])
def test_what_follows_nohash_does_not_matter(ending: str) -> None:
    for number in range(50):
        assert which_split(f"p/a/{number}{ending}", 30, 30) == which_split(f"p/a/{number}", 30, 30)


def test_nohash_in_a_folder_name_cuts_there_too() -> None:
    assert len({which_split(f"p_nohash_x/a/{i}.jpg", 30, 30) for i in range(50)}) == 1


# Classes and labels


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("daisy", "daisy"),
        ("Common Daisy", "common daisy"),
        ("common_daisy--2", "common daisy 2"),
        ("_daisy_", "daisy"),  # The original keeps the spaces at the ends.
        ("mug blue (new)", "mug blue new"),
        ("Gänse-Blümchen", "g nse bl mchen"),
        ("日本", " "),
        ("ROSES", "roses"),
    ],
)
def test_the_label_of_a_folder(folder: str, label: str) -> None:
    assert label_of(folder) == label


def test_classes_and_images_are_sorted(tmp_path: Path) -> None:
    make_class(tmp_path, "b", ["2.jpg", "10.jpg", "B.jpg", "a.jpg"])
    make_class(tmp_path, "C", 3)
    make_class(tmp_path, "a", 3)
    lists = lists_of(str(tmp_path), 0, 0)
    assert lists.folders == ("C", "a", "b")  # as the codes of characters are ordered
    assert lists.labels == ("c", "a", "b")
    assert names_of(lists, "b") == ["10.jpg", "2.jpg", "B.jpg", "a.jpg"]
    assert [image.class_index for image in lists.images] == [0] * 3 + [1] * 3 + [2] * 4
    assert lists.images[0].path == os.path.join(str(tmp_path), "C", "00.jpg")


def test_paths_are_built_from_the_folder_as_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_classes(tmp_path / "photos", a=1, b=1)
    monkeypatch.chdir(tmp_path)
    for typed in ("photos", "./photos", "photos/", "../" + tmp_path.name + "/photos"):
        expected = "photos/a/00.jpg" if typed == "photos/" else f"{typed}/a/00.jpg"
        assert lists_of(typed, 0, 0).images[0].path == expected


@pytest.mark.parametrize("ending", ["jpg", "jpeg", "JPG", "JPEG", "png", "PNG", "Jpg"])
def test_endings_of_images(tmp_path: Path, ending: str) -> None:
    make_classes(tmp_path, a=1)
    make_class(tmp_path, "b", [f"photo.{ending}"])
    assert names_of(lists_of(str(tmp_path), 0, 0), "b") == [f"photo.{ending}"]


def test_what_is_no_image_is_ignored(tmp_path: Path) -> None:
    make_classes(tmp_path, a=1)
    make_class(tmp_path, "b", ["1.jpg", "2.gif", "3.txt", "jpg", "4.jpg.part", "Thumbs.db"])
    (tmp_path / "b" / "folder.jpg").mkdir()
    (tmp_path / "b" / "below").mkdir()
    (tmp_path / "b" / "below" / "5.jpg").touch()
    (tmp_path / "LICENSE.txt").touch()
    assert names_of(lists_of(str(tmp_path), 0, 0), "b") == ["1.jpg"]


def test_indices_of_each_set(tmp_path: Path) -> None:
    lists = lists_of(make_classes(tmp_path, a=60, b=60), 30, 20)
    sets = {split: lists.indices(split) for split in ("training", "validation", "testing")}
    assert sorted(index for indices in sets.values() for index in indices) == list(range(120))
    for split, indices in sets.items():
        assert {lists.images[index].split for index in indices} == {split}


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    make_classes(tmp_path, a=1)
    folder = os.fsencode(tmp_path) + b"/caf\xe9"  # Latin-1
    os.mkdir(folder)
    with open(folder + b"/\xff.jpg", "wb"):
        pass
    lists = lists_of(str(tmp_path), 0, 0)
    assert lists.labels == ("a", "caf")
    assert os.fsencode(lists.images[1].path) == folder + b"/\xff.jpg"
    assert os.path.exists(lists.images[1].path)


@pytest.mark.slow
def test_a_photo_whose_name_is_not_utf8_is_trained_on(
    small_photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(small_photos, tmp_path / "photos")
    photo = os.fsencode(next((tmp_path / "photos" / "red dots").iterdir()))
    shutil.copy(photo, os.path.join(os.path.dirname(photo), b"caf\xe9.jpg"))
    outputs = ["output_graph", "output_labels", "summaries_dir", "bottleneck_dir", "checkpoint_path"]
    flags = [f"--{output}={tmp_path / output}" for output in outputs]
    flags += [f"--image_dir={tmp_path / 'photos'}", "--architecture=tiny_resnet_128", "--how_many_training_steps=1"]
    assert main(flags) == 0
    assert "76 bottlenecks made, 0 read from" in capsys.readouterr().err  # 3 × 25 and the copy
    assert main(flags) == 0
    assert "0 bottlenecks made, 76 read from" in capsys.readouterr().err


# Warnings


def test_few_images_are_warned_of(tmp_path: Path, logged: list[str]) -> None:
    lists_of(make_classes(tmp_path, few=19, enough=20), 0, 0)
    assert logged == [f"WARNING: {tmp_path}/few has only 19 images; with fewer than 20 the result may be poor."]


def test_an_empty_class_is_skipped_with_a_warning(tmp_path: Path, logged: list[str]) -> None:
    lists = lists_of(make_classes(tmp_path, a=20, b=0, c=20), 0, 0)
    assert lists.folders == ("a", "c")
    assert {image.class_index for image in lists.images} == {0, 1}
    assert logged == [f"WARNING: No images in {tmp_path}/b: the folder is skipped."]


def names_in(image_dir: Path, folder: str, split: str, count: int) -> list[str]:
    """Return file names that 10% and 10% put into a set, in whatever folder the test runs."""
    names = (f"{i}.jpg" for i in range(10_000))
    found = (name for name in names if which_split(os.path.join(image_dir, folder, name), 10, 10) == split)
    return [next(found) for _ in range(count)]


@pytest.mark.parametrize(("missing", "present"), [("validation", "testing"), ("testing", "validation")])
def test_a_set_without_images_of_a_class_is_warned_of(tmp_path: Path, missing: str, present: str, logged: list[str]) -> None:
    for folder in ("a", "b", "c"):
        splits = {"training": 20, present: 1, missing: 1 if folder == "b" else 0}
        make_class(tmp_path, folder, [name for split, n in splits.items() for name in names_in(tmp_path, folder, split, n)])
    lists_of(str(tmp_path), 10, 10)
    assert logged == [f"WARNING: The {missing} set has no image of a, c: add images of each class to have some in every set."]


def test_a_set_that_is_not_wanted_is_not_warned_of(tmp_path: Path, logged: list[str]) -> None:
    lists_of(make_classes(tmp_path, a=20, b=20), 0, 0)
    assert logged == []


def test_of_many_classes_only_some_are_named(tmp_path: Path, logged: list[str]) -> None:
    for number in range(8):
        folder = f"class {number}"
        make_class(tmp_path, folder, names_in(tmp_path, folder, "training", 20) + names_in(tmp_path, folder, "testing", 1))
    lists_of(str(tmp_path), 10, 10)
    listed = ", ".join(f"class {number}" for number in range(5))
    assert logged == [
        f"WARNING: The validation set has no image of {listed} and 3 more: add images of each class to have some in every set."
    ]


# Images that cannot be decoded


def test_images_that_cannot_be_decoded_are_warned_of_in_order(tmp_path: Path, logged: list[str]) -> None:
    lists = lists_of(make_classes(tmp_path, a=20, b=20), 0, 0)
    report_failed(lists, {21: "the file is empty", 3: "image file is truncated"}, ImageOptions(image_dir=str(tmp_path)))
    assert logged == [
        f"WARNING: 2 images could not be decoded and are skipped:\n"
        f"  {tmp_path}/a/03.jpg: image file is truncated\n"
        f"  {tmp_path}/b/01.jpg: the file is empty"
    ]


def test_with_strict_an_image_that_cannot_be_decoded_is_an_error(tmp_path: Path, logged: list[str]) -> None:
    lists, options = lists_of(make_classes(tmp_path, a=20, b=20), 0, 0), ImageOptions(image_dir="photos", strict=True)
    with pytest.raises(ImageFolderError) as caught:
        report_failed(lists, {21: "the file is empty"}, options)
    assert str(caught.value) == (
        f"1 images could not be decoded (--strict). Fix or remove them:\n  {tmp_path}/b/01.jpg: the file is empty"
    )
    assert caught.value.exit_code == 2
    assert logged == []


@pytest.mark.parametrize("strict", [False, True])
def test_nothing_is_reported_if_all_images_can_be_decoded(tmp_path: Path, logged: list[str], strict: bool) -> None:
    lists = lists_of(make_classes(tmp_path, a=20, b=20), 0, 0)
    report_failed(lists, {}, ImageOptions(image_dir="photos", strict=strict))
    assert logged == []


# Errors


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "nothing"
    assert error_of(folder) == (
        f"--image_dir cannot be read: {folder} (No such file or directory). Give a folder that holds one folder for each class."
    )


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    file = tmp_path / "photos.zip"
    file.touch()
    assert error_of(file) == (
        f"--image_dir cannot be read: {file} (Not a directory). Give a folder that holds one folder for each class."
    )


def test_no_class(tmp_path: Path) -> None:
    assert error_of(tmp_path) == f"Training needs at least two classes. In {tmp_path}, there is no folder of images. {TO_FOLDERS}"


def test_one_class(tmp_path: Path) -> None:
    image_dir = make_classes(tmp_path, daisy=30, empty=0)
    assert error_of(image_dir) == (
        f"Training needs at least two classes. In {tmp_path}, there is one folder of images, daisy. {TO_FOLDERS}"
    )


def test_images_in_the_top_folder_are_named(tmp_path: Path) -> None:
    tmp_path = tmp_path / "inner"  # The folder above has no other folder of images.
    tmp_path.mkdir()
    (tmp_path / "1.jpg").touch()
    beside = "but 1 image in no folder"
    assert error_of(tmp_path) == (
        f"Training needs at least two classes. In {tmp_path}, there is no folder of images, {beside}. {TO_FOLDERS}"
    )
    make_classes(tmp_path, daisy=30)
    assert error_of(tmp_path) == (
        f"Training needs at least two classes. In {tmp_path}, there is one folder of images, daisy, {beside}. {TO_FOLDERS}"
    )


def test_a_class_given_as_the_folder_of_all(tmp_path: Path) -> None:
    make_classes(tmp_path, daisy=30, roses=20)
    assert error_of(tmp_path / "daisy") == (
        f"Training needs at least two classes. In {tmp_path}/daisy, there is no folder of images, but 30 images in no folder. "
        f"There are folders of images in {tmp_path}: perhaps that is the --image_dir you mean."
    )


@pytest.mark.parametrize(
    ("first", "second", "label"), [("Red-Rose", "red rose", "red rose"), ("a_1", "a__1", "a 1"), ("日", "本", " ")]
)
def test_two_folders_with_one_label(tmp_path: Path, first: str, second: str, label: str) -> None:
    first, second = (os.fsdecode(name.encode()) for name in (first, second))  # As any locale shows the bytes of their names.
    make_class(tmp_path, first, 20)
    make_class(tmp_path, second, 20)
    make_class(tmp_path, "other", 20)
    assert error_of(tmp_path) == (
        f'The folders {first!r} and {second!r} in {tmp_path} both give the label "{label}". Rename one, or merge them, '
        "or add --label_names folder."
    )


def test_an_empty_folder_takes_no_label(tmp_path: Path) -> None:
    make_classes(tmp_path, rose=20, Rose=0, other=20)
    assert lists_of(str(tmp_path), 0, 0).labels == ("other", "rose")


def test_classes_without_training_images(tmp_path: Path) -> None:
    for folder, split in (("a", "testing"), ("b", "training"), ("c", "validation")):
        make_class(tmp_path, folder, names_in(tmp_path, folder, split, 20))
    assert error_of(tmp_path, 10, 10) == (
        f"No training image is left in a, c of {tmp_path}: the split sent all of them to validation and testing. "
        "Add images, or lower --testing_percentage and --validation_percentage."
    )


# Folders that programs make for themselves


def test_hidden_folders_are_no_classes(tmp_path: Path, logged: list[str]) -> None:
    image_dir = make_classes(tmp_path / "photos", daisy=20, roses=20)
    for hidden in (".ipynb_checkpoints", "__MACOSX"):
        make_class(tmp_path / "photos", hidden, 1)
    assert lists_of(image_dir, 0, 0).labels == ("daisy", "roses")
    assert logged == [f"WARNING: Hidden folders in {image_dir} are no classes and are left out: .ipynb_checkpoints, __MACOSX."]


# Images further down


def test_images_two_levels_down_are_hinted_at(tmp_path: Path, logged: list[str]) -> None:
    for folder in ("daisy/2023/garden", "roses/2023/garden"):
        make_class(tmp_path, folder, 3)
    assert error_of(tmp_path) == (
        f"Training needs at least two classes. In {tmp_path}, there is no folder of images. {TO_FOLDERS} There are images "
        f"further down, in {tmp_path}/daisy/2023/garden: they must lie in the class's folder itself."
    )
    assert logged == [
        f"WARNING: No images in {tmp_path}/{name}: the folder is skipped. There are images further down, in "
        f"{tmp_path}/{name}/2023/garden."
        for name in ("daisy", "roses")
    ]


def test_images_below_a_class_with_images_are_counted(tmp_path: Path, logged: list[str]) -> None:
    image_dir = make_classes(tmp_path, daisy=20, roses=20)
    make_class(tmp_path, "roses/more", 12)
    make_class(tmp_path, "roses/.hidden", 5)
    make_class(tmp_path, "daisy/old/deep", 3)
    assert len(lists_of(image_dir, 0, 0).images) == 40
    assert logged == [
        "WARNING: 15 images lie in a folder within a class's folder, where they are not used: "
        f"{tmp_path}/daisy/old/deep, {tmp_path}/roses/more."
    ]


def test_a_folder_one_level_too_high(tmp_path: Path) -> None:
    for folder, count in {"flowers": 3, "flowers/daisy": 20, "flowers/roses": 20, "trees": 25}.items():
        make_class(tmp_path, folder, count)
    assert error_of(tmp_path) == (
        f"--image_dir {tmp_path} may be one level too high. Its classes would be flowers (3 images), trees (25 images), but "
        f"there are folders of images in {tmp_path}/flowers: daisy, roses. If these are classes, give "
        f"--image_dir {tmp_path}/flowers. If flowers is one class, move their images into {tmp_path}/flowers itself."
    )


def test_a_skipped_folder_of_classes_stays_a_warning(tmp_path: Path, logged: list[str]) -> None:
    image_dir = make_classes(tmp_path, daisy=20, roses=20)
    for folder in ("more/tulips", "more/sunflowers"):
        make_class(tmp_path, folder, 20)
    assert lists_of(image_dir, 0, 0).labels == ("daisy", "roses")
    assert logged == [
        f"WARNING: No images in {tmp_path}/more: the folder is skipped. There are images further down, in "
        f"{tmp_path}/more/sunflowers."
    ]


@pytest.mark.parametrize("folder", ["roses/more", "roses/.thumbnails", "roses/more/deeper"])
def test_a_class_with_one_folder_of_images_is_trained_on(tmp_path: Path, folder: str) -> None:
    image_dir = make_classes(tmp_path, daisy=20, roses=20)
    for name in (folder, "roses/other"):
        make_class(tmp_path, name, 0 if name == "roses/other" else 5)
    assert lists_of(image_dir, 0, 0).labels == ("daisy", "roses")
