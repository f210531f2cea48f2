"""Benchmark of a sweep against the same trainings as separate commands, on cached bottlenecks.

python -m benchmarks.sweep --image_dir flower_photos --model_dir models --architecture mobilenet_0.25_128
"""

import itertools
import sys
import tempfile

from benchmarks.common import as_arguments, machine, parser_with, run_ours, spread, timed
from retrain.evaluation.tables import markdown_table

RATES = ("0.005", "0.01", "0.1", "1.0")
SEEDS = ("1", "2", "3")


def main() -> None:
    """Print the table."""
    parser = parser_with("image_dir", "model_dir", "architecture")
    parser.add_argument("--runs", type=int, default=3, help="Pairs of runs.")
    args = parser.parse_args()
    common = {"image_dir": args.image_dir, "model_dir": args.model_dir, "architecture": args.architecture}
    separate, together = [], []
    with tempfile.TemporaryDirectory() as work:
        common["bottleneck_dir"] = f"{work}/bottlenecks"
        outputs = {
            "summaries_dir": f"{work}/summaries",
            "output_graph": f"{work}/graph.pb",
            "output_labels": f"{work}/labels.txt",
            "checkpoint_path": f"{work}/checkpoint",
        }
        run_ours(**common, **outputs, how_many_training_steps=1)  # Fills the cache, so that neither side is timed with it.
        for _ in range(args.runs):
            pairs = itertools.product(RATES, SEEDS)
            separate.append(sum(run_ours(**common, **outputs, learning_rate=rate, random_seed=seed).wall for rate, seed in pairs))
            flags = {"sweep_dir": f"{work}/sweep", "learning_rate": ",".join(RATES), "random_seed": ",".join(SEEDS)}
            wall, _ = timed([sys.executable, "-m", "retrain.sweep", *as_arguments({**common, **flags})])
            together.append(wall)
    print(f"{len(RATES) * len(SEEDS)} heads on {args.architecture}, on {machine()}; medians of {args.runs} pairs.\n")
    faster = spread([a / b for a, b in zip(separate, together, strict=True)])
    row = [spread(separate), spread(together), faster]
    print(markdown_table(["separate commands, s", "one sweep, s", "times as fast"], [row]))


if __name__ == "__main__":
    main()
