"""Tables of images: every form in which people have them, and what is wrong with a line."""

import csv
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrain.data.image_list import read_list
from retrain.data.image_lists import create_image_lists, list_images, save_split
from retrain.data.splitting import which_split
from retrain.errors import ImageFolderError
from retrain.options.images import ImageOptions


def table(folder: Path, text: str | bytes, *images: str) -> str:
    """Write a table, and empty files for its images; return the table's path."""
    for image in images:
        (folder / image).parent.mkdir(parents=True, exist_ok=True)
        (folder / image).touch()
    path = folder / "photos.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def found(path: str) -> list[tuple[str, ...]]:
    return [(photo.hashed, *photo.labels, photo.split, photo.group) for photo in read_list(path, "folder")]


EXPECTED = [("a.jpg", "cat", "training", "one"), ("b.jpg", "dog", "", "two")]
ROWS = "path,label,set,group\na.jpg,cat,training,one\nb.jpg,dog,,two\n"


@pytest.mark.parametrize(
    "text",
    [
        ROWS,
        ROWS.replace(",", "\t"),
        ROWS.replace(",", ";"),
        ROWS.encode("utf-8-sig"),
        ROWS.encode("utf-16"),
        ROWS.replace("\n", "\r\n"),
        ROWS.replace("\n", "\r"),
        ROWS.split("\n", 1)[1],  # Without a first line that names the columns.
        ROWS.replace("path,label,set,group", "Filename, Class ,SPLIT,Group").replace("training", "train"),
        ROWS + "\n,,,\n" + "a.jpg,cat,training,one\n",  # Empty lines, and an image twice with the same values.
        'group,path,set,label\none,"a.jpg",training,cat\ntwo,b.jpg,,dog\n',
    ],
    ids=["commas", "tabs", "semicolons", "mark", "utf16", "crlf", "cr", "no names", "other names", "empty lines", "other order"],
)
def test_forms_of_a_table(tmp_path: Path, text: str | bytes) -> None:
    assert found(table(tmp_path, text, "a.jpg", "b.jpg")) == EXPECTED


def test_quoted_names_and_names_in_any_script(tmp_path: Path) -> None:
    text = 'path,label\n"a, b.jpg","cats, ""big"""\nКошка/1.jpg,Cafe\u0301\n'
    assert found(table(tmp_path, text, "a, b.jpg")) == [("Кошка/1.jpg", "Café", "", ""), ("a, b.jpg", 'cats, "big"', "", "")]


def test_paths_as_windows_writes_them(tmp_path: Path) -> None:
    assert found(table(tmp_path, "path,label\nin\\a.jpg,cat\n", "in/a.jpg")) == [("in/a.jpg", "cat", "", "")]
    assert found(table(tmp_path, "path,label\nx\\y.jpg,cat\n", "x\\y.jpg")) == [("x\\y.jpg", "cat", "", "")]


def test_several_labels(tmp_path: Path) -> None:
    path = table(tmp_path, "path,label\na.jpg,cat | dog|cat|\nb.jpg,cat\n", "a.jpg", "b.jpg")
    assert [photo.labels for photo in read_list(path, "folder", multi_label=True)] == [("cat",), ("cat", "dog")]
    assert [photo.labels for photo in read_list(path, "folder")] == [("cat",), ("cat | dog|cat|",)]


def test_paths_are_relative_to_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    path = table(tmp_path / "here", f"path,label\nin/a.jpg,cat\n{tmp_path}/b.jpg,dog\n", "in/a.jpg", "../b.jpg")
    monkeypatch.chdir(tmp_path)
    paths = [photo.path for photo in read_list("here/photos.csv", "folder")]
    assert paths == ["here/in/a.jpg", f"{tmp_path}/b.jpg"]
    assert read_list(path, "folder")[0].path == f"{tmp_path}/here/in/a.jpg"


def test_the_folder_in_the_cache_is_that_of_an_image_folder_where_it_is_enough(tmp_path: Path) -> None:
    names = ["d/cats/1.jpg", "d/dogs/1.jpg", "2023/in/1.jpg", "2024/in/1.jpg", "1.jpg", "../2.jpg", "../../x/3.jpg"]
    path = table(tmp_path / "a" / "b", "path,label\n" + "".join(f"{name},cat\n" for name in names), *names)
    folders = {photo.hashed: photo.folder for photo in read_list(path, "folder")}
    assert folders == {
        "d/cats/1.jpg": "cats",
        "d/dogs/1.jpg": "dogs",
        "2023/in/1.jpg": "2023~in",
        "2024/in/1.jpg": "2024~in",
        "1.jpg": "",
        "../2.jpg": "~",
        "../../x/3.jpg": "x",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("path,label\na.jpg,cat\n,dog\n", ", line 3: it has no path."),
        ("path,label\na.jpg,\n", ", line 2: a.jpg has no label."),
        ("a.jpg\n", ", line 1: a.jpg has no label."),
        ("path,set\na.jpg,training\n", ", line 1: the table has no column label."),
        ("label\ncat\n", ", line 1: the table has no column path."),
        ("path,label,set\na.jpg,cat,dev\n", ", line 2: the set must be training, validation, testing or empty. It is dev."),
        ("path,label\na.jpg,cat\nb.jpg,cat\na.jpg,dog\n", ", line 4: a.jpg stands in line 2 too, with other values."),
        (
            "path,label\na.jpg,ca\x07t\n",
            ", line 2: The name ca\\x07t cannot be a label, since it is blank or not all of its characters can be printed. "
            "Rename it, or add --label_names original.",
        ),
        ("", " names no image. Give a table with the columns path and label."),
        ("path,label\n", " names no image. Give a table with the columns path and label."),
        (
            "path,label\nx/1.jpg,cat\n",
            ": none of its 1 images is there, such as {folder}/x/1.jpg. Paths are relative to the folder of the table.",
        ),
        ('path,label\n"a.jpg,cat\n', " is no table of text (unexpected end of data). Save it as CSV, in UTF-8."),
    ],
)
def test_what_is_wrong_with_a_table(tmp_path: Path, text: str, problem: str) -> None:
    path = table(tmp_path, text, "a.jpg")
    with pytest.raises(ImageFolderError) as caught:
        read_list(path, "folder")
    assert str(caught.value) == f"--image_list {path}{problem.format(folder=tmp_path)}"
    assert caught.value.exit_code == 2


