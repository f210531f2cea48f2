"""Options of the images: which ones, their labels, and how they are split."""

import os
from dataclasses import dataclass
from typing import Any

from retrain.options.flags import Options, cross_check, flag
from retrain.options.groups import INPUT
from retrain.options.stray_arguments import Positional

SPLITS = TRAINING, VALIDATION, TESTING = ("training", "validation", "testing")
SPLIT_RULES = BY_PATH, BY_CONTENT, BY_GROUP = ("path", "content", "group")
LABEL_NAMES = ORIGINAL_NAMES, FOLDER_NAMES = ("original", "folder")
IMAGE_DIR_HELP = "Folder with one folder of images for each class."
NO_IMAGES = f"--image_dir is required: {IMAGE_DIR_HELP} Or give --image_list."


TABLE_ENDINGS = (".csv", ".tsv")
# A folder that is given without its flag.
FOLDER_ARGUMENT = Positional(
    "image_dir", os.path.isdir, "an existing folder", other_flags=dict.fromkeys(TABLE_ENDINGS, "image_list")
)


def _percentage(help_text: str) -> Any:
    return flag(help_text, 10, low=0, high=100, high_open=True)


@dataclass(frozen=True, kw_only=True)
class ImageOptions(Options, group=INPUT):
    """Options of the images and their split into training, validation and testing sets."""

    image_dir: str | None = flag(IMAGE_DIR_HELP, None, shown_default="required, or --image_list", path="FOLDER")
    testing_percentage: int = _percentage("Percentage of the images in the testing set.")
    validation_percentage: int = _percentage("Percentage of the images in the validation set.")
    image_list: str | None = flag(
        "Table of images in place of --image_dir: columns path, relative to the table's folder, and label and, if wanted, set "
        "and group, separated by commas or tabs.",
        None,
        shown_default="--image_dir is used",
        path="FILE",
    )
    split_by: str = flag(
        "How images without a set are split: by their path, as the original does; by their content, which keeps equal images in "
        "one set; or by group, which keeps images together that have the same text in the table's column group, or the same path "
        "before _nohash_ in their names.",
        BY_PATH,
        choices=SPLIT_RULES,
    )
    save_split: str | None = flag(
        "File to write the images, their labels and their sets to, as a table for --image_list.",
        None,
        shown_default="none",
        path="FILE",
    )
    label_names: str | None = flag(
        "Labels of class folders: original keeps the letters a to z and digits, in lower case; folder keeps the folder's name.",
        None,
        choices=LABEL_NAMES,
        shown_default="original for inception_v3, mobilenets and without --architecture; else folder",
    )
    all_images: bool = flag(
        "Use the images of all formats that can be decoded, not only .jpg, .jpeg and .png; networks other than inception_v3 and "
        "mobilenets always do.",
        False,
    )
    multi_label: bool = flag(
        "Train for images with several labels: joined by | in the table, or the same image in the folders of several classes.",
        False,
    )
    strict: bool = flag("Stop with an error before training if an image cannot be decoded, instead of skipping it.", False)

    @cross_check("image_dir", "image_list")
    def _has_one_source(self) -> str | None:
        if self.image_dir is None and self.image_list is None:
            return NO_IMAGES
        if self.image_dir is not None and self.image_list is not None:
            return (
                "--image_dir and --image_list must not be given together, since each names the images. "
                f"Got {self.image_dir} and {self.image_list}."
            )
        return None

    @cross_check("testing_percentage", "validation_percentage")
    def _leaves_images_to_train_on(self) -> str | None:
        if self.testing_percentage + self.validation_percentage < 100:
            return None
        return (
            "--testing_percentage and --validation_percentage must leave images to train on: their sum must be "
            f"below 100. Got {self.testing_percentage} + {self.validation_percentage}."
        )
