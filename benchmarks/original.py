"""Plain reimplementation of the original's method, with which the speed of this project is compared.

One photo per session call, one text file per bottleneck; every training step reads and parses the files of its batch again, runs
one step and writes all summaries. Written from a description of the original, with TensorFlow's version 1 interface.

    python -m benchmarks.original --image_dir flowers --model_dir models --work_dir /tmp/original --steps 4000

prints the seconds of each phase as JSON.
"""

import json
import os
import random
import time
from typing import Any

import numpy as np
import tensorflow as tf

from benchmarks.common import parser_with
from retrain.backbones.architecture import Architecture
from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.data.image_lists import ImageLists, LabelledImage, create_image_lists
from retrain.graphdef.run import parse_graph
from retrain.graphdef.tensorflow_form import to_tensorflow
from retrain.options.images import ImageOptions

v1 = tf.compat.v1


class Original:
    """Session with the decoding, the network and the head."""

    def __init__(self, architecture: Architecture, graph_bytes: bytes, work_dir: str, n_classes: int) -> None:
        self.architecture = architecture
        self.cache = os.path.join(work_dir, "bottlenecks")
        self.session = v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            self.input, self.bottleneck = tf.graph_util.import_graph_def(
                to_tensorflow(parse_graph(graph_bytes, architecture.graph_file)),
                return_elements=[architecture.input_tensor, architecture.bottleneck_tensor],
                name="",
            )
            self._add_decoding()
            self._add_distortions()
            self._add_head(n_classes)
        self.writers = {
            name: v1.summary.FileWriter(os.path.join(work_dir, "summaries", name), self.session.graph)
            for name in ("train", "validation")
        }
        self.session.run(self.initialize)

    def _add_decoding(self) -> None:
        spec = self.architecture.input_spec
        self.jpeg = v1.placeholder(tf.string)
        decoded = tf.expand_dims(tf.cast(tf.io.decode_jpeg(self.jpeg, channels=3), tf.float32), 0)
        resized = v1.image.resize_bilinear(decoded, [spec.height, spec.width])
        self.decoded = tf.multiply(resized - spec.mean, 1.0 / spec.std)

    def _add_distortions(self) -> None:
        """Add a crop of 10%, a scale of 10%, a brightness of 10% and mirroring: the distortions of the benchmark."""
        spec = self.architecture.input_spec
        self.distorted_jpeg = v1.placeholder(tf.string)
        decoded = tf.expand_dims(tf.cast(tf.io.decode_jpeg(self.distorted_jpeg, channels=3), tf.float32), 0)
        scale = 1.1 * tf.random.uniform([], 1.0, 1.1)
        size = tf.cast(tf.stack([spec.height * scale, spec.width * scale]), tf.int32)
        larger = tf.squeeze(v1.image.resize_bilinear(decoded, size), 0)
        cropped = tf.image.random_crop(larger, [spec.height, spec.width, 3])
        mirrored = tf.image.random_flip_left_right(cropped)
        bright = mirrored * tf.random.uniform([], 0.9, 1.1)
        self.distorted = tf.expand_dims(tf.multiply(bright - spec.mean, 1.0 / spec.std), 0)

    def _add_head(self, n_classes: int) -> None:
        size = self.architecture.bottleneck_size
        self.features = v1.placeholder_with_default(self.bottleneck, [None, size])
        self.classes = v1.placeholder(tf.int64, [None])
        weights = v1.Variable(tf.random.truncated_normal([size, n_classes], stddev=0.001))
        biases = v1.Variable(tf.zeros([n_classes]))
        logits = self.features @ weights + biases
        self.loss = v1.losses.sparse_softmax_cross_entropy(self.classes, logits)
        right = tf.equal(tf.argmax(logits, 1), self.classes)
        self.accuracy = tf.reduce_mean(tf.cast(right, tf.float32))
        self.train_op = v1.train.GradientDescentOptimizer(0.01).minimize(self.loss)
        for name, variable in (("weights", weights), ("biases", biases)):
            self._summarise(name, variable)
        v1.summary.histogram("pre_activations", logits)
        v1.summary.histogram("activations", tf.nn.softmax(logits))
        v1.summary.scalar("cross_entropy_1", self.loss)
        v1.summary.scalar("accuracy_1", self.accuracy)
        self.merged = v1.summary.merge_all()
        self.initialize = v1.global_variables_initializer()

    def _summarise(self, name: str, variable: Any) -> None:
        mean = tf.reduce_mean(variable)
        v1.summary.scalar(f"{name}/mean_1", mean)
        v1.summary.scalar(f"{name}/stddev_1", tf.sqrt(tf.reduce_mean(tf.square(variable - mean))))
        v1.summary.scalar(f"{name}/max_1", tf.reduce_max(variable))
        v1.summary.scalar(f"{name}/min_1", tf.reduce_min(variable))
        v1.summary.histogram(f"{name}/histogram", variable)

    def read_or_make(self, image: LabelledImage) -> list[float]:
        """Return the bottleneck of an image, read from its text file, which is made first if it is missing."""
        path = os.path.join(self.cache, image.folder, f"{image.file_name}_{self.architecture.name}.txt")
        if not os.path.exists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(image.path, "rb") as file:
                pixels = self.session.run(self.decoded, {self.jpeg: file.read()})
            values = np.squeeze(self.session.run(self.bottleneck, {self.input: pixels}))
            with open(path, "w", encoding="ascii") as out:
                out.write(",".join(str(value) for value in values))
        with open(path, encoding="ascii") as text:
            return [float(part) for part in text.read().split(",")]

    def distort(self, image: LabelledImage) -> Any:
        """Return the bottleneck of a distorted image."""
        with open(image.path, "rb") as file:
            pixels = self.session.run(self.distorted, {self.distorted_jpeg: file.read()})
        return np.squeeze(self.session.run(self.bottleneck, {self.input: pixels}))

    def train(self, lists: ImageLists, steps: int, distort: bool) -> None:
        """Train for this many steps on batches of 100 images, with an evaluation every 10 steps."""
        training, validation = _by_class(lists, "training"), _by_class(lists, "validation")
        for step in range(steps):
            batch = _draw(training)
            make = self.distort if distort else self.read_or_make
            feeds = {self.features: [make(i) for i in batch], self.classes: [i.class_index for i in batch]}
            summary, _ = self.session.run([self.merged, self.train_op], feeds)
            self.writers["train"].add_summary(summary, step)
            if step % 10 == 0 or step == steps - 1:
                self.session.run([self.accuracy, self.loss], feeds)
                batch = _draw(validation)
                feeds = {self.features: [self.read_or_make(i) for i in batch], self.classes: [i.class_index for i in batch]}
                summary, _ = self.session.run([self.merged, self.accuracy], feeds)
                self.writers["validation"].add_summary(summary, step)
        for writer in self.writers.values():
            writer.close()

    def export(self, path: str) -> None:
        """Write the graph. It has the size of the real one; its nodes differ, which does not matter for the time."""
        with open(path, "wb") as file:
            file.write(self.session.graph.as_graph_def().SerializeToString())


