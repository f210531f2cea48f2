"""`python -m retrain`: flags → RetrainConfig; errors → `error: …` and an exit code."""

from collections.abc import Sequence
from typing import NoReturn

from retrain.config import RetrainConfig
from retrain.listing import add_list_option
from retrain.options.flags import build_parser, from_namespace
from retrain.process.command import end, log_to_stderr, run_command
from retrain.process.precision import prepare_precision
from retrain.process.tensorflow_loading import silence_tensorflow

TEXTS = {
    "prog": "python -m retrain",
    "description": "Train an image classifier on a folder of photos: a new softmax layer on a pretrained network.",
    "epilog": "Then: python -m label_image --graph GRAPH --image PHOTO, or tensorboard --logdir SUMMARIES_DIR.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Return the exit code: 0, 1 if the run failed, 2 for wrong flags or data."""

    def command() -> int:
        parser = build_parser(RetrainConfig, **TEXTS)
        add_list_option(parser)
        config = from_namespace(RetrainConfig, parser.parse_args(argv))
        log_to_stderr(config.logging_verbosity)
        prepare_precision(config.precision)
        silence_tensorflow()
        from retrain.pipeline import run

        run(config)
        return 0

    return run_command(command, "Stopped. Finished bottlenecks are kept: run the same command again to continue.")


def start() -> NoReturn:
    """Run the command line and end the program."""
    end(main())


if __name__ == "__main__":
    start()
