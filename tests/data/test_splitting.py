"""Splits that keep photos together."""

import hashlib
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.data.photos import Photo
from retrain.data.splitting import splits_of, which_split
from retrain.options.images import ImageOptions


def options(rule: str, testing: int = 10, validation: int = 10) -> ImageOptions:
    return ImageOptions(image_dir="photos", split_by=rule, testing_percentage=testing, validation_percentage=validation)


def photo(path: str, label: str = "a", split: str = "", group: str = "") -> Photo:
    return Photo(path, path, label, path, (label,), split, group)


def test_equal_photos_are_in_one_set(tmp_path: Path) -> None:
    photos = []
    for number in range(200):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(b"%d" % (number % 50))
        photos.append(photo(str(path), "ab"[number % 2]))
    splits = splits_of(photos, options("content", 30, 30))
    by_content = defaultdict(set)
    for number, split in enumerate(splits):
        by_content[number % 50].add(split)
    assert {len(found) for found in by_content.values()} == {1}
    expected = [which_split(hashlib.sha256(b"%d" % (number % 50)).hexdigest(), 30, 30) for number in range(200)]
    assert splits == expected  # Each class has photos in each set by itself, so none is moved.


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    def split(names: list[str]) -> list[str]:
        for index, name in enumerate(names):
            (tmp_path / name).write_bytes(b"%d" % index)
        return splits_of([photo(str(tmp_path / name)) for name in names], options("content"))

    assert split([f"{i}.jpg" for i in range(100)]) == split([f"other {i}.png" for i in range(100)])


def test_a_group_is_in_one_set() -> None:
    photos = [photo(f"{number}.jpg", "ab"[number % 2], group=f"person {number % 20}") for number in range(200)]
    splits = splits_of(photos, options("group", 20, 20))
    by_group = defaultdict(set)
    for each, split in zip(photos, splits, strict=True):
        by_group[each.group].add(split)
    assert {len(found) for found in by_group.values()} == {1}
    assert set(splits) == {"training", "validation", "testing"}


def test_without_a_group_the_part_of_the_path_before_nohash_is_one() -> None:
    photos = [photo(f"p/{number % 30}_nohash_{number}.jpg") for number in range(300)]
    splits = splits_of(photos, options("group", 30, 30))
    assert {len({split for n, split in enumerate(splits) if n % 30 == k}) for k in range(30)} == {1}


def test_the_rule_of_the_original_is_left_as_it_is() -> None:
    photos = [photo(f"{number}.jpg", group="all") for number in range(3)]
    assert splits_of(photos, options("path")) == [which_split(each.path, 10, 10) for each in photos]


@pytest.mark.parametrize("n_groups", [3, 4, 7])
def test_three_groups_of_a_class_are_enough_for_each_set(n_groups: int) -> None:
    for start in range(50):
        photos = [photo(f"{n}", label, group=f"{label} {start} {n}") for label in "abc" for n in range(n_groups)]
        splits = splits_of(photos, options("group"))
        for label in "abc":
            found = {split for each, split in zip(photos, splits, strict=True) if each.labels == (label,)}
            assert found == {"training", "validation", "testing"}


def test_a_set_that_is_not_wanted_stays_empty() -> None:
    photos = [photo(f"{n}", group=f"{n}") for n in range(5)]
    assert set(splits_of(photos, options("group", testing=0))) == {"training", "validation"}
    assert set(splits_of(photos, options("group", testing=0, validation=0))) == {"training"}


def test_given_sets_are_kept_and_what_belongs_to_them_follows() -> None:
    photos = [photo(f"{n}", group=f"{n % 10}", split="testing" if n < 3 else "") for n in range(40)]
    splits = splits_of(photos, options("group"))
    assert {split for n, split in enumerate(splits) if n % 10 < 3} == {"testing"}
    assert {"training", "validation"} <= set(splits)


def test_a_photo_that_cannot_be_read_is_split_by_its_path(tmp_path: Path) -> None:
    path = str(tmp_path / "missing.jpg")
    assert splits_of([photo(path)], options("content")) == [which_split(path, 10, 10)]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("123456"), st.sampled_from(["", "", "training", "testing"]))),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_no_group_is_torn_apart_and_no_given_set_is_changed(
    rows: list[tuple[str, str, str]], testing: int, validation: int
) -> None:
    photos = [photo(f"{n}", label, split, group) for n, (label, group, split) in enumerate(rows)]
    splits = splits_of(photos, options("group", testing, validation))
    assert all(found == each.split for each, found in zip(photos, splits, strict=True) if each.split)
    free = defaultdict(set)
    for each, split in zip(photos, splits, strict=True):
        if not each.split:
            free[each.group].add(split)
    assert all(len(found) == 1 for found in free.values())
