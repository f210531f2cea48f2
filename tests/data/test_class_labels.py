"""Labels of class folders in any script, by both rules, and how evaluation finds them again."""

import unicodedata
from pathlib import Path

import pytest

from retrain.data.image_lists import ImageLists, create_image_lists
from retrain.data.labels import label_of, matching_label
from retrain.errors import ImageFolderError
from retrain.options.images import ImageOptions

CAFE = {form: unicodedata.normalize(form, "Café") for form in ("NFC", "NFD")}  # As Linux and as a Mac write it.


def lists_of(image_dir: Path, *folders: str, label_names: str | None = None, like_original: bool = True) -> ImageLists:
    for folder in folders:
        (image_dir / folder).mkdir(parents=True)
        for number in range(20):
            (image_dir / folder / f"{number}.jpg").touch()
    options = ImageOptions(image_dir=str(image_dir), testing_percentage=0, validation_percentage=0, label_names=label_names)
    return create_image_lists(options, like_original)


def test_folders_keep_their_names_for_networks_of_today(tmp_path: Path, logged: list[str]) -> None:
    lists = lists_of(tmp_path, "Крыса", "Кошка", "blüten_rot", CAFE["NFD"], like_original=False)
    assert lists.labels == (CAFE["NFC"], "blüten_rot", "Кошка", "Крыса")
    assert lists.folders == (CAFE["NFD"], "blüten_rot", "Кошка", "Крыса")
    assert logged == []


def test_letters_that_the_original_drops_are_warned_of(tmp_path: Path, logged: list[str]) -> None:
    assert lists_of(tmp_path, "Köpfe", "blüten_rot", "tea").labels == ("k pfe", "bl ten rot", "tea")
    assert logged == [
        "WARNING: Labels hold the letters a to z and digits alone, as the original's. Others are lost in "
        'Köpfe ("k pfe"), blüten_rot ("bl ten rot"). Add --label_names folder.'
    ]


def test_punctuation_is_no_letter(tmp_path: Path, logged: list[str]) -> None:
    assert lists_of(tmp_path, "a–b", "Ro_se").labels == ("ro se", "a b")
    assert logged == []


def test_two_folders_that_the_original_would_merge(tmp_path: Path) -> None:
    with pytest.raises(ImageFolderError) as caught:
        lists_of(tmp_path, "Крыса", "Кошка")
    assert str(caught.value) == (
        f"The folders 'Кошка' and 'Крыса' in {tmp_path} both give the label \" \". Rename one, or merge them, or add "
        "--label_names folder."
    )
    options = ImageOptions(image_dir=str(tmp_path), label_names="folder")
    assert create_image_lists(options).labels == ("Кошка", "Крыса")


def test_two_spellings_of_one_name(tmp_path: Path) -> None:
    with pytest.raises(ImageFolderError) as caught:
        lists_of(tmp_path, CAFE["NFC"], CAFE["NFD"], label_names="folder")
    assert str(caught.value).endswith('both give the label "Café". Rename one, or merge them.')


def test_a_name_that_cannot_be_printed(tmp_path: Path) -> None:
    with pytest.raises(ImageFolderError) as caught:
        lists_of(tmp_path, "a\nb", "c", label_names="folder")
    assert str(caught.value) == (
        "The name a\\nb cannot be a label, since it is blank or not all of its characters can be printed. Rename it, "
        "or add --label_names original."
    )
    options = ImageOptions(image_dir=str(tmp_path), label_names="original")
    assert create_image_lists(options).labels == ("a b", "c")


@pytest.mark.parametrize("trained", CAFE)
@pytest.mark.parametrize("evaluated", CAFE)
@pytest.mark.parametrize("rule", ["original", "folder"])
def test_both_spellings_are_one_class_at_evaluation(trained: str, evaluated: str, rule: str) -> None:
    label = label_of(CAFE[trained]) if rule == "original" else CAFE["NFC"]
    assert matching_label(CAFE[evaluated], ["tea", label]) == label


def test_a_folder_that_no_label_fits() -> None:
    assert matching_label("Coffee", ["tea", "cafe "]) is None
    assert matching_label("Red-Rose", ["Red-Rose", "red rose"]) == "Red-Rose"
