"""Small set of drawn flower pictures in five classes, so that a first training needs no photos.

    python -m scripts.make_flowers --output_dir tf_files/flowers --images_per_class 60 --random_seed 1

A picture depends only on the seed, its class and its index: a larger set extends a smaller one, and the same
seed gives the same bytes on one machine with the same Pillow and NumPy.
"""

import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retrain.files import write_atomically
from retrain.options.command_line import parse_args
from retrain.options.flags import Options, flag
from retrain.process.command import run_command


@dataclass(frozen=True, kw_only=True)
class FlowersConfig(Options):
    """Options of the pictures. Raises FlagError with one line for each field whose value is not allowed."""

    output_dir: str = flag("Where to write a folder for each class.", "tf_files/flowers", path="FOLDER")
    images_per_class: int = flag("Number of pictures to draw for each class.", 60, low=1, high=10_000)
    random_seed: int = flag("Decides what the pictures look like.", 1, low=0, high=2**32, high_open=True)


def encode_picture(seed: int, flower: str, index: int) -> bytes:
    """Return the JPEG file of the picture with this seed, class and index."""
    import numpy as np

    from scripts.flower_pictures.kinds import KINDS
    from scripts.flower_pictures.picture import draw_flower

    rng = np.random.default_rng([seed, list(KINDS).index(flower), index])
    image, file = draw_flower(flower, rng), io.BytesIO()
    image.save(file, "JPEG", quality=int(rng.integers(60, 96)))
    return file.getvalue()


def make_flowers(config: FlowersConfig) -> int:
    """Write `<output_dir>/<class>/<class>_<index>.jpg`; return the number of classes. Raises OSError."""
    from scripts.flower_pictures.kinds import KINDS

    for flower in KINDS:
        folder = os.path.join(config.output_dir, flower)
        os.makedirs(folder, exist_ok=True)
        for index in range(config.images_per_class):
            picture = encode_picture(config.random_seed, flower, index)
            write_atomically(os.path.join(folder, f"{flower}_{index:04}.jpg"), picture)
    return len(KINDS)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the pictures; return 0, 1 if they cannot be written, or 2 for a wrong flag."""

    def command() -> int:
        texts = {"prog": "python -m scripts.make_flowers", "description": "Draw pictures to train on."}
        config = parse_args(FlowersConfig, argv, **texts)
        n_classes = make_flowers(config)
        print(f"{config.images_per_class * n_classes} pictures in {n_classes} classes: {config.output_dir}")
        return 0

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
