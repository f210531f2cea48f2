"""What --precision costs in drift and accuracy, and what it gains in speed.

    python -m benchmarks.precision --image_dir flower_photos --model_dir models --architecture mobilenet_0.25_128

Drift is the mean over the photos of |bottleneck - float32's| / |float32's|.
"""

import re
import statistics
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import machine, parser_with, run_ours, spread, table
from retrain.bottlenecks.cache import parse_values
from retrain.process.precision import FLOAT32, PRECISIONS, cache_name

SEEDS = (1, 2, 3)


def main() -> None:
    """Prints the table."""
    parser = parser_with("image_dir", "model_dir", "architecture")
    args = parser.parse_args()
    seconds: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    accuracies: dict[str, list[float]] = {precision: [] for precision in PRECISIONS}
    with tempfile.TemporaryDirectory() as work:
        for seed in SEEDS:  # Each seed with an empty cache, precision after precision, so that all meet the same weather.
            for precision in PRECISIONS:
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
        drifts = {precision: _drift(Path(work) / str(SEEDS[0]), args.architecture, precision) for precision in PRECISIONS}
    rows = [
        [
            precision,
            spread(seconds[precision], 2),
            spread([a / b for a, b in zip(seconds[FLOAT32], seconds[precision], strict=True)], 2),
            f"{drifts[precision]:.2%}",
            f"{statistics.mean(accuracies[precision]):.1f}%",
        ]
        for precision in PRECISIONS
    ]
    print(f"{args.architecture} on {machine()}; {len(SEEDS)} runs.\n")
    print(table(["--precision", "bottlenecks, s", "times as fast", "drift", "mean test accuracy"], rows))


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
