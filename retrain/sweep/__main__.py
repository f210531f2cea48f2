"""Hyper-parameter search: `python -m retrain.sweep --image_dir flowers --learning_rate 0.005,0.01,0.1,1.0`.

The flags are those of `python -m retrain`, with several values joined by commas. Bottlenecks are made once for each network;
the heads on them are trained side by side, in a process for each core.
"""

import argparse
import concurrent.futures
import dataclasses
import logging
import os
import tempfile
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from retrain.config import RetrainConfig
from retrain.options.evaluation import EvaluationOptions
from retrain.options.flags import Options, Parser, flag, flags_of, from_namespace
from retrain.options.head import HeadOptions
from retrain.process.command import end, load_tensorflow, log_to_stderr, run_command
from retrain.process.device import prepare_device
from retrain.process.output_paths import prepare_folder
from retrain.process.precision import prepare_precision
from retrain.sweep.plan import Trial, add_flags, plan, swept_flags
from retrain.sweep.workers import training_workers

if TYPE_CHECKING:
    from retrain.sweep.report import Outcome
    from retrain.sweep.train_many import SavedBottlenecks, TrainedHead

logger = logging.getLogger("retrain")

# Trials that differ in no other flags share the bottlenecks of their network.
OF_THE_HEAD = {
    *(field.name for field in dataclasses.fields(HeadOptions)),
    *(field.name for field in dataclasses.fields(EvaluationOptions)),
    "random_seed",
    "final_tensor_name",
}


