"""Comparison of the times of two runs, from files that --timing_report wrote.

python -m scripts.compare_timings cpu.json gpu.json
"""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retrain.errors import FlagError
from retrain.evaluation.tables import markdown_table
from retrain.options.command_line import Parser
from retrain.process.command import end, run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each phase: its time in both runs, and how many times as fast the second one was."""

    def command() -> int:
        parser = Parser(prog="python -m scripts.compare_timings", description="Compare the times of two runs.")
        parser.add_argument("first", type=os.path.expanduser, help="File that --timing_report wrote in the first run.")
        parser.add_argument("second", type=os.path.expanduser, help="File that --timing_report wrote in the second run.")
        args = parser.parse_args(argv)
        print(compared(read_report(args.first), read_report(args.second)))
        return 0

    return run_command(command)


def read_report(path: str) -> dict[str, Any]:
    """Return a report that `Timings.to_json` made. Raises FlagError for a file that is no such report."""
    try:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        for phase in report["phases"].values():
            float(phase["seconds"]), int(phase["count"]), str(phase["unit"])
        return {"run": dict(report["run"]), "machine": dict(report["machine"]), "phases": report["phases"]}
    except OSError as error:
        raise FlagError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FlagError(f"{path} is not a timing report. Give a file that --timing_report wrote.") from error


def compared(first: dict[str, Any], second: dict[str, Any]) -> str:
    """Return a description of each run and a Markdown table, with the ratio of the rates, or of the times if there are none."""
    lines = [f"{number}: {_described(report)}" for number, report in (("first", first), ("second", second))]
    rows = [
        [name, _shown(phase), _shown(other), _ratio(phase, other)]
        for name, phase in first["phases"].items()
        if (other := second["phases"].get(name))
    ]
    return "\n".join([*lines, "", markdown_table(["phase", "first", "second", "times as fast"], rows)])


def _described(report: dict[str, Any]) -> str:
    run, machine = report["run"], report["machine"]
    gpus = machine.get("gpus") or []
    device = f"{', '.join(gpus)}" if gpus else f"{machine.get('processor')}, {machine.get('cores')} cores"
    return f"{run.get('architecture')}, {run.get('bottlenecks_made')} bottlenecks made, on {device}"


def _shown(phase: dict[str, Any]) -> str:
    rate = f" ({phase['count'] / phase['seconds']:,.0f} {phase['unit']}/s)" if phase["count"] and phase["seconds"] else ""
    return f"{phase['seconds']:.2f} s{rate}"


def _ratio(first: dict[str, Any], second: dict[str, Any]) -> str:
    if not first["seconds"] or not second["seconds"]:
        return ""
    if first["count"] and second["count"]:
        return f"{second['count'] / second['seconds'] / (first['count'] / first['seconds']):.1f}"
    return f"{first['seconds'] / second['seconds']:.1f}"


if __name__ == "__main__":
    end(main())
