"""Benchmark of whole commands that need no TensorFlow: against an earlier release, and against the original's way.

    python -m benchmarks.without_tensorflow --image_dir flower_photos --model_dir models --release ../retrain-before

`--release` names a checkout of the release to compare with; both run with the Python that runs this, in turn. Prints a Markdown
table of ratios. "Converted" means that the network's conversion is in the cache; it is emptied for "the very first run".
"""

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.common import ROOT, machine, parser_with, ratios, run_original, spread
from retrain.evaluation.tables import markdown_table

MOBILENET = "mobilenet_0.25_128"
NETWORKS = (MOBILENET, "efficientnet_lite0", "tiny_resnet_128")
STEPS, DISTORTED_STEPS = 4000, 200
DISTORTIONS = ["--flip_left_right", "--random_crop=10", "--random_scale=10", "--random_brightness=10"]
RATES = ("0.003", "0.01", "0.03", "0.1", "0.3", "1")
BATCHES = ("50", "100")
PARTS = ("empty", "full", "first", "distorted", "bottlenecks", "label", "tflite", "sweep")


class Commands:
    """Commands of one checkout, with outputs of their own."""

    def __init__(self, root: Path, args: argparse.Namespace, work: Path) -> None:
        self._root, self._args, self._work = root, args, work
        self.environment = {**os.environ, "PYTHONPATH": str(root), "RETRAIN_CACHE_DIR": str(work / "conversions")}
        work.mkdir(parents=True)

    def run(self, *command: str) -> float:
        """Return the wall time of `python -m COMMAND` in seconds. Ends the program if it fails."""
        line = [sys.executable, "-m", *command]
        start = time.perf_counter()
        done = subprocess.run(line, env=self.environment, cwd=self._work, capture_output=True, text=True, check=False)
        wall = time.perf_counter() - start
        if done.returncode:
            sys.exit(f"{' '.join(line)} in {self._root} failed:\n{done.stdout}{done.stderr}")
        return wall

    def training(self, architecture: str, steps: int, *flags: str, module: str = "retrain") -> list[str]:
        """Return a training command; its bottlenecks are in `bottlenecks`, its other outputs in the work folder."""
        args = self._args
        data = [f"--image_dir={args.image_dir}", f"--model_dir={args.model_dir}", f"--architecture={architecture}"]
        outputs = [
            "--bottleneck_dir=bottlenecks",
            "--output_graph=graph.pb",
            "--output_labels=labels.txt",
            "--summaries_dir=logs",
        ]
        rest = ["--checkpoint_path=checkpoint", f"--how_many_training_steps={steps}", "--random_seed=1"]
        return [module, *data, *outputs, *rest, *flags]

    def without(self, *names: str) -> "Commands":
        """Remove folders or files of earlier commands."""
        for name in names:
            path = self._work / name
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        return self

    def phase(self, name: str) -> float:
        """Return the seconds of a phase, from the last `--timing_report=times.json`."""
        return float(json.loads((self._work / "times.json").read_text(encoding="utf-8"))["phases"][name]["seconds"])


def main() -> None:
    """Print the table."""
    parser = parser_with("image_dir", "model_dir")
    parser.add_argument("--release", required=True, help="Checkout of the release to compare with.")
    parser.add_argument("--runs", type=int, default=3, help="Number of pairs of runs.")
    parser.add_argument("--original_runs", type=int, default=1, help="Number of runs of the original's way, which takes minutes.")
    parser.add_argument("--parts", default=",".join(PARTS), help="Parts to run, joined by commas.")
    args = parser.parse_args()
    args.image_dir, args.model_dir = os.path.abspath(args.image_dir), os.path.abspath(args.model_dir)
    rows: list[list[str]] = []
    with tempfile.TemporaryDirectory(prefix="retrain-benchmark-") as folder:
        before = Commands(Path(args.release).resolve(), args, Path(folder) / "before")
        now = Commands(ROOT, args, Path(folder) / "now")
        now.run(*now.training(MOBILENET, 10))  # Converts the network.
        before.run(*before.training(MOBILENET, 10))
        for part in args.parts.split(","):
            rows += MEASURES[part](args, before, now)
            print(*rows[-1], sep=" | ", file=sys.stderr, flush=True)
    print(f"{machine()}; medians of {args.runs} pairs of runs, minimum and maximum in brackets.\n")
    print(markdown_table(["work", "before, s", "now, s", "times as fast as before", "as the original's way"], rows))


def pairs(args: argparse.Namespace, before: Callable[[], float], now: Callable[[], float]) -> tuple[list[float], list[float]]:
    """Return the seconds of both, measured in turn."""
    both = [(before(), now()) for _ in range(args.runs)]
    return [a for a, _ in both], [b for _, b in both]


