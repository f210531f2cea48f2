"""Two runs' times beside each other: `python -m scripts.compare_timings cpu.json gpu.json`, files that --timing_report wrote."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retrain.errors import FlagError
from retrain.options.flags import Parser
from retrain.process.command import end, run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each phase with its time in both runs, and how many times as fast the second one was."""

    def command() -> int:
        parser = Parser(prog="python -m scripts.compare_timings", description="Two runs' times beside each other.")
        parser.add_argument("first", help="File that --timing_report wrote.")
        parser.add_argument("second", help="The same of another run.")
        args = parser.parse_args(argv)
        print(compared(read_report(args.first), read_report(args.second)))
        return 0

    return run_command(command)


def read_report(path: str) -> dict[str, Any]:
    """A report as `Timings.to_json` made it. Raises FlagError where it is none."""
    try:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        for phase in report["phases"].values():
            float(phase["seconds"]), int(phase["count"]), str(phase["unit"])
        return {"run": dict(report["run"]), "machine": dict(report["machine"]), "phases": report["phases"]}
    except OSError as error:
        raise FlagError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FlagError(f"{path} is no report of times: give a file that --timing_report wrote.") from error


def compared(first: dict[str, Any], second: dict[str, Any]) -> str:
    """What each run was, and a table in Markdown; the ratio is that of rates, where there are any, else of times."""
    lines = [f"{number}: {_described(report)}" for number, report in (("first", first), ("second", second))]
    lines += ["", "| phase | first | second | times as fast |", "| --- | --- | --- | --- |"]
    for name, phase in first["phases"].items():
        other = second["phases"].get(name)
        if other:
            lines.append(f"| {name} | {_shown(phase)} | {_shown(other)} | {_ratio(phase, other)} |")
    return "\n".join(lines)


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
