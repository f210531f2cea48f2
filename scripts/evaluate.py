"""Evaluation of a classifier on a folder of photos: `python -m scripts.evaluate GRAPH --image_dir flowers`."""

import math
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retrain.backbones.catalog import is_of_the_original
from retrain.backbones.published import INCEPTION
from retrain.data.image_lists import LabelledImage, list_images
from retrain.data.labels import matching_label
from retrain.data.splitting import SPLITS
from retrain.errors import FlagError, ImageError, ImageFolderError, shown
from retrain.options.flags import Options, build_parser, flag, from_namespace
from retrain.options.images import BY_PATH, FOLDER_NAMES, ORIGINAL_NAMES, SPLIT_RULES, ImageOptions
from retrain.process.command import end, log_to_stderr, run_command
from retrain.process.tensorflow_loading import silence_tensorflow

if TYPE_CHECKING:
    from retrain.graphdef.description import Description

IMAGE_DIR = "tf_files/flower_photos"


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Options):
    """Options of the images to evaluate on."""

    image_dir: str | None = flag("Folder that holds one folder of photos for each class.", None, shown_default=IMAGE_DIR)
    image_list: str | None = flag(
        "Table of photos in place of --image_dir, as in training.", None, shown_default="--image_dir is used"
    )
    split: str = flag(
        "Set of images. The sets are those of training if --image_dir and the percentages are the same as there.",
        "testing",
        choices=(*SPLITS, "all"),
    )
    testing_percentage: int = flag("Percentage of test images, as in training.", 10, low=0, high=100, high_open=True)
    validation_percentage: int = flag("Percentage of validation images, as in training.", 10, low=0, high=100, high_open=True)
    split_by: str = flag("Rule of the split, as in training.", BY_PATH, choices=SPLIT_RULES)
    all_images: bool = flag("Use the photos of all formats, as in training.", False)
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
    images, classes = _images_and_classes(config, classifier.description)
    scores = np.full((len(images), len(labels)), np.nan, np.float32)
    failed: dict[str, str] = {}
    for indices, rows, _ in score_images(classifier, [image.path for image in images], failed):
        scores[indices] = rows
    scored = np.flatnonzero(~np.isnan(scores[:, 0]))
    if not len(scored):
        raise ImageFolderError(f"No image of {_source(config)} could be decoded.")
    # A score that float32 rounds to 0 would make the cross entropy infinite.
    logits = np.log(np.maximum(scores[scored], np.finfo(np.float32).tiny))
    found = evaluate(logits, np.array(classes)[scored])
    print(f"Accuracy = {found.accuracy:.1%} (N={found.count})\nCross entropy = {found.cross_entropy:.6f}\n")
    width = max(len(label) for label in labels)
    print(f"{'':{width}}  images  recall  precision")
    for label, row, recall, precision in zip(labels, found.confusion, found.recall(), found.precision(), strict=True):
        print(f"{label:{width}}  {row.sum():6d}  {_percent(recall):>6}  {_percent(precision):>9}")
    if failed:
        raise ImageError("\n".join(f"{shown(path)} is not counted: {reason}" for path, reason in failed.items()))
    return 0


def _percent(share: float) -> str:
    """Return a percentage; a dash for the share of nothing, such as the recall of a class without images."""
    return "-" if math.isnan(share) else f"{share:.1%}"


def _source(config: EvaluateConfig) -> str:
    return config.image_list or config.image_dir or IMAGE_DIR


def _images_and_classes(config: EvaluateConfig, about: "Description") -> tuple[list[LabelledImage], list[int]]:
    """Return the images of the set, and the index of each one's label among the graph's."""
    options = ImageOptions(
        image_dir=None if config.image_list else _source(config),
        image_list=config.image_list,
        testing_percentage=config.testing_percentage,
        validation_percentage=config.validation_percentage,
        split_by=config.split_by,
        all_images=config.all_images,
        label_names=FOLDER_NAMES if config.image_list else ORIGINAL_NAMES,
    )
    lists = list_images(options, is_of_the_original(about.architecture or INCEPTION))
    # Folders are matched by their own names: which rule the labels were made with is not known.
    names = [lists.labels[each.class_index] if config.image_list else each.folder for each in lists.images]
    known = {name: matching_label(name, about.labels) for name in dict.fromkeys(names)}
    if unknown := [shown(name) for name, label in known.items() if label is None]:
        flag = "image_list" if config.image_list else "image_dir"
        raise FlagError(f"--{flag} {_source(config)} has classes that the graph does not have: {', '.join(unknown)}.")
    chosen = [
        (image, about.labels.index(label))
        for image, name in zip(lists.images, names, strict=True)
        if config.split in ("all", image.split) and (label := known[name])
    ]
    if not chosen:
        advice = "" if config.split == "all" else " To use all photos, add --split all."
        raise FlagError(f"--split {config.split} has no image in {_source(config)}.{advice}")
    return [image for image, _ in chosen], [index for _, index in chosen]


if __name__ == "__main__":
    end(main())
