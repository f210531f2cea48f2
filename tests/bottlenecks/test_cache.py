"""The cache on disk: the original's files, read and written to the last bit, and used only while they are valid."""

import os
import resource
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.arrays import FloatArray
from retrain.bottlenecks.cache import BottleneckCache, Stale, format_values, parse_values
from retrain.data.image_lists import LabelledImage
from retrain.errors import OutputError

ARCHITECTURE = "mobilenet_0.25_128"
N_REFERENCES = 30  # In `reference/bottlenecks`, says its README.
MOBILENET_SIZE = 1001
FIRST = np.array([1, 2.5, -3e-7], np.float32)
SECOND = np.array([4, 0, 1e20], np.float32)


def write_image(folder: Path, name: str = "a.jpg", content: bytes = b"content of a photo") -> LabelledImage:
    """Write an image of the class `Red roses`. The cache reads its bytes only to compare them, so any will do."""
    class_folder = folder / "photos" / "Red roses"
    class_folder.mkdir(parents=True, exist_ok=True)
    (class_folder / name).write_bytes(content)
    return LabelledImage(str(class_folder / name), "Red roses", name, 0, "training")


def open_cache(folder: Path, architecture: str = ARCHITECTURE, size: int = 3, fingerprint: str = "network 1") -> BottleneckCache:
    """Return a cache as a new run opens it: it knows only what is on disk."""
    return BottleneckCache(str(folder / "cache"), architecture, size, fingerprint)


def mtime_ns(image: LabelledImage) -> int:
    return os.stat(image.path).st_mtime_ns


def keep(folder: Path, image: LabelledImage, values: FloatArray = FIRST) -> None:
    open_cache(folder).keep([image], values[np.newaxis], [mtime_ns(image)])


def edit(image: LabelledImage, content: bytes) -> None:
    """Overwrite an image in place, a second later."""
    later = mtime_ns(image) + 10**9
    Path(image.path).write_bytes(content)
    os.utime(image.path, ns=(later, later))


def put_text(folder: Path, image: LabelledImage, text: bytes) -> Path:
    """Write a bottleneck as another program would."""
    path = Path(open_cache(folder).path(image))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return path


def bits(values: FloatArray) -> list[int]:
    assert values.dtype == np.float32
    return values.view(np.uint32).tolist()


# Names and text


def test_paths_are_the_originals() -> None:
    # From the original's behaviour: <bottleneck_dir>/<class folder>/<image file name>_<architecture>.txt
    cache = BottleneckCache("/tmp/bottleneck", "inception_v3", 2048, "")
    image = LabelledImage("flowers/Red roses/a b.c.JPG", "Red roses", "a b.c.JPG", 0, "training")
    assert cache.path(image) == "/tmp/bottleneck/Red roses/a b.c.JPG_inception_v3.txt"


def parsed_as_the_original_does(text: bytes) -> FloatArray:
    return np.array([float(part) for part in text.decode().split(",")], np.float32)


FINITE = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=50)


@given(FINITE)
def test_text_keeps_every_bit_here_and_in_the_original(numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)
    text = format_values(values)
    assert bits(parsed_as_the_original_does(text)) == bits(values)
    found = parse_values(text)
    assert found is not None
    assert bits(found) == bits(values)


@given(FINITE)
def test_text_has_as_few_digits_as_can_be(numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)

    def digits(number: str) -> str:
        return number.lower().split("e")[0].replace(".", "").strip("-0")

    found = [digits(part) for part in format_values(values).decode().split(",")]
    assert found == [digits(np.format_float_scientific(value, unique=True)) for value in values]  # numpy's: shortest, too


@given(FINITE)
def test_numbers_as_numpy_prints_them_are_read(numbers: list[float]) -> None:
    values = np.array(numbers, np.float32)
    found = parse_values(",".join(str(value) for value in values).encode())
    assert found is not None
    assert bits(found) == bits(values)


@pytest.mark.parametrize("text", [b"1e-05,3.4028235e+38,-0.0", b" 1, 2 ,3\n", b"1.,.5,-2.", b"+1,0003,1E5", b"1,2,3\r\n"])
def test_whatever_the_originals_parser_reads_is_read(text: bytes) -> None:
    found = parse_values(text)
    assert found is not None
    assert bits(found) == bits(parsed_as_the_original_does(text))


def test_rows_of_a_larger_array_and_columns_are_written_alike() -> None:
    table: FloatArray = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    assert parse_values(format_values(table[:, 1])) is not None
    assert format_values(table[:, 1]) == format_values(table[:, 1].copy())


