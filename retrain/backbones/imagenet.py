"""The classes of ImageNet by number, for networks without a class for the background.

Source of `imagenet_labels.txt`: the file `labels.txt` in the archives of MobileNet v1, without the numbers before its labels. Its
line 0 is "background"; the others are the 1,000 classes of ImageNet's challenge of 2012, in the order of their WordNet ids.
"""

from pathlib import Path

LABELS_FILE = Path(__file__).parent / "imagenet_labels.txt"
BACKGROUND = "background"


def imagenet_labels() -> tuple[str, ...]:
    """Return the labels of the 1,000 classes; class i stands in line i + 1 of the file."""
    background, *labels = LABELS_FILE.read_text(encoding="utf-8").splitlines()
    assert background == BACKGROUND
    return tuple(labels)
