"""`python -m label_image`: flags → labels on stdout; errors → `error: …` and an exit code."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from label_image.config import IMAGE_ARGUMENTS, LabelConfig
from retrain.errors import ImageError, shown
from retrain.options.command_line import build_parser, from_namespace
from retrain.process.command import end, log_to_stderr, print_any_name, run_command
from retrain.process.progress import advance, progressing
from retrain.process.tensorflow_loading import silence_tensorflow
from retrain.process.terminal import bars_on_terminal

EXAMPLES = """\
examples:
  python -m label_image --graph flowers.pb --image photo.jpg
  python -m label_image --graph flowers.pb --image flowers/daisy --top_k 1 --output_format csv
  python -m label_image --graph flowers.tflite --image photo.jpg --output_format json
  python -m label_image --graph flowers.pb --serve
  python -m label_image --graph flowers.pb --labels flowers.txt --image photo.jpg --output_layer final_result"""
TEXTS = {
    "prog": "python -m label_image",
    "usage": "%(prog)s [--graph FILE] --image PATH [PATH ...] [more flags]\n       %(prog)s [--graph FILE] --serve [more flags]",
    "description": "Label images with a trained graph. Its metadata usually holds its input, its output and its labels.",
    "epilog": EXAMPLES,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: 0, 1 if an image could not be labelled, 2 for wrong flags or graphs."""

    def command() -> int:
        parser = build_parser(LabelConfig, positional=IMAGE_ARGUMENTS, **TEXTS)
        config = from_namespace(LabelConfig, parser.parse_args(argv))
        log_to_stderr("INFO")
        parser.log_remarks()
        silence_tensorflow()
        return _label(config)

    return run_command(command)


def start() -> NoReturn:
    """Run the command line and end the program."""
    end(main())


def _label(config: LabelConfig) -> int:
    from label_image.classify import Classification, classify_each, find_images
    from label_image.found_graph import find_graph
    from label_image.imagenet import open_architecture
    from label_image.opening import open_classifier
    from label_image.report import FORMATS
    from label_image.scoring import Images, Scorer
    from retrain.engines.choice import Work

    if config.serve:
        from label_image.serve.server import serve

        return serve(config)

    if config.doctor:
        from label_image.doctor import diagnose

        sys.stdout.write(diagnose(config.graph or find_graph(), config.image_dir or "", config))
        return 0
    classifier = open_architecture(config) if config.architecture else open_classifier(config.graph or find_graph(), config)
    print_any_name()
    paths = find_images(config.image)
    images = Images(paths, len(paths))
    answers: dict[int, Classification] = {}
    try:
        # Where the labels themselves appear on the terminal, a bar would stand among them.
        no_bar = config.no_progress or sys.stdout.isatty()
        with bars_on_terminal("INFO", no_bar), progressing("labelling", len(paths), "images"):
            for index, answer in classify_each(Scorer(classifier, Work(paths)), images, config.top_k):
                answers[index] = answer
                advance()
            advance(len(images.failed))
    finally:  # At Ctrl-C too: the answers of an hour must not be lost.
        if answers or (images.failed and config.output_format != "text"):
            sys.stdout.write(FORMATS[config.output_format]([answers[index] for index in sorted(answers)]))
            sys.stdout.flush()
    if failed := {paths[index]: reason for index, reason in images.failed.items()}:
        raise ImageError("\n".join(f"{shown(path)} cannot be labelled: {reason}" for path, reason in failed.items()))
    return 0


if __name__ == "__main__":
    start()
