"""The folder of a run: its name, the files in it, and the newest of them."""

import dataclasses
import datetime
import glob
import json
import os
from typing import Any

from retrain.config import RetrainConfig
from retrain.errors import OutputError
from retrain.files import write_atomically
from retrain.options.export import AUTO_RUN_DIR, RUNS_DIR
from retrain.process.output_paths import prepare_new_folder

GRAPH, METRICS, CONFIG = "retrained_graph.pb", "metrics.json", "config.json"
SPLIT, REPORT_LISTS = "retrained_split.csv", "report"
# The place in the folder of what each flag names.
PLACES = {
    "output_graph": GRAPH,
    "output_labels": "retrained_labels.txt",
    "report": "report.html",
    "summaries_dir": "training_summaries",
    "checkpoint_path": os.path.join("checkpoint", "head"),
    "intermediate_output_graphs_dir": "intermediate_graphs",
    "timing_report": "timing.json",
}
MOST_RUNS_A_DAY = 10_000


def in_run_dir(config: RetrainConfig) -> RetrainConfig:
    """Return the configuration with all outputs in `run_dir`, which is made, but those that flags place elsewhere.

    Raises:
        OutputError: the folder cannot be made, or is not empty and the run does not resume.
    """
    if config.run_dir is None:
        return config
    if config.run_dir == AUTO_RUN_DIR:
        folder = _newest(RUNS_DIR) if config.resume else None
        folder = folder or _claimed()
    else:
        folder = config.run_dir
        if not (os.path.isdir(folder) and (config.resume or _is_unfinished(folder))):
            prepare_new_folder("run_dir", folder)
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    left = [name for name in PLACES if getattr(config, name) == defaults[name]]
    places: dict[str, Any] = {name: os.path.join(folder, PLACES[name]) for name in left}
    return dataclasses.replace(config, run_dir=folder, **places)


def write_record(config: RetrainConfig, metrics: dict[str, Any]) -> None:
    """Write the settings and the results of a run into its folder, if it has one. Raises OutputError."""
    if config.run_dir is None:
        return
    for name, values in ((CONFIG, dataclasses.asdict(config)), (METRICS, metrics)):
        path = os.path.join(config.run_dir, name)
        try:
            write_atomically(path, json.dumps(values, indent=2, default=dict).encode())
        except OSError as error:
            raise OutputError(f"{path} cannot be written ({error.strerror}).") from error


def _is_unfinished(folder: str) -> bool:
    """Return True if all that a folder has was begun by a run that was stopped or failed: the same command may take it."""
    names, places = set(os.listdir(folder)), {place.partition(os.sep)[0] for place in PLACES.values()}
    return bool(names) and names <= {*places, REPORT_LISTS, SPLIT, CONFIG}


def _newest(runs_dir: str) -> str | None:
    """Return the newest folder of a run, finished or not."""
    folders = [path for path in glob.glob(os.path.join(glob.escape(runs_dir), "*")) if os.path.isdir(path)]
    return max(folders, key=os.path.getmtime, default=None)


def _claimed() -> str:
    """Make the next folder of today; two runs at once get two."""
    today = datetime.date.today().isoformat()
    try:
        os.makedirs(RUNS_DIR, exist_ok=True)
        for number in range(1, MOST_RUNS_A_DAY):
            folder = os.path.join(RUNS_DIR, f"{today}-{number}")
            try:
                os.mkdir(folder)
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        raise OutputError(f"--run_dir: the folder {RUNS_DIR} cannot be made ({error.strerror}). Give another place.") from error
    raise OutputError(f"--run_dir: {RUNS_DIR} has {MOST_RUNS_A_DAY} runs of today. Give another place.")
