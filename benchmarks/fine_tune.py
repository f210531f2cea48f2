"""Benchmark of --fine_tune_steps: the gain in test accuracy, seed by seed, and its cost in time.

    python -m benchmarks.fine_tune --image_dir flower_photos --model_dir models --architecture mobilenet_0.25_128 --steps 300

prints a Markdown table. Both accuracies of a row are from the log of one run of the real command: that of the head on the
unchanged network, and that of the exported graph. The split of the photos is the same for all seeds.
"""

import re
import sys
import tempfile

from benchmarks.common import machine, parser_with, run_ours, spread
from retrain.evaluation.tables import markdown_table

BEFORE = re.compile(r"(?m)^Test accuracy before fine-tuning = ([\d.]+)% \(N=(\d+)\)$")
AFTER = re.compile(r"(?m)^Final test accuracy = ([\d.]+)% \(N=(\d+)\)$")
COST = re.compile(
    r"(?m)^Fine-tuned (\d+) weights .* \((\d+) ms a step\); those (?:after step (\d+)|from before fine-tuning) are kept\.$"
)


def main() -> None:
    """Print the table."""
    parser = parser_with("image_dir", "model_dir", "architecture")
    parser.add_argument("--steps", type=int, required=True, help="Number of fine-tuning steps.")
    parser.add_argument("--seeds", type=int, default=5, help="Number of seeds, counted from 1.")
    parser.add_argument("flags", nargs="*", help="More flags of `python -m retrain`, as NAME=VALUE.")
    args = parser.parse_args()
    rows, before, after, seconds, correct = [], [], [], [], [0, 0, 0]
    with tempfile.TemporaryDirectory() as work:
        for seed in range(1, args.seeds + 1):
            run = run_ours(
                image_dir=args.image_dir,
                model_dir=args.model_dir,
                architecture=args.architecture,
                fine_tune_steps=args.steps,
                random_seed=seed,
                bottleneck_dir=f"{work}/bottlenecks",
                summaries_dir=f"{work}/summaries",
                output_graph=f"{work}/graph.pb",
                output_labels=f"{work}/labels.txt",
                checkpoint_path=f"{work}/checkpoint/head",
                **dict(flag.split("=", 1) for flag in args.flags),
            )
            [(first, count)], [(last, _)] = BEFORE.findall(run.output), AFTER.findall(run.output)
            [(_, milliseconds, kept)] = COST.findall(run.output)
            before.append(float(first))
            after.append(float(last))
            seconds.append(run.phases["fine_tuning"])
            for column, number in enumerate(
                (round(float(first) * int(count) / 100), round(float(last) * int(count) / 100), int(count))
            ):
                correct[column] += number
            rows.append([str(seed), f"{first}%", f"{last}%", kept, milliseconds, f"{run.phases['fine_tuning']:.0f}"])
            print(*rows[-1], file=sys.stderr, flush=True)
    rows.append(["median (min to max)", spread(before), spread(after), "", "", spread(seconds, 0)])
    rows.append(["mean", f"{sum(before) / len(before):.1f}%", f"{sum(after) / len(after):.1f}%", "", "", ""])
    rows.append(["correct in total", f"{correct[0]} of {correct[2]}", f"{correct[1]} of {correct[2]}", "", "", ""])
    print(f"{args.architecture}, {args.steps} steps, {machine()}\n")
    print(markdown_table(["seed", "frozen", "fine-tuned", "steps kept", "ms per step", "seconds"], rows))


if __name__ == "__main__":
    main()
