"""`python -m retrain`."""

from typing import NoReturn

from retrain.cli import main
from retrain.command import end


def start() -> NoReturn:
    """Runs the command line and ends the program."""
    end(main())


if __name__ == "__main__":
    start()
