"""Trained graphs to label with, and what they answer, computed without its code."""

import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef

from label_image.config import ClassifierOptions
from retrain.arrays import FloatArray
from retrain.backbones.backbone import Backbone
from retrain.data.decode import image_from_file
from retrain.export.classifier import write_graph
from retrain.graphdef.description import NODE_NAME
from retrain.graphdef.run import batch_function
from retrain.head.classifier import TrainedClassifier
from retrain.head.model import SoftmaxHead
from retrain.input_spec import InputSpec

LABELS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
BUNDLED_INPUT = InputSpec(128, 128, 127.5, 127.5)
NO_OPTIONS = ClassifierOptions()


def write_trained(
    folder: Path, backbone: Backbone, name: str = "retrained_graph.pb", final_tensor_name: str = "final_result"
) -> Path:
    """Write a graph as a run exports it, with a head of random weights."""
    size, rng = backbone.architecture.bottleneck_size, np.random.default_rng(0)
    head = SoftmaxHead(size, len(LABELS), rng)
    head.weights[...] = rng.normal(0, 1 / np.sqrt(size), head.weights.shape)
    write_graph(TrainedClassifier(backbone, head, LABELS, final_tensor_name), str(folder / name))
    return folder / name


def without_description(path: Path, name: str = "old_graph.pb") -> Path:
    """Write the same graph as the original would have written it."""
    graph = GraphDef.FromString(path.read_bytes())
    kept = [node for node in graph.node if node.name != NODE_NAME]
    del graph.node[:]
    graph.node.extend(kept)
    (path.parent / name).write_bytes(graph.SerializeToString())
    return path.parent / name


def write_hub_like(folder: Path, shape: tuple[int | None, ...] | None = (None, 20, 30, 3), inputs: tuple[str, ...] = ()) -> Path:
    """Return the graph of a hub module: pixels in [0, 1], here averaged to a score for each of three labels."""
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.float32, shape, name=inputs[0] if inputs else "Placeholder")
        for name in inputs[1:]:
            tf.compat.v1.placeholder(tf.float32, shape, name=name)
        tf.reduce_mean(images, axis=[1, 2], name="final_result")
    (folder / "graph.pb").write_bytes(graph.as_graph_def().SerializeToString())
    (folder / "labels.txt").write_text("red\ngreen\nblue\n")
    return folder / "graph.pb"


def scores_by_hand(graph_path: Path, image: Path, spec: InputSpec, feed: str = "input:0") -> FloatArray:
    """Return the graph's output for one image, computed without label_image: float32 [5]."""
    graph = GraphDef.FromString(graph_path.read_bytes())
    return batch_function(graph, feed, "final_result:0")(image_from_file(str(image), spec)[np.newaxis])[0]


def lines_by_hand(scores: FloatArray, top_k: int = 5) -> list[str]:
    ranked = sorted(zip(scores, LABELS, strict=True), reverse=True)
    return [f"{name} (score={score:.5f})" for score, name in ranked[:top_k]]


def scores_in(text: str) -> dict[str, dict[str, float]]:
    """Return the scores by label of each image of `--output_format=json`."""
    return {each["image"]: {one["label"]: one["score"] for one in each["predictions"]} for each in json.loads(text)}
