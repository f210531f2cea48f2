"""All checks in one command: `python3 -m scripts.check`, which first makes an environment in `.venv` for them.

With `--fast` it leaves out the tests that are marked slow and takes less than two minutes. Other arguments go to pytest:
`python3 -m scripts.check -k cache`.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from scripts.environment import in_environment, run

FAST = "--fast"
MAX_PROCESSES = 4  # Each loads TensorFlow, and starts commands that load it too: about 2 GB.


def main(arguments: Sequence[str]) -> int:
    """Run the linter, the type checker and the tests, the quick ones first; end with the exit code of the first that fails.

    Returns 0 if all pass.
    """
    _parser().parse_known_args(arguments)  # For --help.
    python = in_environment(".[dev]")
    run(python, "-m", "ruff", "check", ".")
    run(python, "-m", "ruff", "format", "--check", ".")
    run(python, "-m", "mypy", ".")
    for selection in selections(arguments):
        # A process that is done takes tests from the end of another's list, so that none works alone in the end.
        run(python, "-m", "pytest", "-n", str(n_processes()), "--dist=worksteal", *selection)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m scripts.check",
        description="Run the linter, the type checker and the tests, in an environment made in .venv.",
        epilog="Other arguments go to pytest, such as -k cache.",
        allow_abbrev=False,
    )
    parser.add_argument(FAST, action="store_true", help="Leave out the tests that are marked slow.")
    return parser


def selections(arguments: Sequence[str]) -> list[list[str]]:
    """Return pytest's arguments for each of its runs: fast tests and then slow ones, or what the arguments select."""
    fast, slow = ["-m", "not slow"], ["-m", "slow"]
    more = [argument for argument in arguments if argument != FAST]
    if FAST in arguments:
        return [[*fast, *more]]
    return [more] if more else [fast, slow]


def n_processes() -> int:
    """Return how many processes run tests: one a core, since starting a command, much of a test, keeps one core busy."""
    return min(os.cpu_count() or 1, MAX_PROCESSES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