def _by_class(lists: ImageLists, split: str) -> list[list[LabelledImage]]:
    return [[i for i in lists.images if i.split == split and i.class_index == c] for c in range(len(lists.labels))]


def _draw(by_class: list[list[LabelledImage]]) -> list[LabelledImage]:
    return [random.choice(random.choice(by_class)) for _ in range(100)]


def main() -> None:
    """Run the phases and print their seconds."""
    parser = parser_with("image_dir", "model_dir", "work_dir", "architecture")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--distort", action="store_true")
    args = parser.parse_args()
    v1.disable_eager_execution()
    start = time.perf_counter()
    lists = create_image_lists(ImageOptions(image_dir=args.image_dir))
    architecture = find_architecture(args.architecture)
    original = Original(architecture, read_graph_file(architecture, args.model_dir), args.work_dir, len(lists.labels))
    seconds = {"start": time.perf_counter() - start}
    start = time.perf_counter()
    for image in lists.images:
        if not (args.distort and image.split == "training"):
            original.read_or_make(image)
    seconds["bottlenecks"] = time.perf_counter() - start
    start = time.perf_counter()
    original.train(lists, args.steps, args.distort)
    seconds["training"] = time.perf_counter() - start
    original.export(os.path.join(args.work_dir, "graph.pb"))
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