def test_all_files_of_the_original_are_read_value_for_value(reference_dir: Path, flower_photos: Path, logged: list[str]) -> None:
    cache = BottleneckCache(str(reference_dir / "bottlenecks"), ARCHITECTURE, MOBILENET_SIZE, "any")
    paths = sorted((reference_dir / "bottlenecks").glob("*/*.txt"))
    for path in paths:
        folder, name = path.parent.name, path.name.removesuffix(f"_{ARCHITECTURE}.txt")
        image = LabelledImage(str(flower_photos / folder / name), folder, name, 0, "training")
        assert cache.path(image) == str(path)
        found = cache.read(image)
        assert not isinstance(found, Stale)
        assert bits(found) == bits(parsed_as_the_original_does(path.read_bytes()))
        assert format_values(found) == path.read_bytes(), "the original's text, to the byte"
    assert len(paths) == N_REFERENCES
    assert logged == []


# What is made again


def test_what_was_written_is_read(tmp_path: Path) -> None:
    image = write_image(tmp_path)
    assert open_cache(tmp_path).read(image) is Stale.MISSING
    keep(tmp_path, image)
    found = open_cache(tmp_path).read(image)
    assert not isinstance(found, Stale)
    assert bits(found) == bits(FIRST)
    assert Path(open_cache(tmp_path).path(image)).read_bytes() == b"1.0,2.5,-3e-7"


UNUSABLE = [b"", b"\n", b"1,2", b"1,2,3,4", b"1,2,x", b"1,,2", b"1,2,", b"1,2,nan", b"inf,1,2", b"\xff,1,2", b"1 2 3"]


@pytest.mark.parametrize("text", UNUSABLE)
def test_a_file_that_does_not_hold_the_numbers_is_named_and_made_again(text: bytes, tmp_path: Path, logged: list[str]) -> None:
    image = write_image(tmp_path)
    path = put_text(tmp_path, image, text)
    assert open_cache(tmp_path).read(image) is Stale.UNREADABLE
    assert logged == [f"WARNING: The bottleneck {path} does not hold 3 numbers; it is made again."]


@pytest.mark.filterwarnings("error")
def test_a_number_beyond_float32_is_named_and_made_again(tmp_path: Path, logged: list[str]) -> None:
    image = write_image(tmp_path)
    path = put_text(tmp_path, image, b"1,2,1e39")
    assert open_cache(tmp_path).read(image) is Stale.UNREADABLE
    assert logged == [f"WARNING: The bottleneck {path} does not hold 3 numbers; it is made again."]


@pytest.mark.parametrize("text", [b"[1],[2],[3]", b"true,false,true", b'"1","2","3"'])
def test_json_that_the_originals_parser_refuses_is_made_again(text: bytes, tmp_path: Path) -> None:
    image = write_image(tmp_path)
    put_text(tmp_path, image, text)
    assert open_cache(tmp_path).read(image) is Stale.UNREADABLE


def test_a_bottleneck_that_cannot_be_opened_is_named_and_made_again(tmp_path: Path, logged: list[str]) -> None:
    image = write_image(tmp_path)
    path = Path(open_cache(tmp_path).path(image))
    path.mkdir(parents=True)
    assert open_cache(tmp_path).read(image) is Stale.UNREADABLE
    assert logged == [f"WARNING: The bottleneck {path} cannot be read (Is a directory); it is made again."]


def test_the_originals_files_need_no_index(tmp_path: Path) -> None:
    image = write_image(tmp_path)
    path = put_text(tmp_path, image, b"1.0,2.5,-3e-07")
    found = open_cache(tmp_path).read(image)
    assert not isinstance(found, Stale)
    assert bits(found) == bits(FIRST)
    assert os.listdir(path.parent) == [path.name], "reading leaves nothing behind"


def test_an_image_edited_in_place_is_noticed(tmp_path: Path) -> None:
    image = write_image(tmp_path, content=b"before")
    keep(tmp_path, image)
    edit(image, b"after, and longer")
    assert open_cache(tmp_path).read(image) is Stale.IMAGE_CHANGED


def test_another_content_of_the_same_size_is_noticed(tmp_path: Path) -> None:
    image = write_image(tmp_path, content=b"one")
    keep(tmp_path, image)
    edit(image, b"two")
    assert open_cache(tmp_path).read(image) is Stale.IMAGE_CHANGED


def test_another_size_with_the_same_time_is_noticed(tmp_path: Path) -> None:
    image = write_image(tmp_path, content=b"one")
    keep(tmp_path, image)
    before = mtime_ns(image)
    Path(image.path).write_bytes(b"three")
    os.utime(image.path, ns=(before, before))
    assert open_cache(tmp_path).read(image) is Stale.IMAGE_CHANGED


def test_an_image_that_was_only_touched_keeps_its_bottleneck(tmp_path: Path) -> None:
    image = write_image(tmp_path, content=b"same")
    keep(tmp_path, image)
    edit(image, b"same")
    found = open_cache(tmp_path).read(image)
    assert not isinstance(found, Stale)
    assert bits(found) == bits(FIRST)


