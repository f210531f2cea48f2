"""Benchmark of the real command against the original's method, phase by phase, on the same photos, in turn.

    python -m benchmarks.phases --image_dir flower_photos --model_dir models --architecture mobilenet_0.25_128

prints a Markdown table.
"""

import argparse
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common import Run, machine, parser_with, ratios, run_original, run_ours, spread
from retrain.data.image_lists import create_image_lists
from retrain.evaluation.tables import markdown_table
from retrain.options.images import ImageOptions

DISTORTIONS = {"flip_left_right": True, "random_crop": 10, "random_scale": 10, "random_brightness": 10}


def main() -> None:
    """Run the pairs and print the table."""
    parser = parser_with("image_dir", "model_dir", "architecture")
    parser.add_argument("--runs", type=int, default=3, help="Pairs of runs.")
    parser.add_argument("--steps", type=int, default=4000, help="Training steps; 0 skips this part.")
    parser.add_argument("--distorted_steps", type=int, default=200, help="Training steps with distortions; 0 skips this part.")
    parser.add_argument("--repeat", type=int, default=1, help="Number of copies of each photo, as links.")
    args = parser.parse_args()
    with _repeated(args.image_dir, args.repeat) as image_dir:
        _measure(args, image_dir)


def _measure(args: argparse.Namespace, image_dir: str) -> None:
    lists = create_image_lists(ImageOptions(image_dir=image_dir))
    common = {"image_dir": image_dir, "model_dir": args.model_dir, "architecture": args.architecture}
    pairs: dict[str, list[tuple[float, float]]] = {}

    def add(row: str, original: float, ours: float) -> None:
        pairs.setdefault(row, []).append((original, ours))

    for _ in range(args.runs):
        with _folders() as (theirs, mine):
            if args.steps:
                first = _pair(common, theirs, mine, args.steps)
                add(f"bottlenecks, {len(lists.images)} photos", *_phase(first, "bottlenecks"))
                add("whole command from nothing", first[0].wall, first[1].wall)
                again = _pair(common, theirs, mine, args.steps)
                add(f"{args.steps} training steps with evaluations and summaries", *_phase(again, "training"))
                add("whole command, full cache", again[0].wall, again[1].wall)
            if args.distorted_steps:
                distorted = _pair(common, theirs, mine, args.distorted_steps, distort=True)
                add(f"{args.distorted_steps} training steps with all distortions", *_phase(distorted, "training"))
    rows = [
        [row, spread([a for a, _ in seconds], 2), spread([b for _, b in seconds], 2), spread(ratios(*zip(*seconds, strict=True)))]
        for row, seconds in pairs.items()
    ]
    print(f"{args.architecture} on {machine()}; medians of {args.runs} pairs of runs, minimum and maximum in brackets.\n")
    print(markdown_table(["work", "the original's way, s", "this project, s", "times as fast"], rows))


def _pair(common: dict[str, str], theirs: Path, mine: Path, steps: int, distort: bool = False) -> tuple[Run, Run]:
    original = run_original(**common, work_dir=theirs, steps=steps, **({"distort": True} if distort else {}))
    ours = run_ours(
        **common,
        how_many_training_steps=steps,
        bottleneck_dir=mine / "bottlenecks",
        summaries_dir=mine / "summaries",
        output_graph=mine / "graph.pb",
        output_labels=mine / "labels.txt",
        checkpoint_path=mine / "checkpoint",
        **(DISTORTIONS if distort else {}),
    )
    return original, ours


def _phase(pair: tuple[Run, Run], phase: str) -> tuple[float, float]:
    """Return the seconds of a phase in both. Training includes the final test, which the original runs as a part of it."""
    ours = pair[1].phases
    return pair[0].phases[phase], ours[phase] + (ours["evaluation"] if phase == "training" else 0)


@contextmanager
def _repeated(image_dir: str, times: int) -> Iterator[str]:
    """Yield the folder itself, or a temporary one in which each photo is linked `times` times."""
    if times == 1:
        yield image_dir
        return
    with tempfile.TemporaryDirectory(prefix="retrain-photos-") as folder:
        for photo in Path(image_dir).glob("*/*"):
            for number in range(times):
                link = Path(folder, photo.parent.name, f"{number}_{photo.name}")
                link.parent.mkdir(exist_ok=True)
                link.symlink_to(photo.resolve())
        yield folder


@contextmanager
def _folders() -> Iterator[tuple[Path, Path]]:
    work = Path(tempfile.mkdtemp(prefix="retrain-benchmark-"))
    try:
        for name in ("theirs", "mine"):
            os.makedirs(work / name)
        yield work / "theirs", work / "mine"
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
