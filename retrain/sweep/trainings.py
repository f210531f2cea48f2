"""The trainings of a sweep: bottlenecks once for each network, then the heads side by side; others one after another."""

import concurrent.futures
import dataclasses
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrain.backbones.load import load_network
from retrain.bottlenecks.extract import load_bottlenecks
from retrain.config import RetrainConfig
from retrain.data.image_lists import create_image_lists, report_failed
from retrain.data.turned import to_be_turned
from retrain.graphdef import precision_effect
from retrain.head.trainer import check_class_weights
from retrain.options.evaluation import EvaluationOptions
from retrain.options.head import HeadOptions
from retrain.pipeline import run
from retrain.process.output_paths import prepare_folder
from retrain.process.progress import advance, progressing
from retrain.process.temporary import temporary_folder
from retrain.process.terminal import STEP_LOG
from retrain.sweep.cost import NetworkCost, NetworkCosts
from retrain.sweep.plan import Trial, swept_flags
from retrain.sweep.rows import Outcome
from retrain.sweep.train_many import SavedBottlenecks, TrainedHead, train_side_by_side

logger = logging.getLogger("retrain")
step_logger = logging.getLogger(STEP_LOG)

# Trials that differ in no other flags share the bottlenecks of their network.
OF_THE_HEAD = {
    *(field.name for field in dataclasses.fields(HeadOptions)),
    *(field.name for field in dataclasses.fields(EvaluationOptions)),
    "random_seed",
    "final_tensor_name",
}
# Heads with the same values of these draw the same batches.
OF_THE_BATCHES = ("random_seed", "train_batch_size", "validation_batch_size", "eval_step_interval", "how_many_training_steps")


@dataclass(frozen=True)
class Network:
    """Network whose bottlenecks are ready.

    Attributes:
        name: its name.
        cost: its size, and its time.
        bottleneck_ms: wall time for each bottleneck made, in milliseconds; None if all were in the cache.
        saved: the bottlenecks.
        learning_rate_scale: factor of the default learning rate, from the network's record.
    """

    name: str
    cost: NetworkCost
    bottleneck_ms: float | None
    saved: SavedBottlenecks
    learning_rate_scale: float


def run_trials(trials: Sequence[Trial], sweep_dir: str, workers: concurrent.futures.Executor, is_timed: bool) -> list[Outcome]:
    """Run the trials.

    All bottlenecks are made, and all networks measured, before the first head is trained: the workers would disturb the times.

    Args:
        trials: the trials.
        sweep_dir: folder of the outputs of those that are run completely.
        workers: train the heads.
        is_timed: measure the time of each network.

    Returns:
        The outcomes in the order of the trials.
    """
    if len({trial.config.splits_by_spelling for trial in trials}) > 1:
        logger.warning(
            "The networks are tested on different images: the split of the original's networks follows the path as it is typed, "
            "that of the others the path in --image_dir. Add --split_by content to test all on the same."
        )
    costs = NetworkCosts(is_timed)
    outcomes: dict[int, Outcome] = {}
    of_network: dict[tuple[object, ...], list[int]] = {}
    for number, trial in enumerate(trials):
        if trial.config.trains_on_bottlenecks_alone:
            key = tuple(getattr(trial.config, name) for name in swept_flags() if name not in OF_THE_HEAD)
            of_network.setdefault(key, []).append(number)
        else:
            outcomes[number] = _run_alone(trial, os.path.join(sweep_dir, f"trial_{number}"), costs)
    with temporary_folder("retrain-sweep-") as folder:
        networks = [
            _prepare([trials[number].config for number in numbers], os.path.join(folder, f"{index}.npy"), costs)
            for index, numbers in enumerate(of_network.values())
        ]
        under_way: dict[concurrent.futures.Future[list[TrainedHead]], tuple[list[int], Network]] = {}
        for network, numbers in zip(networks, of_network.values(), strict=True):
            for together in _sharing_batches(trials, numbers):
                under_way[_submit(workers, network, [trials[number].config for number in together])] = together, network
        n_trained, n_heads = 0, sum(map(len, of_network.values()))
        with progressing("training", n_heads, "heads"):
            for future in concurrent.futures.as_completed(under_way):
                together, network = under_way[future]
                n_trained += len(together)
                step_logger.info("%d of %d heads trained.", n_trained, n_heads)
                for number, head in zip(together, future.result(), strict=True):
                    outcomes[number] = _outcome(trials[number], network, head)
                advance(len(together))
    return [outcomes[number] for number in range(len(trials))]


def _prepare(configs: Sequence[RetrainConfig], path: str, costs: NetworkCosts) -> Network:
    """Make or read the bottlenecks of the network of some trials, and save them for the worker processes."""
    config = configs[0]
    prepare_folder("bottleneck_dir", config.bottleneck_dir)
    images = create_image_lists(config, config.like_original)
    for each in configs:
        check_class_weights(each.class_weights, images.labels)
    backbone = load_network(config).with_work([image.path for image in images.images])
    precision_effect.check_processor(config.precision)
    precision_effect.check_network(config.precision, backbone.graph_def)
    start = time.perf_counter()
    turned = to_be_turned([image.path for image in images.images], backbone.architecture.input_spec)
    with progressing("bottlenecks", len(images.images), "images"):
        bottlenecks = load_bottlenecks(config, images, backbone, range(len(images.images)), turned)
    seconds, n_made = time.perf_counter() - start, bottlenecks.n_made
    report_failed(images, bottlenecks.failed, config)
    name = backbone.architecture.name
    logger.info("%s: %d bottlenecks made, %d read.", name, n_made, bottlenecks.n_read)
    np.save(path, bottlenecks.values)
    saved = SavedBottlenecks(path, images, dict(bottlenecks.failed))
    scale = backbone.architecture.learning_rate_scale
    return Network(name, costs.of(config, backbone), _ms_each(seconds, n_made), saved, scale)


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
) -> concurrent.futures.Future[list[TrainedHead]]:
    seed = configs[0].random_seed
    suited = [config.suited_to(network.learning_rate_scale) for config in configs]
    return workers.submit(train_side_by_side, network.saved, 0 if seed is None else seed, suited)


def _outcome(trial: Trial, network: Network, head: TrainedHead) -> Outcome:
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
        network_bytes=network.cost.size,
        network_ms=network.cost.ms,
        bottleneck_ms=network.bottleneck_ms,
    )


def _run_alone(trial: Trial, folder: str, costs: NetworkCosts) -> Outcome:
    """Run a training that decodes images at each step, and so shares nothing with others."""
    config = dataclasses.replace(
        trial.config,
        output_graph=os.path.join(folder, "graph.pb"),
        output_labels=os.path.join(folder, "labels.txt"),
        report="",
        summaries_dir=os.path.join(folder, "summaries"),
        checkpoint_path=os.path.join(folder, "checkpoint"),
    )
    result = run(config)
    cost = costs.of(config)
    return Outcome(
        trial=trial,
        architecture=result.architecture,
        test_accuracy=result.test_accuracy,
        validation_accuracy=result.validation_accuracy,
        n_test=result.n_images["testing"],
        n_steps=trial.config.how_many_training_steps,
        training_seconds=result.seconds["training"],
        trained_numbers=result.n_trained_numbers,
        network_bytes=cost.size,
        network_ms=cost.ms,
        bottleneck_ms=_ms_each(result.seconds["bottlenecks"], result.n_bottlenecks_made),
    )


def _ms_each(seconds: float, count: int) -> float | None:
    return 1000 * seconds / count if count else None