def test_of_an_image_edited_while_it_was_decoded_nothing_is_kept(tmp_path: Path) -> None:
    image, other = write_image(tmp_path, content=b"decoded"), write_image(tmp_path, "other.jpg")
    before = [mtime_ns(image), mtime_ns(other)]
    edit(image, b"changed")
    open_cache(tmp_path).keep([image, other], np.stack([FIRST, SECOND]), before)
    assert open_cache(tmp_path).read(image) is Stale.MISSING
    assert not isinstance(open_cache(tmp_path).read(other), Stale)


def test_of_an_image_that_has_vanished_nothing_is_kept(tmp_path: Path) -> None:
    image = write_image(tmp_path)
    before = mtime_ns(image)
    os.unlink(image.path)
    open_cache(tmp_path).keep([image], FIRST[np.newaxis], [before])
    assert not (tmp_path / "cache").exists()


def test_another_network_under_the_same_name_is_noticed(tmp_path: Path) -> None:
    image = write_image(tmp_path)
    keep(tmp_path, image)
    assert open_cache(tmp_path, fingerprint="network 2").read(image) is Stale.NETWORK_CHANGED


def test_a_bottleneck_made_again_is_used_by_the_next_run(tmp_path: Path) -> None:
    image = write_image(tmp_path, content=b"before")
    keep(tmp_path, image)
    edit(image, b"after")
    keep(tmp_path, image, SECOND)
    found = open_cache(tmp_path).read(image)
    assert not isinstance(found, Stale)
    assert bits(found) == bits(SECOND)


# The index


def index_path(folder: Path, architecture: str = ARCHITECTURE) -> Path:
    return folder / "cache" / "Red roses" / f".index_{architecture}.jsonl"


def test_a_torn_last_line_of_the_index_costs_only_itself(tmp_path: Path) -> None:
    one, two, three = (write_image(tmp_path, f"{name}.jpg") for name in ("one", "two", "three"))
    keep(tmp_path, one)
    keep(tmp_path, two)
    whole = index_path(tmp_path).read_bytes()
    index_path(tmp_path).write_bytes(whole[:-20])  # As a killed run leaves it.
    edit(one, b"another photo")
    edit(two, b"another photo")
    assert open_cache(tmp_path).read(one) is Stale.IMAGE_CHANGED
    assert not isinstance(open_cache(tmp_path).read(two), Stale), "without its line, it is as one of the original's"
    keep(tmp_path, three)
    edit(three, b"another photo")
    assert open_cache(tmp_path).read(three) is Stale.IMAGE_CHANGED, "the line after the torn one is whole"


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\x00\xff\n", b"[1]\n", b"{}\n", b"null\n", b'["a.jpg"]\n'])
def test_an_index_that_holds_nothing_useful_is_as_none(content: bytes, tmp_path: Path) -> None:
    image = write_image(tmp_path)
    keep(tmp_path, image)
    index_path(tmp_path).write_bytes(content)
    assert not isinstance(open_cache(tmp_path).read(image), Stale)


def test_caches_of_two_architectures_in_one_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    image = write_image(tmp_path)
    other = open_cache(tmp_path, "inception_v3", size=2, fingerprint="another network")
    keep(tmp_path, image)
    assert other.read(image) is Stale.MISSING
    other.keep([image], np.array([[7, 8]], np.float32), [mtime_ns(image)])
    mine = open_cache(tmp_path).read(image)
    theirs = open_cache(tmp_path, "inception_v3", size=2, fingerprint="another network").read(image)
    assert not isinstance(mine, Stale)
    assert not isinstance(theirs, Stale)
    assert (bits(mine), theirs.tolist()) == (bits(FIRST), [7, 8])


def test_image_names_of_any_kind_are_remembered(tmp_path: Path) -> None:
    for name in ("plain.jpg", "Ünïcode 花.jpg", 'quote"[],.jpg', "line\nbreak.jpg"):
        image = write_image(tmp_path, os.fsdecode(name.encode()))
        keep(tmp_path, image)
        edit(image, b"another photo")
        assert open_cache(tmp_path).read(image) is Stale.IMAGE_CHANGED


def test_image_names_that_are_no_unicode_are_remembered(tmp_path: Path) -> None:
    image = write_image(tmp_path, os.fsdecode(b"caf\xe9.jpg"))
    keep(tmp_path, image)
    edit(image, b"another photo")
    assert open_cache(tmp_path).read(image) is Stale.IMAGE_CHANGED


# Writes that fail


