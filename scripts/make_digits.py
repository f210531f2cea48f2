"""Handwritten digits of scikit-learn as images to train on: 1,797 pictures in the classes 0 to 9.

    python -m scripts.make_digits tf_files/digits
    python -m retrain --image_dir tf_files/digits --architecture pixels_28 --hidden_units 128 --dropout 0.2

They are the test set of E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits" (UCI, 1998): 8 × 8 values from 0
to 16.
"""

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retrain.errors import RetrainError
from retrain.files import write_atomically
from retrain.options.command_line import Parser
from retrain.process.command import run_command

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SIDE = 28  # Pixels, as in MNIST, and the input size of `pixels_28`.
HIGHEST_LEVEL = 16


def load_digits() -> "tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]":
    """Return the pictures, float64 [1797, 8, 8] with levels 0 to 16, and the digit of each, int64 [1797].

    Raises:
        RetrainError: scikit-learn, which contains them, is not installed.
    """
    try:
        from sklearn import datasets
    except ModuleNotFoundError as error:
        if error.name != "sklearn":
            raise
        raise RetrainError("The digits come with scikit-learn, which is not installed: pip install '.[digits]'.") from error
    digits = datasets.load_digits()
    return digits.images, digits.target


def encode_digit(levels: "npt.NDArray[np.float64]") -> bytes:
    """Return the PNG file, 28 × 28 grey pixels, of a picture of levels 0 to 16, float64 [8, 8]; white on black as in MNIST."""
    import numpy as np
    from PIL import Image

    pixels = np.rint(levels * (255 / HIGHEST_LEVEL)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(file, "PNG")
    return file.getvalue()


def make_digits(folder: str) -> int:
    """Write `<folder>/<digit>/digit_<index>.png`; return the number of files.

    Raises:
        OSError: a file cannot be written.
        RetrainError: scikit-learn is not installed.
    """
    images, digits = load_digits()
    for digit in sorted(set(digits.tolist())):
        os.makedirs(os.path.join(folder, str(digit)), exist_ok=True)
    for index, (levels, digit) in enumerate(zip(images, digits.tolist(), strict=True)):
        write_atomically(os.path.join(folder, str(digit), f"digit_{index:04}.png"), encode_digit(levels))
    return len(images)


def main(argv: Sequence[str] | None = None) -> int:
    """Write the pictures; return 0, 1 if scikit-learn is missing or a file cannot be written, or 2 for a wrong command line."""

    def command() -> int:
        parser = Parser(prog="python -m scripts.make_digits", description="Write scikit-learn's handwritten digits as images.")
        parser.add_argument("folder", type=os.path.expanduser, metavar="FOLDER", help="Where to write a folder for each digit.")
        folder = parser.parse_args(argv).folder
        print(f"{make_digits(folder)} pictures in 10 classes: {folder}")
        return 0

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
