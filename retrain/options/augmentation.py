"""Options of the random distortions of training images."""

from dataclasses import dataclass

from retrain.options.flags import Options, flag
from retrain.options.groups import AUGMENTATION


@dataclass(frozen=True, kw_only=True)
class AugmentationOptions(Options, group=AUGMENTATION):
    """Options of the random distortions of training images. The percentages are the original's."""

    flip_left_right: bool = flag("Mirror half of the training images, at random.", False)
    random_crop: int = flag(
        "Percentage of the image to crop away, at a random position, from training images.", 0, low=0, high=100, high_open=True
    )
    random_scale: int = flag("Largest percentage by which training images are enlarged, at random.", 0, low=0, high=1000)
    random_brightness: int = flag(
        "Largest percentage by which the brightness of training images changes, at random.", 0, low=0, high=100
    )

    @property
    def distorts(self) -> bool:
        """True if any distortion is on: training images are then decoded and distorted at each step."""
        return self.flip_left_right or any((self.random_crop, self.random_scale, self.random_brightness))
