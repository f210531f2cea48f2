"""All checks in one command: `python3 -m scripts.check`, which first makes an environment in `.venv` for them.

Arguments go to pytest: `python3 -m scripts.check -k cache`.
"""

import os
import sys

from scripts.environment import in_environment, run

MOST_PROCESSES = 4  # Each loads TensorFlow, and starts commands that load it too: about 2 GB.


def main(pytest_arguments: list[str]) -> int:
    """Runs the linter, the type checker and the tests; returns the exit code of the first that fails, or 0."""
    python = in_environment(".[dev]")
    run(python, "-m", "ruff", "check", ".")
    run(python, "-m", "ruff", "format", "--check", ".")
    run(python, "-m", "mypy", ".")
    # File by file, several at once: much of a test is the starting of commands, which keeps one core busy.
    run(python, "-m", "pytest", "-n", str(min(os.cpu_count() or 1, MOST_PROCESSES)), "--dist=loadfile", *pytest_arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
