"""The old codelab's door to labelling: `python -m scripts.label_image …` is `python -m label_image …`."""

import sys
from pathlib import Path

if __name__ == "label_image":  # A program of this folder was run as a file: then this door stands before the package.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    del sys.modules["label_image"]
    import label_image  # noqa: F401

if __name__ == "__main__":
    from label_image.__main__ import start

    start()
