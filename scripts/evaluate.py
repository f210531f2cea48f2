"""Evaluation of a classifier on a folder of photos: `python -m scripts.evaluate GRAPH --image_dir flowers`."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retrain.data.image_folder import SPLITS, LabelledImage, create_image_lists
from retrain.errors import FlagError, ImageError, ImageFolderError, shown
from retrain.options.flags import Options, build_parser, flag, from_namespace
from retrain.process.command import end, log_to_stderr, run_command
from retrain.process.tensorflow_loading import silence_tensorflow


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Options):
    """Options of the images to evaluate on."""

    image_dir: str = flag("Folder that holds one folder of photos for each class.", "tf_files/flower_photos")
    split: str = flag(
        "Set of images. The sets are those of training if --image_dir and the percentages are the same as there.",
        "testing",
        choices=(*SPLITS, "all"),
    )
    testing_percentage: int = flag("Percentage of test images, as in training.", 10, low=0, high=100, high_open=True)
    validation_percentage: int = flag("Percentage of validation images, as in training.", 10, low=0, high=100, high_open=True)
    labels: str | None = flag("File of the labels, one per line.", None, shown_default="as label_image finds them")


def main(argv: Sequence[str] | None = None) -> int:
    """Print accuracy, cross entropy, and recall and precision of each class; return the exit code."""

    def command() -> int:
        parser = build_parser(EvaluateConfig, prog="python -m scripts.evaluate", description="Evaluate a trained graph.")
        parser.add_argument(
            "graph",
            type=os.path.expanduser,
            help="The trained graph (.pb), or a file of --export or a folder of --saved_model_dir.",
        )
        args = parser.parse_args(argv)
        config = from_namespace(EvaluateConfig, args)
        log_to_stderr("WARNING")
        silence_tensorflow()
        return _evaluate(args.graph, config)

    return run_command(command)


def _evaluate(graph_path: str, config: EvaluateConfig) -> int:
    import numpy as np

    from label_image.classify import score_images
    from label_image.config import ClassifierOptions
    from label_image.opening import open_classifier
    from retrain.evaluation.metrics import evaluate

    classifier = open_classifier(graph_path, ClassifierOptions(labels=config.labels))
    labels = classifier.description.labels
    images, classes = _images_and_classes(config, labels)
    scores = np.full((len(images), len(labels)), np.nan, np.float32)
    failed: dict[str, str] = {}
    for indices, rows, _ in score_images(classifier, [image.path for image in images], failed):
        scores[indices] = rows
    scored = np.flatnonzero(~np.isnan(scores[:, 0]))
    if not len(scored):
        raise ImageFolderError(f"No image of {config.image_dir} could be decoded.")
    # A score that float32 rounds to 0 would make the cross entropy infinite.
    logits = np.log(np.maximum(scores[scored], np.finfo(np.float32).tiny))
    found = evaluate(logits, np.array(classes)[scored])
    print(f"Accuracy = {found.accuracy:.1%} (N={found.count})\nCross entropy = {found.cross_entropy:.6f}\n")
    width = max(len(label) for label in labels)
    print(f"{'':{width}}  images  recall  precision")
    for label, row, recall, precision in zip(labels, found.confusion, found.recall(), found.precision(), strict=True):
        print(f"{label:{width}}  {row.sum():6d}  {recall:6.1%}  {precision:9.1%}")
    if failed:
        raise ImageError("\n".join(f"{shown(path)} is not counted: {reason}" for path, reason in failed.items()))
    return 0


def _images_and_classes(config: EvaluateConfig, labels: Sequence[str]) -> tuple[list[LabelledImage], list[int]]:
    """Return the images of the set, and the index of each one's label among the graph's."""
    lists = create_image_lists(config.image_dir, config.testing_percentage, config.validation_percentage)
    unknown = [label for label in lists.labels if label not in labels]
    if unknown:
        raise FlagError(f"--image_dir {config.image_dir} has classes that the graph does not have: {', '.join(unknown)}.")
    images = [image for image in lists.images if config.split in ("all", image.split)]
    if not images:
        raise FlagError(f"--split {config.split} has no image in {config.image_dir}.")
    return images, [labels.index(lists.labels[image.class_index]) for image in images]


if __name__ == "__main__":
    end(main())
