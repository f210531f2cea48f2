"""Shows a graph file in TensorBoard: `python -m scripts.graph_pb2tb LOGDIR GRAPH`, then `tensorboard --logdir LOGDIR`."""

import sys
from collections.abc import Sequence

from retrain.options.flags import Parser
from retrain.process.command import load_tensorflow, run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Writes an event file with the graph, without its weights, into LOGDIR; returns the exit code."""

    def command() -> int:
        parser = Parser(prog="python -m scripts.graph_pb2tb", description="Shows a graph file in TensorBoard.")
        parser.add_argument("logdir", help="Folder for TensorBoard's file.")
        parser.add_argument("graph", help="The graph file (.pb).")
        args = parser.parse_args(argv)
        load_tensorflow()
        from retrain.evaluation.tensorboard import SummaryWriter
        from retrain.graphdef.run import read_graph

        graph_def = read_graph(args.graph)
        writer = SummaryWriter(args.logdir)
        writer.add_graph(graph_def)
        writer.close()
        print(f"{len(graph_def.node)} operations. To see them: tensorboard --logdir {args.logdir}")
        return 0

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
