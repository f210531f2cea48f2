"""`python -m retrain.runs`: the runs in a folder, with their accuracy and settings; or two of them compared."""

import datetime
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from retrain.errors import FlagError
from retrain.options.command_line import build_parser, from_namespace
from retrain.options.export import RUNS_DIR
from retrain.options.flags import Options, flag
from retrain.process.command import end, run_command
from retrain.runs.folder import CONFIG, METRICS, PLACES

# Settings that say where, not how.
NO_SETTINGS = {*PLACES, "run_dir", "bottleneck_dir", "model_dir", "saved_model_dir", "save_split", "logging_verbosity"}


@dataclass(frozen=True, kw_only=True)
class RunsConfig(Options):
    """Options of the list of runs."""

    runs_dir: str = flag("Folder with the folders of the runs, as --run_dir auto makes them.", RUNS_DIR, path="FOLDER")


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        name: of its folder.
        seconds_since_epoch: when it ended.
        config: its settings.
        metrics: its results.
    """

    name: str
    seconds_since_epoch: float
    config: dict[str, Any]
    metrics: dict[str, Any]

    def setting(self, name: str) -> str:
        """Return a setting as text; the network is the one that was used."""
        value = self.metrics.get("architecture") if name == "architecture" else self.config.get(name)
        return "-" if value in (None, [], "") else str(value)

    @property
    def measures(self) -> dict[str, str]:
        """Accuracy, number of test images, and time, as texts."""
        test = self.metrics.get("test") or {}
        low, high = test.get("accuracy_interval", (None, None))
        return {
            "test accuracy": _percent(test.get("accuracy")),
            "95% interval": "-" if low is None else f"{low:.1%} to {high:.1%}",
            "test images": str(test.get("count", 0)),
            "validation accuracy": _percent(self.metrics.get("validation_accuracy")),
            "seconds": f"{sum(self.metrics.get('seconds', {}).values()):.1f}",
        }


def main(argv: Sequence[str] | None = None) -> int:
    """Print the runs, or the comparison of two; return the exit code."""

    def command() -> int:
        parser = build_parser(RunsConfig, prog="python -m retrain.runs", description="List runs, or compare two of them.")
        parser.add_argument("run", nargs="*", help="The names or folders of two runs to compare. Without any, all are listed.")
        args = parser.parse_args(argv)
        config = from_namespace(RunsConfig, args)
        if not args.run:
            print(_table(_all_runs(config.runs_dir)))
        elif len(args.run) == 2:
            print(_comparison(*(_named(config.runs_dir, name) for name in args.run)))
        else:
            raise FlagError(f"Two runs can be compared. Got {len(args.run)}: {' '.join(args.run)}.")
        return 0

    return run_command(command)


def _all_runs(runs_dir: str) -> list[Run]:
    try:
        names = sorted(os.listdir(runs_dir))
    except OSError as error:
        raise FlagError(f"--runs_dir {runs_dir} cannot be read ({error.strerror}). Train with --run_dir auto first.") from error
    found = [run for name in names if (run := _read(os.path.join(runs_dir, name)))]
    if not found:
        raise FlagError(f"--runs_dir {runs_dir} has no finished run. Train with --run_dir auto first.")
    return sorted(found, key=lambda run: run.seconds_since_epoch)


def _named(runs_dir: str, name: str) -> Run:
    for folder in (os.path.join(runs_dir, name), name):
        if run := _read(folder):
            return run
    raise FlagError(f"There is no finished run {name} in {runs_dir}. Without names, all runs are listed.")


def _read(folder: str) -> Run | None:
    """Return the run in a folder; None if it has none, or it is not finished."""
    path = os.path.join(folder, METRICS)
    try:
        with open(path, encoding="utf-8") as file:
            metrics = json.load(file)
        with open(os.path.join(folder, CONFIG), encoding="utf-8") as file:
            config = json.load(file)
        ended = os.path.getmtime(path)
    except (OSError, ValueError):
        return None
    if not isinstance(metrics, dict) or not isinstance(config, dict):
        return None
    return Run(os.path.basename(os.path.normpath(folder)), ended, config, metrics)


def _table(runs: Sequence[Run]) -> str:
    from retrain.evaluation.tables import markdown_table

    varied = [name for name in runs[0].config if name not in NO_SETTINGS and len({run.setting(name) for run in runs}) > 1]
    settings = list(dict.fromkeys(["architecture", *varied]))
    heads = ["run", "ended", *runs[0].measures, *settings]
    rows = [
        [run.name, _date(run.seconds_since_epoch), *run.measures.values(), *(run.setting(name) for name in settings)]
        for run in runs
    ]
    return markdown_table(heads, rows, aligned=True)


def _comparison(first: Run, second: Run) -> str:
    from retrain.evaluation.tables import markdown_table

    rows = [[name, value, second.measures[name]] for name, value in first.measures.items()]
    rows += [[f"recall of {label}", recall, _recalls(second).get(label, "-")] for label, recall in _recalls(first).items()]
    names = dict.fromkeys(["architecture", *first.config, *second.config])
    rows += [
        [f"--{name}", first.setting(name), second.setting(name)]
        for name in names
        if name not in NO_SETTINGS and first.setting(name) != second.setting(name)
    ]
    return markdown_table(["", first.name, second.name], rows, aligned=True)


def _recalls(run: Run) -> dict[str, str]:
    classes = (run.metrics.get("test") or {}).get("classes", [])
    return {each["label"]: _percent(each["recall"]) for each in classes}


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"


def _date(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


if __name__ == "__main__":
    end(main())
