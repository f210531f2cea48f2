"""All checks in one command: `python3 -m scripts.check`, which first makes an environment in `.venv` for them.

Arguments go to pytest: `python3 -m scripts.check -k cache`.
"""

import sys

from scripts.environment import in_environment, run


def main(pytest_arguments: list[str]) -> int:
    """Runs the linter, the type checker and the tests; returns the exit code of the first that fails, or 0."""
    python = in_environment(".[dev]")
    run(python, "-m", "ruff", "check", ".")
    run(python, "-m", "ruff", "format", "--check", ".")
    run(python, "-m", "mypy", ".")
    run(python, "-m", "pytest", *pytest_arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
