"""Earlier name of `python -m retrain.sweep`: `python -m scripts.sweep …` does the same."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # As a file, it would find scripts/retrain.py, not the package.
    from retrain.sweep.__main__ import start

    start()
