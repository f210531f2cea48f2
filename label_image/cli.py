"""`python -m label_image`: flags → labels on stdout; errors → `error: …` and an exit code."""

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from label_image.config import GRAPH, LabelConfig
from retrain.errors import ImageError, shown
from retrain.options.flags import parse_args
from retrain.process.command import load_tensorflow, log_to_stderr, run_command

if TYPE_CHECKING:
    from label_image.opening import Classifier

TEXTS = {
    "prog": "python -m label_image",
    "description": "Labels images with a trained graph, which usually says itself what its input, output and labels are.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code: 0, 1 if an image could not be labelled, 2 for wrong flags or graphs."""

    def command() -> int:
        config = parse_args(LabelConfig, argv, **TEXTS)
        log_to_stderr("INFO")
        load_tensorflow()  # Only now: neither --help nor a wrong flag should wait for it.
        return _label(config)

    return run_command(command)


def _label(config: LabelConfig) -> int:
    from label_image.classify import Classification, classify_each, find_images
    from label_image.report import FORMATS

    graph = _open(config)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # The name of a file need not be Unicode.
    failed: dict[str, str] = {}
    answers: dict[int, Classification] = {}
    paths = find_images(config.image)
    try:
        for place, answer in classify_each(graph, paths, config.top_k, failed):
            answers[place] = answer
    finally:  # At Ctrl-C too: what is known after an hour is not to be lost.
        if answers or (failed and config.output_format != "text"):
            sys.stdout.write(FORMATS[config.output_format]([answers[place] for place in sorted(answers)]))
            sys.stdout.flush()
    if failed:
        raise ImageError("\n".join(f"{shown(path)} cannot be labelled: {reason}" for path, reason in failed.items()))
    return 0


def _open(config: LabelConfig) -> "Classifier":
    from label_image.graph import Overrides
    from label_image.imagenet import open_architecture
    from label_image.opening import open_classifier

    overrides = Overrides(
        input_layer=config.input_layer,
        input_height=config.input_height,
        input_width=config.input_width,
        input_mean=config.input_mean,
        input_std=config.input_std,
        output_layer=config.output_layer,
        labels=config.labels,
        allow_file_ops=config.allow_file_ops,
    )
    if config.architecture is not None:
        return open_architecture(config.architecture, config.model_dir, config.model_url_base, overrides)
    return open_classifier(config.graph or GRAPH, overrides)
