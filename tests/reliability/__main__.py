"""All faults, tried as often as the page says: `python -m tests.reliability` writes docs/reliability.md. Takes about an hour."""

import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "reliability.md"

if __name__ == "__main__":
    sys.exit(pytest.main([str(FOLDER), "--long", f"--page={PAGE}", *sys.argv[1:]]))
