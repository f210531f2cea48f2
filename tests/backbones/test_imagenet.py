"""The labels of ImageNet's classes."""

from pathlib import Path

from retrain.backbones.imagenet import imagenet_labels


def test_class_0_is_the_tench() -> None:
    labels = imagenet_labels()
    assert len(labels) == 1000
    assert (labels[0], labels[985], labels[999]) == (
        "tench, Tinca tinca",
        "daisy",
        "toilet tissue, toilet paper, bathroom tissue",
    )
    assert all(label and label == label.strip() for label in labels)


def test_the_order_is_that_of_mobilenet(data_dir: Path) -> None:
    """Whose class 0 is the background."""
    expected = (data_dir / "models" / "imagenet_labels_1001.txt").read_text().splitlines()
    assert ["background", *imagenet_labels()] == expected