def test_a_table_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ImageFolderError, match=r"cannot be read \(No such file or directory\)\. Give a table of images\.$"):
        read_list(str(tmp_path / "none.csv"), "folder")


def test_one_label_is_too_few_to_train_but_not_to_evaluate(tmp_path: Path) -> None:
    options = ImageOptions(image_list=table(tmp_path, "a.jpg,cat\n", "a.jpg"))
    with pytest.raises(ImageFolderError) as caught:
        create_image_lists(options)
    assert str(caught.value) == (
        f"Training needs at least two classes. All images of --image_list {options.image_list} have the label cat."
    )
    assert list_images(options).labels == ("cat",)


def test_images_without_a_set_are_split_by_the_path_in_the_table(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(100)]
    text = "path,label,set\n" + "".join(f"{n},{'ab'[i % 2]},{'testing' if i < 10 else ''}\n" for i, n in enumerate(names))
    lists = create_image_lists(ImageOptions(image_list=table(tmp_path, text, *names)))
    for image in lists.images:
        number = int(image.file_name.split(".")[0])
        assert image.split == ("testing" if number < 10 else which_split(image.file_name, 10, 10))
    assert lists.labels == lists.folders == ("a", "b")


def test_labels_by_the_rule_of_the_original(tmp_path: Path) -> None:
    options = ImageOptions(image_list=table(tmp_path, "a.jpg,Red-Rose\nb.jpg,Köpfe\n", "a.jpg", "b.jpg"), label_names="original")
    assert list_images(options).labels == ("k pfe", "red rose")


@pytest.mark.parametrize("source", ["folder", "table"])
def test_a_saved_split_is_read_as_the_same_split(tmp_path: Path, source: str) -> None:
    names = [f"{label}/{number}, x.jpg" for label in ("Café", "tea") for number in range(30)]
    rows = "".join(f'"photos/{n}",{n.split("/")[0]},,group {i % 7}\n' for i, n in enumerate(names))
    path = table(tmp_path, "path,label,set,group\n" + rows, *(f"photos/{name}" for name in names))
    options = ImageOptions(image_list=path) if source == "table" else ImageOptions(image_dir=str(tmp_path / "photos"))
    lists = create_image_lists(options, like_original=False)
    (tmp_path / "out").mkdir()
    saved = str(tmp_path / "out" / "split.csv")
    save_split(saved, lists)
    again = create_image_lists(ImageOptions(image_list=saved))
    assert (again.labels, again.digest) == (lists.labels, lists.digest)
    assert [image.group for image in again.images] == [image.group for image in lists.images]
    with open(saved, encoding="utf-8", newline="") as file:
        rows_written = list(csv.DictReader(file))
    assert {row["path"] for row in rows_written} == {os.path.join("..", "photos", name) for name in names}
    assert ("group" in rows_written[0]) == (source == "table")


CELLS = st.one_of(st.text(max_size=12), st.sampled_from(["a.jpg", "path", "label", "set", "training", "cat", '"', "", "\t", "|"]))


@given(st.lists(st.lists(CELLS, max_size=5), max_size=6), st.sampled_from([",", "\t", ";"]), st.booleans())
def test_any_table_is_read_or_refused_by_our_own_error(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], separator: str, multi_label: bool
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any_table"
    folder.mkdir(exist_ok=True)
    path = table(folder, "\n".join(separator.join(row) for row in rows).encode("utf-8", "surrogatepass"), "a.jpg")
    try:
        photos = read_list(path, "folder", multi_label)
    except ImageFolderError as error:
        assert path in str(error)
    else:
        assert all(photo.labels and all(photo.labels) and ".." not in photo.folder.split("/") for photo in photos)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_by_our_own_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp() / "any_bytes"
    folder.mkdir(exist_ok=True)
    path = table(folder, data)
    try:
        read_list(path, "original")
    except ImageFolderError as error:
        assert path in str(error)
