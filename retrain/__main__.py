"""`python -m retrain`: flags → RetrainConfig; errors → `error: …` and an exit code."""

import sys
from collections.abc import Sequence
from typing import NoReturn

from retrain.config import RetrainConfig
from retrain.listing import add_list_option
from retrain.options.command_line import build_parser, from_namespace
from retrain.options.images import FOLDER_ARGUMENT
from retrain.process.command import end, log_to_stderr, run_command
from retrain.process.precision import prepare_precision
from retrain.process.tensorflow_loading import silence_tensorflow
from retrain.process.terminal import bars_on_terminal

EXAMPLES = """\
examples:
  python -m retrain --image_dir flowers --architecture efficientnet_lite0 --output_graph flowers.pb --output_labels flowers.txt
  python -m retrain --image_dir flowers --architecture efficientnet_lite0 --hidden_units 128 --dropout 0.2 --optimizer adam
  python -m retrain --image_dir flowers --architecture tiny_resnet_128 --fine_tune_steps 50 --flip_left_right --random_crop 10
  python -m retrain --image_list photos.csv --architecture efficientnet_lite0 --output_graph flowers.pb --export tflite
  python -m retrain --image_dir flowers --architecture efficientnet_lite0 --random_seed 1 --print_misclassified_test_images

Then:
  python -m label_image --graph flowers.pb --image photo.jpg
  tensorboard --logdir /tmp/retrain_logs"""
TEXTS = {
    "prog": "python -m retrain",
    "usage": "%(prog)s --image_dir FOLDER [--architecture NAME] [more flags]",
    "description": "Train an image classifier on a folder of photos: a new softmax layer on a pretrained network.",
    "epilog": EXAMPLES,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Return the exit code: 0, 1 if the run failed, 2 for wrong flags or data."""

    def command() -> int:
        parser = build_parser(RetrainConfig, positional=FOLDER_ARGUMENT, **TEXTS)
        add_list_option(parser)
        config = from_namespace(RetrainConfig, parser.parse_args(argv))
        log_to_stderr(config.logging_verbosity)
        parser.log_remarks()
        prepare_precision(config.precision)
        if config.logging_verbosity != "DEBUG":
            silence_tensorflow()
        from retrain.pipeline import run
        from retrain.summary import summary_text

        with bars_on_terminal(config.logging_verbosity, config.no_progress) as is_shown:
            result = run(config)
        if is_shown:
            print(f"\n{summary_text(result)}", file=sys.stderr)
        return 0

    return run_command(command, "Stopped. Finished bottlenecks are kept: run the same command again to continue.")


def start() -> NoReturn:
    """Run the command line and end the program."""
    end(main())


if __name__ == "__main__":
    start()
