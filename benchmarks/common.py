"""Timed subprocesses, and the texts that the benchmarks print: medians with their range, ratios, the machine."""

import argparse
import dataclasses
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FLAG_HELP = {
    "image_dir": "Folder with one folder of photos for each class.",
    "model_dir": "Folder of the networks' archives.",
    "work_dir": "Folder for all output.",
    "architecture": "The network.",
}


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a command: its wall time in seconds, the seconds of its phases, and its output."""

    wall: float
    phases: dict[str, float]
    output: str


def parser_with(*names: str) -> argparse.ArgumentParser:
    """Return a parser of the flags of these names, all required."""
    parser = argparse.ArgumentParser()
    for name in names:
        parser.add_argument(f"--{name}", required=True, help=FLAG_HELP[name])
    return parser


def run_original(**flags: Any) -> Run:
    """Run the reimplementation of the original in benchmarks/original.py."""
    wall, output = timed([sys.executable, "-m", "benchmarks.original", *as_arguments(flags)])
    return Run(wall, json.loads(output.splitlines()[-1]), output)


def run_ours(**flags: Any) -> Run:
    """Run `python -m retrain`; the phases are read from the last line of its log."""
    wall, output = timed([sys.executable, "-m", "retrain", *as_arguments(flags)])
    phases = {name: float(seconds) for name, seconds in re.findall(r"(\w+) ([\d.]+) s", output.splitlines()[-1])}
    return Run(wall, phases, output)


def timed(command: Sequence[str]) -> tuple[float, str]:
    """Return the wall time in seconds, and stdout and stderr together. Ends the program if the command fails."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    wall = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}")
    return wall, done.stdout


def as_arguments(flags: dict[str, Any]) -> list[str]:
    """Return `["--steps=5", "--distort"]` for `{"steps": 5, "distort": True}`."""
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in flags.items()]


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Return `median (minimum to maximum)`."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def ratios(originals: Sequence[float], ours: Sequence[float]) -> list[float]:
    """Return the original's time divided by this project's, pair by pair."""
    return [a / b for a, b in zip(originals, ours, strict=True)]


def machine() -> str:
    """Return the processor's name and its number of cores."""
    try:
        model = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        model = None
    return f"{model.group(1) if model else 'unknown processor'}, {os.cpu_count()} cores"
