"""All faults, tried as often as the page says: `python -m tests.reliability` writes docs/reliability.md. Takes about an hour.

Some of them: `python -m tests.reliability test_load.py`; the page's other sections stay as they are.
"""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "reliability.md"

if __name__ == "__main__":
    files = [str(FOLDER / name) for name in sys.argv[1:]] or [str(FOLDER)]
    sys.exit(pytest.main([*files, "--long", f"--page={PAGE}"]))
