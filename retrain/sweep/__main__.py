"""Hyper-parameter search: `python -m retrain.sweep --image_dir flowers --learning_rate 0.005,0.01,0.1,1.0`.

The flags are those of `python -m retrain`, with several values joined by commas. Bottlenecks are made once for each network;
the heads on them are trained side by side, in a process for each core.
"""

import dataclasses
import logging
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from retrain.options.command_line import Parser, add_flags
from retrain.options.flags import flags_of
from retrain.options.images import FOLDER_ARGUMENT
from retrain.options.process import ProgressOptions
from retrain.process.command import end, log_to_stderr, run_command
from retrain.process.device import prepare_device
from retrain.process.output_paths import prepare_folder
from retrain.process.precision import prepare_precision
from retrain.process.tensorflow_loading import silence_tensorflow
from retrain.process.terminal import bars_on_terminal
from retrain.sweep.config import SweepConfig
from retrain.sweep.plan import add_swept_flags, read_sweep
from retrain.sweep.workers import training_workers

if TYPE_CHECKING:
    from retrain.sweep.rows import Outcome

logger = logging.getLogger("retrain")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sweep and print its table. Return the exit code."""

    def command() -> int:
        parser = build_sweep_parser()
        config, trials = read_sweep(parser.parse_args(argv))
        log_to_stderr("INFO")
        parser.log_remarks()
        prepare_folder("sweep_dir", config.sweep_dir)
        prepare_precision(trials[0].config.precision)
        start = time.perf_counter()
        with training_workers() as workers:
            silence_tensorflow()
            from retrain.sweep.cost import network_key
            from retrain.sweep.trainings import run_trials

            prepare_device(trials[0].config.device)
            # The measures of a single network would be the same in all rows.
            is_timed = config.has_budget or len({network_key(trial.config) for trial in trials}) > 1
            with bars_on_terminal("INFO", config.no_progress):
                outcomes = run_trials(trials, config.sweep_dir, workers, is_timed)
        _report(outcomes, config, time.perf_counter() - start)
        return 0

    return run_command(command, "Stopped. Finished bottlenecks are kept: run the same command again.")


def build_sweep_parser() -> Parser:
    """Return a parser of the flags of a sweep and of training."""
    parser = Parser(
        prog="python -m retrain.sweep",
        usage="%(prog)s --image_dir FOLDER [flags of python -m retrain, with several values joined by commas]",
        description="Compare trainings: flags take several values, joined by commas; --hidden_units and --class_weights, whose "
        "values have commas of their own, by semicolons in quotes, as in '128,64;256'.",
        positional=dataclasses.replace(FOLDER_ARGUMENT, advice="Several values of a flag are joined by commas."),
    )
    of_training_too = flags_of(ProgressOptions)
    add_flags(parser, SweepConfig, [name for name in flags_of(SweepConfig) if name not in of_training_too])
    add_swept_flags(parser)
    add_flags(parser, SweepConfig, of_training_too)
    return parser


def _report(outcomes: "Sequence[Outcome]", config: SweepConfig, seconds: float) -> None:
    from retrain.sweep.choice import choice_text, with_pareto_front
    from retrain.sweep.report import table, write_csv, write_hparams
    from retrain.sweep.rows import rows_of
    from retrain.tensorboard.events import clear_summaries_dir

    outcomes = with_pareto_front(outcomes)
    summaries, csv_file = os.path.join(config.sweep_dir, "summaries"), os.path.join(config.sweep_dir, "sweep.csv")
    clear_summaries_dir(summaries)
    write_csv(csv_file, outcomes)
    write_hparams(summaries, outcomes)
    rows = rows_of(outcomes)
    print(table(rows))
    if config.has_budget:
        print(f"\n{choice_text(rows, config)}")
    logger.info(
        "%d trainings in %.1f s, listed in %s. To compare them: tensorboard --logdir %s",
        len(outcomes),
        seconds,
        csv_file,
        summaries,
    )


def start() -> NoReturn:
    """Run the command line and end the program."""
    end(main())


if __name__ == "__main__":
    start()
