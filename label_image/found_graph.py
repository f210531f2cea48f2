"""The graph that is meant where none is named."""

import glob
import logging
import os

from label_image.config import GRAPH
from retrain.errors import GraphError
from retrain.options.export import RUNS_DIR, ExportOptions
from retrain.runs import folder

logger = logging.getLogger("retrain")


def find_graph() -> str:
    """Return the newest graph of the runs below the current folder and of the tutorial's place, and log it if it is a run's.

    Raises:
        GraphError: there is none; the message names the places.
    """
    pattern = os.path.join(RUNS_DIR, "*", folder.GRAPH)
    found = [path for path in (GRAPH, *glob.glob(pattern)) if os.path.isfile(path)]
    if not found:
        elsewhere = ExportOptions().output_graph
        there = f", which is there: perhaps you mean --graph {elsewhere}" if os.path.isfile(elsewhere) else ""
        raise GraphError(
            f"There is no {GRAPH} and no {pattern} in {os.getcwd()}. Training without --output_graph and --run_dir writes "
            f"{elsewhere}{there or '; name the graph with --graph'}."
        )
    newest = max(found, key=os.path.getmtime)
    if newest != GRAPH:
        logger.info("Graph: %s, the newest.", newest)
    return newest
