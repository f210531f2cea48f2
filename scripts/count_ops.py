"""Counts a graph's operations by kind, or lists those of one kind: `python -m scripts.count_ops GRAPH [OP]`."""

import sys
from collections import Counter
from collections.abc import Sequence

from retrain.errors import GraphError
from retrain.options.flags import Parser
from retrain.process.command import load_tensorflow, run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Prints a line for each kind of operation, the most frequent first, or the names of the operations of one kind."""

    def command() -> int:
        parser = Parser(prog="python -m scripts.count_ops", description="Counts a graph's operations by kind.")
        parser.add_argument("graph", help="The graph file (.pb).")
        parser.add_argument("op", nargs="?", help="Only list the names of the operations of this kind, such as Conv2D.")
        args = parser.parse_args(argv)
        load_tensorflow()
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
