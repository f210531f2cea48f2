"""Labelling as in the old codelab: `python -m scripts.label_image …` is `python -m label_image …`."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # As a file, this one would be found in place of the package.
    from label_image.__main__ import start

    start()
