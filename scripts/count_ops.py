"""Operations of a graph, counted by kind, or listed for one kind: `python -m scripts.count_ops GRAPH [OP]`."""

import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retrain.errors import GraphError
from retrain.options.command_line import Parser
from retrain.process.command import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each kind of operation, the most frequent first, or the names of the operations of one kind."""

    def command() -> int:
        parser = Parser(prog="python -m scripts.count_ops", description="Count the operations of a graph by kind.")
        parser.add_argument("graph", type=os.path.expanduser, help="The graph file (.pb).")
        parser.add_argument("op", nargs="?", help="List the names of the operations of this kind only, such as Conv2D.")
        args = parser.parse_args(argv)
        from retrain.graphdef.run import read_graph

        nodes = read_graph(args.graph).node
        counts = Counter(node.op for node in nodes)
        if args.op and args.op not in counts:
            raise GraphError(f"The graph has no operation of the kind {args.op}. It has: {', '.join(sorted(counts))}.")
        if args.op:
            print("\n".join(node.name for node in nodes if node.op == args.op))
        else:
            lines = [f"{count:6d} {op}" for op, count in counts.most_common()]
            print("\n".join([*lines, f"{len(nodes):6d} operations in all"]))
        return 0

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
