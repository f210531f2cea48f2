"""Graph file for TensorBoard: `python -m scripts.graph_pb2tb LOGDIR GRAPH`, then `tensorboard --logdir LOGDIR`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retrain.options.command_line import Parser
from retrain.process.command import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Write an event file with the graph, without its weights, into LOGDIR; return the exit code."""

    def command() -> int:
        parser = Parser(prog="python -m scripts.graph_pb2tb", description="Convert a graph file for TensorBoard.")
        parser.add_argument("logdir", type=os.path.expanduser, help="Folder for TensorBoard's file.")
        parser.add_argument("graph", type=os.path.expanduser, help="The graph file (.pb).")
        args = parser.parse_args(argv)
        from retrain.graphdef.run import read_graph
        from retrain.tensorboard.events import SummaryWriter

        graph_def = read_graph(args.graph)
        writer = SummaryWriter(args.logdir)
        writer.add_graph(graph_def)
        writer.close()
        print(f"{len(graph_def.node)} operations. To see them: tensorboard --logdir {args.logdir}")
        return 0

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
