"""Evaluation of a classifier on a folder of photos: `python -m scripts.evaluate GRAPH --image_dir flowers`."""

import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retrain.errors import FlagError, ImageError, ImageFolderError, listing, shown
from retrain.options.command_line import build_parser, from_namespace
from retrain.options.flags import flag
from retrain.options.images import BY_PATH, FOLDER_ARGUMENT, FOLDER_NAMES, ORIGINAL_NAMES, SPLIT_RULES, SPLITS, ImageOptions
from retrain.options.nearest import did_you_mean
from retrain.options.process import ProgressOptions
from retrain.process.command import end, log_to_stderr, print_any_name, run_command
from retrain.process.progress import advance, progressing
from retrain.process.tensorflow_loading import silence_tensorflow
from retrain.process.terminal import bars_on_terminal

if TYPE_CHECKING:
    from retrain.arrays import FloatArray, Targets
    from retrain.evaluation.answers import Report
    from retrain.evaluation.chosen_images import Chosen
    from retrain.graphdef.description import Description

logger = logging.getLogger("retrain")

IMAGE_DIR = "tf_files/flower_photos"
OF_THE_SPLIT = ("testing_percentage", "validation_percentage", "split_by")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(ProgressOptions):
    """Options of the images to evaluate on."""

    image_dir: str | None = flag(
        "Folder that holds one folder of photos for each class.", None, shown_default=IMAGE_DIR, path="FOLDER"
    )
    image_list: str | None = flag(
        "Table of photos in place of --image_dir, as in training.", None, shown_default="--image_dir is used", path="FILE"
    )
    split: str = flag(
        "Set of images to evaluate, as the model's record of its training has it; if a model has no record, --image_dir and the "
        "percentages must be typed as they were for its training.",
        "testing",
        choices=(*SPLITS, "all"),
    )
    testing_percentage: int = flag("Percentage of test images, as in training.", 10, low=0, high=100, high_open=True)
    validation_percentage: int = flag("Percentage of validation images, as in training.", 10, low=0, high=100, high_open=True)
    split_by: str = flag("Rule of the split, as in training.", BY_PATH, choices=SPLIT_RULES)
    all_images: bool = flag("Use the photos of all formats, as in training.", False)
    trained_images: bool = flag("Evaluate images that the model was trained on too.", False)
    output_format: str = flag("Output format; csv has a line for each image.", "text", choices=("text", "json", "csv"))
    labels: str | None = flag(
        "File of the labels, one per line.",
        None,
        shown_default="in the model, or in a file beside it: labels.txt for graph.pb",
        path="FILE",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print accuracy, recall and precision of each class, the confusion matrix and the mistakes; return the exit code."""

    def command() -> int:
        texts = {"prog": "python -m scripts.evaluate", "description": "Evaluate a trained graph."}
        parser = build_parser(EvaluateConfig, positional=FOLDER_ARGUMENT, **texts)
        parser.add_argument(
            "graph",
            type=os.path.expanduser,
            help="The trained graph (.pb), or a file of --export or a folder of --saved_model_dir.",
        )
        args = parser.parse_args(_with_plain_graph(sys.argv[1:] if argv is None else argv))
        config = from_namespace(EvaluateConfig, args)
        log_to_stderr("INFO")
        silence_tensorflow()
        return _evaluate(args.graph, config)

    return run_command(command)


def _with_plain_graph(argv: Sequence[str]) -> list[str]:
    """Return the arguments with `GRAPH` in place of `--graph GRAPH`, which `label_image` has."""
    plain: list[str] = []
    for argument in argv:
        if argument.startswith("--graph="):
            plain.append(argument.removeprefix("--graph="))
        elif argument != "--graph":
            plain.append(argument)
    return plain


def _evaluate(graph_path: str, config: EvaluateConfig) -> int:
    import numpy as np

    from label_image.classify import score_images
    from label_image.config import ClassifierOptions
    from label_image.opening import open_classifier

    classifier = open_classifier(graph_path, ClassifierOptions(labels=config.labels))
    labels = classifier.description.labels
    chosen_images, targets = _images_and_targets(graph_path, config, classifier.description)
    images = chosen_images.images
    scores = np.full((len(images), len(labels)), np.nan, np.float32)
    failed: dict[str, str] = {}
    with bars_on_terminal("INFO", config.no_progress), progressing("evaluation", len(images), "images"):
        for indices, rows, _ in score_images(classifier, [image.path for image in images], failed):
            scores[indices] = rows
            advance(len(indices))
        advance(len(failed))
    scored = np.flatnonzero(~np.isnan(scores[:, 0]))
    if not len(scored):
        raise ImageFolderError(f"No image of {_source(config)} could be decoded.")
    chosen = np.array(targets)[scored]
    report = _measured(classifier.description, [images[index].path for index in scored], scores[scored], chosen)
    if text := report.few_images_warning:
        logger.warning("%s", text)
    print_any_name()
    about = {"split": config.split, "n_trained": chosen_images.n_trained, "n_left_out": chosen_images.n_left_out}
    values = {**about, "n_unknown": chosen_images.n_unknown, **report.to_dict()}
    texts = {"text": report.to_text, "json": lambda: json.dumps(values, indent=2), "csv": report.to_csv}
    print(texts[config.output_format]().rstrip("\n"))
    if failed:
        raise ImageError("\n".join(f"{shown(path)} is not counted: {reason}" for path, reason in failed.items()))
    return 0


def _measured(about: "Description", paths: "list[str]", scores: "FloatArray", targets: "Targets") -> "Report":
    """Return the report on N images: scores, float32 [N, C], and classes, int64 [N], or targets, float32 [N, C]."""
    import numpy as np

    from retrain.evaluation.answers import make_report, measure

    if about.thresholds:
        probabilities = np.clip(scores.astype(np.float64), 1e-12, 1 - 1e-12)
        logits = np.log(probabilities) - np.log1p(-probabilities)
    else:
        # A score that float32 rounds to 0 would make the cross entropy infinite.
        logits = np.log(np.maximum(scores, np.finfo(np.float32).tiny))
    found = measure(logits, targets, about.thresholds)
    return make_report(about.labels, paths, found, scores, targets)


def _source(config: EvaluateConfig) -> str:
    return config.image_list or config.image_dir or IMAGE_DIR


def _images_and_targets(graph_path: str, config: EvaluateConfig, about: "Description") -> "tuple[Chosen, list[Any]]":
    """Return the images of the set, and of each the index of its label among the graph's, or a float32 [C] of its labels."""
    import numpy as np

    from retrain.backbones.catalog import is_of_the_original
    from retrain.backbones.published import INCEPTION
    from retrain.data.image_folder import warn_of_images_beside
    from retrain.data.image_lists import list_images
    from retrain.data.labels import matching_label
    from retrain.evaluation.chosen_images import choose_images, known_sets

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
        meant = did_you_mean(unknown[0], about.labels) if len(unknown) == 1 else ""
        has = f"The graph has {listing([shown(label) for label in about.labels])}."
        text = f"--{flag} {_source(config)} has classes that the graph does not have: {', '.join(unknown)}.{meant} {has}"
        raise FlagError(text)
    index = {name: about.labels.index(label) for name, label in known.items() if label}
    if not lists.images:
        raise FlagError(f"--image_dir {_source(config)} has no folders of images: it must have one for each class.")
    sets = known_sets(graph_path, about, lists.images)
    if sets and (unused := [name for name in OF_THE_SPLIT if getattr(config, name) != getattr(EvaluateConfig, name)]):
        logger.warning("%s: not used, since the model's own record tells the sets.", ", ".join(f"--{name}" for name in unused))
    chosen = choose_images(lists, config.split, sets, config.trained_images)
    images = chosen.images
    if not images:
        advice = "" if config.split == "all" else " To use all photos, add --split all."
        raise FlagError(f"--split {config.split} has no image in {_source(config)}.{advice}")
    if about.thresholds:
        order = [index[label] for label in lists.labels]
        targets = np.zeros((len(images), len(about.labels)), np.float32)
        for row, each in zip(targets, images, strict=True):
            row[[order[number] for number in each.classes]] = 1
        return chosen, list(targets)
    return chosen, [index[lists.labels[each.class_index] if config.image_list else each.folder] for each in images]


if __name__ == "__main__":
    end(main())