# Heads with the same values of these draw the same batches.
OF_THE_BATCHES = ("random_seed", "train_batch_size", "validation_batch_size", "eval_step_interval", "how_many_training_steps")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SweepConfig(Options):
    """Options of a sweep besides those of its trainings."""

    sweep_dir: str = flag("Where to write the table as CSV and the summaries for TensorBoard.", "/tmp/retrain_sweep")
    random_search: int = flag(
        "Number of random combinations to try instead of all; 0 tries all. A number may then be a range LOW..HIGH.", 0, low=0
    )
    search_seed: int = flag("Makes the random search repeatable.", 0, low=0)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a sweep and print its table. Return the exit code."""

    def command() -> int:
        parser = build_sweep_parser()
        args = parser.parse_args(argv)
        config = from_namespace(SweepConfig, args)
        given = {name: getattr(args, name) for name in swept_flags()}
        trials = plan(given, config.random_search, config.search_seed)
        log_to_stderr("INFO")
        prepare_folder("sweep_dir", config.sweep_dir)
        prepare_precision(trials[0].config.precision)
        start = time.perf_counter()
        with training_workers() as workers:
            load_tensorflow()
            prepare_device(trials[0].config.device)
            outcomes = _run(trials, config.sweep_dir, workers)
        _report(outcomes, config.sweep_dir, time.perf_counter() - start)
        return 0

    return run_command(command, "Stopped. Finished bottlenecks are kept: run the same command again.")


def build_sweep_parser() -> argparse.ArgumentParser:
    """Return a parser of the flags of a sweep and of training."""
    parser = Parser(prog="python -m retrain.sweep", description="Compare trainings: flags take several values, joined by commas.")
    for name, about in flags_of(SweepConfig).items():
        parser.add_argument(f"--{name}", metavar="VALUE", help=about.help)
    add_flags(parser)
    return parser


@dataclasses.dataclass(frozen=True)
class Network:
    """Network whose bottlenecks are ready: its name, the size of its file in bytes, and the bottlenecks."""

    name: str
    size: int
    saved: "SavedBottlenecks"


def _run(trials: Sequence[Trial], sweep_dir: str, workers: concurrent.futures.Executor) -> "list[Outcome]":
    """Run the trials. Return their outcomes in the same order."""
    outcomes: dict[int, Outcome] = {}
    of_network: dict[tuple[object, ...], list[int]] = {}
    for number, trial in enumerate(trials):
        if trial.config.trains_on_bottlenecks_alone:
            key = tuple(getattr(trial.config, name) for name in swept_flags() if name not in OF_THE_HEAD)
            of_network.setdefault(key, []).append(number)
        else:
            outcomes[number] = _run_alone(trial, os.path.join(sweep_dir, f"trial_{number}"))
    with tempfile.TemporaryDirectory(prefix="retrain-sweep-") as folder:
        under_way: dict[concurrent.futures.Future[list[TrainedHead]], tuple[list[int], Network]] = {}
        for index, numbers in enumerate(of_network.values()):
            network = _prepare([trials[number].config for number in numbers], os.path.join(folder, f"{index}.npy"))
            for together in _sharing_batches(trials, numbers):
                under_way[_submit(workers, network, [trials[number].config for number in together])] = together, network
        n_trained = 0
        for future in concurrent.futures.as_completed(under_way):
            together, network = under_way[future]
            n_trained += len(together)
            logger.info("%d of %d heads trained.", n_trained, sum(map(len, of_network.values())))
            for number, head in zip(together, future.result(), strict=True):
                outcomes[number] = _outcome(trials[number], network, head)
    return [outcomes[number] for number in range(len(trials))]


def _prepare(configs: Sequence[RetrainConfig], path: str) -> Network:
    """Make or read the bottlenecks of the network of some trials, and save them for the worker processes."""
    import numpy as np

    from retrain.backbones.load import load_network
    from retrain.bottlenecks.extract import load_bottlenecks
    from retrain.data.image_folder import create_image_lists, report_failed
    from retrain.graphdef import precision_effect
    from retrain.head.trainer import check_class_weights
    from retrain.sweep.train_many import SavedBottlenecks

    config = configs[0]
    prepare_folder("bottleneck_dir", config.bottleneck_dir)
    images = create_image_lists(config.image_dir, config.testing_percentage, config.validation_percentage)
    for each in configs:
        check_class_weights(each.class_weights, images.labels)
    backbone = load_network(config)
    precision_effect.check_processor(config.precision)
    precision_effect.check_network(config.precision, backbone.graph_def)
    bottlenecks = load_bottlenecks(config, images, backbone, range(len(images.images)))
    report_failed(images, bottlenecks.failed, config)
    name = backbone.architecture.name
    logger.info("%s: %d bottlenecks made, %d read.", name, bottlenecks.n_made, bottlenecks.n_read)
    np.save(path, bottlenecks.values)
    return Network(name, backbone.size, SavedBottlenecks(path, images, dict(bottlenecks.failed)))


def _sharing_batches(trials: Sequence[Trial], numbers: Sequence[int]) -> list[list[int]]:
    """Group the trials that draw the same batches. The last groups are divided if there are fewer of them than cores."""
    together: dict[tuple[int | None, ...], list[int]] = {}
    for number in numbers:
        config = trials[number].config
        together.setdefault(tuple(getattr(config, name) for name in OF_THE_BATCHES), []).append(number)
    groups, n_cores = list(together.values()), os.cpu_count() or 1
    n_left = len(groups) % n_cores
    whole, left = groups[: len(groups) - n_left], groups[len(groups) - n_left :]
    n_parts = -(-n_cores // n_left) if n_left else 1
    return [*whole, *(group[start::n_parts] for group in left for start in range(min(n_parts, len(group))))]


def _submit(
    workers: concurrent.futures.Executor, network: Network, configs: Sequence[RetrainConfig]
) -> "concurrent.futures.Future[list[TrainedHead]]":
    from retrain.sweep.train_many import train_side_by_side

    seed = configs[0].random_seed
    return workers.submit(train_side_by_side, network.saved, 0 if seed is None else seed, configs)


def _outcome(trial: Trial, network: Network, head: "TrainedHead") -> "Outcome":
    from retrain.sweep.report import Outcome

    test, validation = head.test, head.validation
    return Outcome(
        trial=trial,
        architecture=network.name,
        test_accuracy=test.accuracy if test else None,
        validation_accuracy=validation.accuracy if validation else None,
        n_test=test.count if test else 0,
        n_steps=head.n_steps,
        training_seconds=head.seconds,
        trained_numbers=head.size,
        network_bytes=network.size,
    )


def _run_alone(trial: Trial, folder: str) -> "Outcome":
    """Run a training that decodes images at each step, and so shares nothing with others."""
    from retrain.pipeline import run
    from retrain.sweep.report import Outcome

    config = dataclasses.replace(
        trial.config,
        output_graph=os.path.join(folder, "graph.pb"),
        output_labels=os.path.join(folder, "labels.txt"),
        summaries_dir=os.path.join(folder, "summaries"),
        checkpoint_path=os.path.join(folder, "checkpoint"),
    )
    result = run(config)
    return Outcome(
        trial=trial,
        architecture=result.architecture,
        test_accuracy=result.test_accuracy,
        validation_accuracy=result.validation_accuracy,
        n_test=result.n_images["testing"],
        n_steps=trial.config.how_many_training_steps,
        training_seconds=result.seconds["training"],
        trained_numbers=result.n_trained_numbers,
        network_bytes=os.path.getsize(result.output_graph),
    )


def _report(outcomes: "Sequence[Outcome]", sweep_dir: str, seconds: float) -> None:
    from retrain.evaluation.tensorboard import clear_summaries_dir
    from retrain.sweep.report import table, write_csv, write_hparams

    summaries, csv_file = os.path.join(sweep_dir, "summaries"), os.path.join(sweep_dir, "sweep.csv")
    clear_summaries_dir(summaries)
    write_csv(csv_file, outcomes)
    write_hparams(summaries, outcomes)
    print(table(outcomes))
    logger.info(
        "%d trainings in %.1f s. Each: %s; compared: tensorboard --logdir %s", len(outcomes), seconds, csv_file, summaries
    )


def start() -> NoReturn:
    """Run the command line and end the program."""
    end(main())


if __name__ == "__main__":
    start()
