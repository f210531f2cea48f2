"""Evaluation of a classifier on a folder of photos: `python -m scripts.evaluate GRAPH --image_dir flowers`."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retrain.errors import FlagError, ImageError, ImageFolderError, shown
from retrain.options.command_line import build_parser, from_namespace
from retrain.options.flags import Options, flag
from retrain.options.images import BY_PATH, FOLDER_ARGUMENT, FOLDER_NAMES, ORIGINAL_NAMES, SPLIT_RULES, SPLITS, ImageOptions
from retrain.process.command import end, log_to_stderr, run_command
from retrain.process.tensorflow_loading import silence_tensorflow

if TYPE_CHECKING:
    from retrain.arrays import FloatArray, IndexArray
    from retrain.data.image_lists import LabelledImage
    from retrain.graphdef.description import Description

IMAGE_DIR = "tf_files/flower_photos"


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(Options):
    """Options of the images to evaluate on."""

    image_dir: str | None = flag(
        "Folder that holds one folder of photos for each class.", None, shown_default=IMAGE_DIR, path="FOLDER"
    )
    image_list: str | None = flag(
        "Table of photos in place of --image_dir, as in training.", None, shown_default="--image_dir is used", path="FILE"
    )
    split: str = flag(
        "Set of images, as in training if --image_dir and the percentages are the same as there.",
        "testing",
        choices=(*SPLITS, "all"),
    )
    testing_percentage: int = flag("Percentage of test images, as in training.", 10, low=0, high=100, high_open=True)
    validation_percentage: int = flag("Percentage of validation images, as in training.", 10, low=0, high=100, high_open=True)
    split_by: str = flag("Rule of the split, as in training.", BY_PATH, choices=SPLIT_RULES)
    all_images: bool = flag("Use the photos of all formats, as in training.", False)
    labels: str | None = flag("File of the labels, one per line.", None, shown_default="as label_image finds them", path="FILE")


def main(argv: Sequence[str] | None = None) -> int:
    """Print accuracy, cross entropy, and recall and precision of each class; return the exit code."""

    def command() -> int:
        texts = {"prog": "python -m scripts.evaluate", "description": "Evaluate a trained graph."}
        parser = build_parser(EvaluateConfig, positional=FOLDER_ARGUMENT, **texts)
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

    classifier = open_classifier(graph_path, ClassifierOptions(labels=config.labels))
    labels = classifier.description.labels
    images, targets = _images_and_targets(config, classifier.description)
    scores = np.full((len(images), len(labels)), np.nan, np.float32)
    failed: dict[str, str] = {}
    for indices, rows, _ in score_images(classifier, [image.path for image in images], failed):
        scores[indices] = rows
    scored = np.flatnonzero(~np.isnan(scores[:, 0]))
    if not len(scored):
        raise ImageFolderError(f"No image of {_source(config)} could be decoded.")
    chosen = np.array(targets)[scored]
    report = _several_labels if classifier.description.thresholds else _one_label
    print(report(classifier.description, scores[scored], chosen))
    if failed:
        raise ImageError("\n".join(f"{shown(path)} is not counted: {reason}" for path, reason in failed.items()))
    return 0


def _one_label(about: "Description", scores: "FloatArray", classes: "IndexArray") -> str:
    """Return the measures of classes that exclude each other: scores, float32 [N, C], and classes, int64 [N]."""
    import numpy as np

    from retrain.evaluation.metrics import evaluate
    from retrain.evaluation.multi_label import percent

    # A score that float32 rounds to 0 would make the cross entropy infinite.
    found = evaluate(np.log(np.maximum(scores, np.finfo(np.float32).tiny)), classes)
    labels, width = about.labels, max(len(label) for label in about.labels)
    lines = [f"Accuracy = {found.accuracy:.1%} (N={found.count})", f"Cross entropy = {found.cross_entropy:.6f}", ""]
    lines.append(f"{'':{width}}  images  recall  precision")
    for label, row, recall, precision in zip(labels, found.confusion, found.recall(), found.precision(), strict=True):
        lines.append(f"{label:{width}}  {row.sum():6d}  {percent(recall):>6}  {percent(precision):>9}")
    return "\n".join(lines)


def _several_labels(about: "Description", scores: "FloatArray", targets: "FloatArray") -> str:
    """Return the measures of images with several labels: scores and targets, both float32 [N, C]."""
    import numpy as np

    from retrain.evaluation.multi_label import evaluate_labels, labels_table, percent

    probabilities = np.clip(scores.astype(np.float64), 1e-12, 1 - 1e-12)
    found = evaluate_labels(np.log(probabilities) - np.log1p(-probabilities), targets, about.thresholds)
    head = f"mAP = {percent(found.mean_average_precision)} (N={found.count})\nCross entropy = {found.cross_entropy:.6f}\n\n"
    return head + labels_table(about.labels, found)


def _source(config: EvaluateConfig) -> str:
    return config.image_list or config.image_dir or IMAGE_DIR


def _images_and_targets(config: EvaluateConfig, about: "Description") -> "tuple[list[LabelledImage], list[Any]]":
    """Return the images of the set, and of each the index of its label among the graph's, or a float32 [C] of its labels."""
    import numpy as np

    from retrain.backbones.catalog import is_of_the_original
    from retrain.backbones.published import INCEPTION
    from retrain.data.image_folder import warn_of_images_beside
    from retrain.data.image_lists import list_images
    from retrain.data.labels import matching_label

    options = ImageOptions(
        image_dir=None if config.image_list else _source(config),
        image_list=config.image_list,
        testing_percentage=config.testing_percentage,
        validation_percentage=config.validation_percentage,
        split_by=config.split_by,
        all_images=config.all_images,
        # Folders are matched by their own names: which rule the labels were made with is not known.
        label_names=FOLDER_NAMES if config.image_list or about.thresholds else ORIGINAL_NAMES,
        multi_label=bool(about.thresholds),
    )
    lists = list_images(options, is_of_the_original(about.architecture or INCEPTION))
    if options.image_dir is not None:
        warn_of_images_beside(options.image_dir)
    names = lists.labels if config.image_list or about.thresholds else tuple(dict.fromkeys(each.folder for each in lists.images))
    known = {name: matching_label(name, about.labels) for name in names}
    if unknown := [shown(name) for name, label in known.items() if label is None]:
        flag = "image_list" if config.image_list else "image_dir"
        raise FlagError(f"--{flag} {_source(config)} has classes that the graph does not have: {', '.join(unknown)}.")
    index = {name: about.labels.index(label) for name, label in known.items() if label}
    images = [each for each in lists.images if config.split in ("all", each.split)]
    if not images:
        advice = "" if config.split == "all" else " To use all photos, add --split all."
        raise FlagError(f"--split {config.split} has no image in {_source(config)}.{advice}")
    if about.thresholds:
        order = [index[label] for label in lists.labels]
        targets = np.zeros((len(images), len(about.labels)), np.float32)
        for row, each in zip(targets, images, strict=True):
            row[[order[number] for number in each.classes]] = 1
        return images, list(targets)
    return images, [index[lists.labels[each.class_index] if config.image_list else each.folder] for each in images]


if __name__ == "__main__":
    end(main())
