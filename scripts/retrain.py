"""The old codelab's door to training: `python -m scripts.retrain …` is `python -m retrain …`."""

import sys
from pathlib import Path

if __name__ == "retrain":  # A program of this folder was run as a file: then this door stands before the package.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    del sys.modules["retrain"]
    import retrain  # noqa: F401

if __name__ == "__main__":
    from retrain.__main__ import start

    start()
