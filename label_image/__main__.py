"""`python -m label_image`."""

from typing import NoReturn

from label_image.cli import main
from retrain.process.command import end


def start() -> NoReturn:
    """Runs the command line and ends the program."""
    end(main())


if __name__ == "__main__":
    start()
