"""Program for TensorFlow 1.15: rewrites a graph with `transform_graph`, as its documentation advises for small files and speed.

`python transform_graph.py GRAPH TARGET SIZE` writes TARGET_quantized_weights.pb, TARGET_rounded_weights.pb and
TARGET_quantized_nodes.pb.
"""

import sys

import tensorflow as tf

INPUT, OUTPUT = "input", "final_result"


def main() -> None:
    """Write the rewritten graphs."""
    from tensorflow.tools.graph_transforms import TransformGraph

    source, target, size = sys.argv[1:]
    with open(source, "rb") as file:
        graph = tf.compat.v1.GraphDef.FromString(file.read())
    strip = f'strip_unused_nodes(type=float, shape="1,{size},{size},3")'
    simplify = [strip, "remove_nodes(op=Identity, op=CheckNumerics)", "fold_constants(ignore_errors=true)", "fold_batch_norms"]
    kinds = {
        "quantized_weights": [*simplify, "quantize_weights"],
        "rounded_weights": [*simplify, "round_weights(num_steps=256)"],
        "quantized_nodes": ["add_default_attributes", *simplify, "quantize_weights", "quantize_nodes", "strip_unused_nodes"],
    }
    for kind, transforms in kinds.items():
        with open(f"{target}_{kind}.pb", "wb") as file:
            file.write(TransformGraph(graph, [INPUT], [OUTPUT], transforms).SerializeToString())


if __name__ == "__main__":
    main()
