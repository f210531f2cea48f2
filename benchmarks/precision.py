"""Benchmark of `--precision`: its drift, its accuracy and its speed.

    python -m benchmarks.precision --image_dir flower_photos --model_dir models --architecture mobilenet_0.25_128

Drift is the mean over the photos of |bottleneck - float32's| / |float32's|. Precisions that the processor ignores are left out.
"""

import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import ROOT, machine, parser_with, run_ours, spread
from retrain.bottlenecks.cache import parse_values
from retrain.evaluation.tables import markdown_table
from retrain.process.precision import FLOAT32, PRECISIONS, cache_name

SEEDS = (1, 2, 3)
CHECK = (
    "from retrain.process.precision import prepare_precision; prepare_precision('{0}'); "
    "from retrain.graphdef.precision_effect import check_processor; check_processor('{0}')"
)


def main() -> None:
    """Print the table."""
    parser = parser_with("image_dir", "model_dir", "architecture")
    args = parser.parse_args()
    precisions = [precision for precision in PRECISIONS if _has_effect(precision)]
    seconds: dict[str, list[float]] = {precision: [] for precision in precisions}
    accuracies: dict[str, list[float]] = {precision: [] for precision in precisions}
    with tempfile.TemporaryDirectory() as work:
        for seed in SEEDS:  # Each seed with an empty cache, precision after precision, so that other programs disturb all alike.
            for precision in precisions:
                run = run_ours(
                    image_dir=args.image_dir,
                    model_dir=args.model_dir,
                    architecture=args.architecture,
                    precision=precision,
                    random_seed=seed,
                    bottleneck_dir=f"{work}/{seed}",
                    summaries_dir=f"{work}/summaries",
                    output_graph=f"{work}/graph.pb",
                    output_labels=f"{work}/labels.txt",
                    checkpoint_path=f"{work}/checkpoint",
                )
                seconds[precision].append(run.phases["bottlenecks"])
                accuracies[precision] += [float(text) for text in re.findall(r"Final test accuracy = ([\d.]+)%", run.output)]
        drifts = {precision: _drift(Path(work) / str(SEEDS[0]), args.architecture, precision) for precision in precisions}
    rows = [
        [
            precision,
            spread(seconds[precision], 2),
            spread([a / b for a, b in zip(seconds[FLOAT32], seconds[precision], strict=True)], 2),
            f"{drifts[precision]:.2%}",
            f"{statistics.mean(accuracies[precision]):.1f}%",
        ]
        for precision in precisions
    ]
    ignored = [precision for precision in PRECISIONS if precision not in precisions]
    note = f" This processor ignores {' and '.join(ignored)}." if ignored else ""
    print(f"{args.architecture} on {machine()}; {len(SEEDS)} runs.{note}\n")
    print(markdown_table(["--precision", "bottlenecks, s", "times as fast", "drift", "mean test accuracy"], rows))


def _has_effect(precision: str) -> bool:
    """Return True if the processor does not ignore the precision; in a process of its own, since oneDNN decides once."""
    command = [sys.executable, "-c", CHECK.format(precision)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


def _drift(cache: Path, architecture: str, precision: str) -> float:
    ratios = []
    for path in sorted(cache.glob(f"*/*_{architecture}.txt")):
        exact = parse_values(path.read_bytes())
        rough = parse_values(path.with_name(path.name.replace(architecture, cache_name(architecture, precision))).read_bytes())
        assert exact is not None and rough is not None
        ratios.append(float(np.linalg.norm(rough - exact) / np.linalg.norm(exact)))
    return statistics.mean(ratios)


if __name__ == "__main__":
    main()
