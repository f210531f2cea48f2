"""Options of the image folder: which images, and how they are split."""

from dataclasses import dataclass
from typing import Any

from retrain.options.flags import Options, cross_check, flag


def _percentage(help_text: str) -> Any:
    return flag(help_text, 10, low=0, high=100, high_open=True)


@dataclass(frozen=True, kw_only=True)
class ImageOptions(Options):
    """Options of the image folder and its split into training, validation and testing sets."""

    image_dir: str = flag("Folder with one folder of images for each class.")
    testing_percentage: int = _percentage("Percentage of the images in the testing set.")
    validation_percentage: int = _percentage("Percentage of the images in the validation set.")
    strict: bool = flag(
        "Stop with an error before training if an image cannot be decoded. Without it, the image is skipped.", False
    )

    @cross_check("testing_percentage", "validation_percentage")
    def _leaves_images_to_train_on(self) -> str | None:
        if self.testing_percentage + self.validation_percentage < 100:
            return None
        return (
            "--testing_percentage and --validation_percentage must leave images to train on: their sum must be "
            f"below 100. Got {self.testing_percentage} + {self.validation_percentage}."
        )