def test_a_cache_folder_that_is_a_file_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    image = write_image(tmp_path)
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(OutputError) as caught:
        keep(tmp_path, image)
    assert str(caught.value) == (
        f"In the bottleneck cache, {tmp_path}/cache/Red roses cannot be written (Not a directory). What was made before is kept: "
        "make room, or give another --bottleneck_dir, and run again."
    )
    assert caught.value.exit_code == 2


def test_a_write_whose_name_is_not_free_leaves_nothing(tmp_path: Path) -> None:
    image = write_image(tmp_path)
    path = Path(open_cache(tmp_path).path(image))
    path.mkdir(parents=True)
    with pytest.raises(OutputError, match=r"cannot be written \(Is a directory\)"):
        keep(tmp_path, image)
    assert os.listdir(path.parent) == [path.name]


def test_a_full_disk_leaves_no_half_bottleneck_and_all_others_whole(tmp_path: Path) -> None:
    image, other = write_image(tmp_path), write_image(tmp_path, "other.jpg")
    keep(tmp_path, other)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))  # Files end there, as on a disk without room for more.
    try:
        with pytest.raises(OutputError, match=r"/a\.jpg_mobilenet_0\.25_128\.txt cannot be written \(File too large\)"):
            keep(tmp_path, image, np.linspace(0, 1, MOBILENET_SIZE, dtype=np.float32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not isinstance(open_cache(tmp_path).read(other), Stale)
    assert open_cache(tmp_path).read(image) is Stale.MISSING
    assert len(os.listdir(index_path(tmp_path).parent)) == 2, "the other's bottleneck and the index"


def test_a_link_under_the_name_of_the_index_is_not_followed(tmp_path: Path) -> None:
    image, victim = write_image(tmp_path), tmp_path / "victim"
    victim.write_bytes(b"precious")
    index_path(tmp_path).parent.mkdir(parents=True)
    index_path(tmp_path).symlink_to(victim)
    with pytest.raises(OutputError, match=r"\.index_mobilenet_0\.25_128\.jsonl cannot be written"):
        keep(tmp_path, image)
    assert victim.read_bytes() == b"precious"


def test_a_link_under_the_name_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / f".lock_{ARCHITECTURE}").symlink_to(tmp_path / "victim")
    with pytest.raises(OutputError, match=r"\.lock_mobilenet_0\.25_128 cannot be written"), open_cache(tmp_path).making():
        pass
    assert not (tmp_path / "victim").exists()


def test_what_a_killed_run_left_behind_is_removed_after_an_hour(tmp_path: Path) -> None:
    image = write_image(tmp_path)
    keep(tmp_path, image)
    old, young, not_ours = (index_path(tmp_path).parent / name for name in (f".tmp-{'a' * 16}", f".tmp-{'b' * 16}", ".tmp-mine"))
    for path, age in ((old, 3700), (young, 3500), (not_ours, 3700)):
        path.write_bytes(b"half a bott")
        os.utime(path, (time.time() - age, time.time() - age))
    assert not isinstance(open_cache(tmp_path).read(image), Stale)
    assert [path.exists() for path in (old, young, not_ours)] == [False, True, True]


def test_a_name_as_long_as_names_can_be(tmp_path: Path) -> None:
    images = [write_image(tmp_path, f"{letter * 251}.jpg") for letter in "ab"]
    for image, values in zip(images, (FIRST, SECOND), strict=True):
        keep(tmp_path, image, values)
    for image, values in zip(images, (FIRST, SECOND), strict=True):
        found = open_cache(tmp_path).read(image)
        assert not isinstance(found, Stale)
        assert bits(found) == bits(values)


# Files that came without a record


def test_an_adopted_bottleneck_is_noticed_to_be_stale_too(tmp_path: Path) -> None:
    image, touched, other = (write_image(tmp_path, name) for name in ("a.jpg", "touched.jpg", "other.jpg"))
    for each in (image, touched, other):
        put_text(tmp_path, each, b"1,2,3")
    cache = open_cache(tmp_path)
    assert not cache.is_recorded(image)
    cache.adopt([image, touched])
    edit(image, b"another photo")
    edit(touched, Path(touched.path).read_bytes())
    again = open_cache(tmp_path)
    assert [again.is_recorded(each) for each in (image, touched, other)] == [True, True, False]
    assert again.read(image) is Stale.IMAGE_CHANGED
    assert again.read(touched) is Stale.IMAGE_CHANGED, "its content when it was adopted is not known"
    assert not isinstance(again.read(other), Stale)


def test_adopting_in_a_folder_that_cannot_be_written_to_is_no_obstacle(tmp_path: Path) -> None:
    image = write_image(tmp_path)
    put_text(tmp_path, image, b"1,2,3")
    index_path(tmp_path).mkdir()  # Not even root can write to that.
    open_cache(tmp_path).adopt([image])
    assert not isinstance(open_cache(tmp_path).read(image), Stale)
