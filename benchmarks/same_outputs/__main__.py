"""Run the same seeded commands with two checkouts of this project, and compare every output.

    python -m benchmarks.same_outputs OLD_CHECKOUT NEW_CHECKOUT [--image_dir DIR] [--only NAME …] [--keep DIR]

Graphs, labels, bottlenecks, checkpoints, TensorBoard's values, exports, printed texts and exit codes have to be the same; times
and paths of the run are left out. With --keep, the differences of each case are in DIR/<case>.diff, and outputs of OLD are used
again as long as its commit, the photos and the case stay the same. Differences that are meant stand in `intended.py`. The exit
code is 0 if there are no others.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.same_outputs.cases import all_cases
from benchmarks.same_outputs.commands import Case
from benchmarks.same_outputs.compare import Comparison, compare_folders
from benchmarks.same_outputs.inputs import has_mobilenet, inputs_digest, prepare_inputs
from benchmarks.same_outputs.intended import TABLE
from benchmarks.same_outputs.runs import Place, check_checkout, run_new, run_old

SHOWN_FILES, SHOWN_LINES = 4, 14


def main() -> int:
    """Compare the checkouts that the command line names; return the exit code."""
    args = _parser().parse_args()
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
        return _compare_all(args, args.keep.resolve())
    with tempfile.TemporaryDirectory(prefix="same_outputs_") as folder:
        return _compare_all(args, Path(folder).resolve())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Compare every output of two checkouts.")
    parser.add_argument("old", type=Path, help="Checkout to compare with.")
    parser.add_argument("new", type=Path, help="Checkout to check.")
    parser.add_argument("--image_dir", type=Path, help="Folder that holds one folder of photos for each class.")
    parser.add_argument("--images_per_class", type=int, default=24, help="How many photos of each class to use.")
    parser.add_argument("--only", nargs="+", help="Names of cases to run; all if not given.")
    parser.add_argument("--jobs", type=int, default=2, help="How many cases to run at a time.")
    parser.add_argument("--keep", type=Path, help="Folder to keep all outputs in; those of OLD there are used again.")
    return parser


def _compare_all(args: argparse.Namespace, work: Path) -> int:
    old, new = args.old.resolve(), args.new.resolve()
    for checkout in (old, new):
        check_checkout(checkout, work)
    prepare_inputs(work / "inputs", old, args.image_dir, args.images_per_class)
    place = Place(work, old, new, inputs_digest(work / "inputs"))
    cases = all_cases(has_mobilenet(place.inputs))
    unknown = set(args.only or ()) - {case.name for case in cases}
    if unknown:
        sys.exit(f"There is no case {', '.join(sorted(unknown))}. There are: {', '.join(case.name for case in cases)}.")
    start, differing, explained = time.perf_counter(), [], Counter[int]()
    chosen = [case for case in cases if not args.only or case.name in args.only]
    with ThreadPoolExecutor(args.jobs) as threads:
        for case, (comparison, about) in zip(chosen, threads.map(lambda case: _run(case, place), chosen), strict=True):
            _print(case.name, comparison, about)
            _write_report(place.work / f"{case.name}.diff", comparison)
            explained += comparison.explained
            if comparison.differences:
                differing.append(case.name)
    _print_intended(explained)
    print(f"{len(differing)} cases differ{': ' if differing else ''}{', '.join(differing)} ({time.perf_counter() - start:.0f} s)")
    return 1 if differing else 0


def _run(case: Case, place: Place) -> tuple[Comparison, str]:
    """Run a case on both sides, one after the other; return how it compares, and how long that took."""
    start = time.perf_counter()
    old, found = run_old(case, place)
    new = run_new(case, place)
    comparison = compare_folders(case.name, old, new, TABLE)
    again = ", outputs of OLD used again" if found else ""
    about = f"{len(case.commands)} commands, {comparison.n_files} files, {time.perf_counter() - start:.0f} s{again}"
    return comparison, about


def _print(name: str, comparison: Comparison, about: str) -> None:
    """Print a line for a case, and the first of its differences."""
    n_explained = comparison.explained.total()
    meant = f", but for {n_explained} lines that are meant to differ" if n_explained else ""
    print(f"{name}: {'differs' if comparison.differences else 'same'}{meant} ({about})")
    for number, (file, lines) in enumerate(comparison.differences.items()):
        shown = lines[2 : SHOWN_LINES + 2] if number < SHOWN_FILES else []
        print("\n".join([f"  {file}", *(f"    {line}" for line in shown)]))
        if shown and len(lines) > SHOWN_LINES + 2:
            print(f"    … {len(lines) - SHOWN_LINES - 2} lines more")
    sys.stdout.flush()


def _write_report(path: Path, comparison: Comparison) -> None:
    """Write all differences of a case into a file, or remove that of an earlier run."""
    path.unlink(missing_ok=True)
    if comparison.differences:
        texts = ["\n".join([file, *lines, ""]) for file, lines in comparison.differences.items()]
        path.write_text("\n".join(texts), encoding="utf-8")


def _print_intended(explained: Counter[int]) -> None:
    print("Intended differences:")
    for number, rule in enumerate(TABLE):
        print(f"  {explained[number]:5d} lines: {rule.reason} ({rule.case}, {rule.file})")


if __name__ == "__main__":
    sys.exit(main())