def row(work: str, seconds: tuple[list[float], list[float]], original: Sequence[float] = ()) -> list[str]:
    """Return a row of the table."""
    ours = sorted(seconds[1])[len(seconds[1]) // 2]
    against = spread([each / ours for each in original]) if original else ""
    return [work, spread(seconds[0], 2), spread(seconds[1], 2), spread(ratios(*seconds), 2), against]


def whole_run(args: argparse.Namespace, before: Commands, now: Commands, empty: bool) -> list[list[str]]:
    """Measure `python -m retrain` with an empty or a full cache of bottlenecks."""
    originals = []
    for _ in range(args.original_runs):
        with tempfile.TemporaryDirectory() as work:
            flags = {"image_dir": args.image_dir, "model_dir": args.model_dir, "architecture": MOBILENET, "steps": STEPS}
            first = run_original(**flags, work_dir=work).wall
            originals.append(first if empty else run_original(**flags, work_dir=work).wall)

    def run(commands: Commands) -> float:
        commands.without("logs", *(["bottlenecks"] if empty else []))
        return commands.run(*commands.training(MOBILENET, STEPS))

    found = pairs(args, lambda: run(before), lambda: run(now))
    return [row(f"{MOBILENET}, {STEPS} steps, {'empty' if empty else 'full'} cache", found, originals)]


def first_run(args: argparse.Namespace, before: Commands, now: Commands) -> list[list[str]]:
    """Measure the first run with a network, its conversion included."""
    rows = []
    for network in NETWORKS:

        def run(commands: Commands, network: str = network) -> float:
            commands.without("logs", "bottlenecks", "conversions")
            return commands.run(*commands.training(network, STEPS))

        rows.append(row(f"{network}, the very first run", pairs(args, lambda: run(before), lambda: run(now))))
    return rows


def distorted(args: argparse.Namespace, before: Commands, now: Commands) -> list[list[str]]:
    """Measure training with all distortions, without the rest of the command."""
    originals = []
    for _ in range(args.original_runs):
        with tempfile.TemporaryDirectory() as work:
            flags = {"image_dir": args.image_dir, "model_dir": args.model_dir, "architecture": MOBILENET}
            originals.append(run_original(**flags, work_dir=work, steps=DISTORTED_STEPS, distort=True).phases["training"])

    def run(commands: Commands) -> float:
        commands.without("logs").run(*commands.training(MOBILENET, DISTORTED_STEPS, *DISTORTIONS, "--timing_report=times.json"))
        return commands.phase("training") + commands.phase("evaluation")

    found = pairs(args, lambda: run(before), lambda: run(now))
    return [row(f"{MOBILENET}, {DISTORTED_STEPS} training steps with all distortions", found, originals)]


def bottlenecks(args: argparse.Namespace, before: Commands, now: Commands) -> list[list[str]]:
    """Measure the making of bottlenecks, without loading TensorFlow or anything else."""
    rows = []
    for network in NETWORKS:

        def run(commands: Commands, network: str = network) -> float:
            commands.without("logs", "bottlenecks").run(*commands.training(network, 10, "--timing_report=times.json"))
            return commands.phase("bottlenecks")

        run(now)  # Converts the network.
        rows.append(row(f"{network}, bottlenecks alone", pairs(args, lambda: run(before), lambda: run(now))))
    return rows


def label(args: argparse.Namespace, before: Commands, now: Commands) -> list[list[str]]:
    """Measure `label_image` on one photo."""
    photo = next(Path(args.image_dir).glob("*/*.jpg"))

    def run(commands: Commands) -> float:
        return commands.run("label_image", "--graph=graph.pb", f"--image={photo}")

    for commands in (before, now):
        commands.run(*commands.training(MOBILENET, 100))
    run(now)
    return [row("label_image, a .pb graph", pairs(args, lambda: run(before), lambda: run(now)))]


def tflite(args: argparse.Namespace, before: Commands, now: Commands) -> list[list[str]]:
    """Measure `label_image` on a TensorFlow Lite file, against the earlier release on the frozen graph."""
    photo = next(Path(args.image_dir).glob("*/*.jpg"))
    before.run(*before.training(MOBILENET, 100))
    now.run(*now.training(MOBILENET, 100, "--export=tflite"))
    found = pairs(
        args,
        lambda: before.run("label_image", "--graph=graph.pb", f"--image={photo}"),
        lambda: now.run("label_image", "--graph=graph.tflite", f"--image={photo}"),
    )
    return [row("label_image, .tflite against .pb before", found)]


def sweep(args: argparse.Namespace, before: Commands, now: Commands) -> list[list[str]]:
    """Measure a sweep of twelve heads against twelve commands, both on cached bottlenecks."""

    def twelve() -> float:
        return sum(
            before.run(*before.training(MOBILENET, STEPS, f"--learning_rate={rate}", f"--train_batch_size={batch}"))
            for rate, batch in itertools.product(RATES, BATCHES)
        )

    def swept() -> float:
        flags = [f"--learning_rate={','.join(RATES)}", f"--train_batch_size={','.join(BATCHES)}", "--sweep_dir=sweep"]
        taken = ("--output", "--summaries", "--checkpoint")
        training = [flag for flag in now.training(MOBILENET, STEPS, module="retrain.sweep") if not flag.startswith(taken)]
        return now.run(*training, *flags)

    for commands in (before, now):
        commands.run(*commands.training(MOBILENET, 10))
    once = argparse.Namespace(**{**vars(args), "runs": 1})
    return [row("twelve heads on cached bottlenecks: a sweep against twelve commands", pairs(once, twelve, swept))]


MEASURES: dict[str, Callable[[argparse.Namespace, Commands, Commands], list[list[str]]]] = {
    "empty": lambda args, before, now: whole_run(args, before, now, empty=True),
    "full": lambda args, before, now: whole_run(args, before, now, empty=False),
    "first": first_run,
    "distorted": distorted,
    "bottlenecks": bottlenecks,
    "label": label,
    "tflite": tflite,
    "sweep": sweep,
}

if __name__ == "__main__":
    main()
