"""A program for TensorFlow 1.15, as its users wrote them: `python tensorflow_1_program.py GRAPH FEED FILE FETCH OUTPUT`.

FILE is an array (.npy), or any other file, whose bytes are fed. This file runs under Python 3.7 too.
"""

import sys

import numpy as np
import tensorflow as tf


def main(graph_file: str, feed: str, input_file: str, fetch: str, output_file: str) -> None:
    """Load the graph, run it, and save its output."""
    with open(input_file, "rb") as file:
        value = np.load(file) if input_file.endswith(".npy") else file.read()
    graph_def = tf.GraphDef()
    with open(graph_file, "rb") as file:
        graph_def.ParseFromString(file.read())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="import")
        with tf.Session(graph=graph) as session:
            np.save(output_file, session.run(f"import/{fetch}:0", {f"import/{feed}:0": value}))


if __name__ == "__main__":
    assert tf.__version__.startswith("1.15"), tf.__version__
    main(*sys.argv[1:])
