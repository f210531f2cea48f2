"""A TensorFlow Lite classifier with 8-bit input and output."""

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from retrain.data.decode import image_from_file
from retrain.input_spec import InputSpec
from tests.support.labelling import LABELS

SIZE = 32


def write_quantized(path: Path, kind: str, photos: list[Path]) -> Path:
    """Convert a small network with random weights; its input holds (level - 127.5) / 127.5."""
    rng = np.random.default_rng(1)
    kernel = tf.constant(rng.normal(0, 0.3, (5, 5, 3, 8)), tf.float32)
    weights = tf.constant(rng.normal(0, 2, (8, len(LABELS))), tf.float32)

    @tf.function(input_signature=[tf.TensorSpec([1, SIZE, SIZE, 3], tf.float32)])  # type: ignore[untyped-decorator]
    def network(images: Any) -> Any:
        found = tf.nn.relu(tf.nn.conv2d(images, kernel, 2, "SAME"))
        return tf.nn.softmax(tf.reduce_mean(found, [1, 2]) @ weights)

    spec = InputSpec(SIZE, SIZE, 127.5, 127.5)
    images = [image_from_file(str(photo), spec)[None] for photo in photos]
    extremes = [np.full((1, SIZE, SIZE, 3), level, np.float32) for level in (-1, 1)]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image] for image in [*extremes, *images])
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.as_dtype(kind)
    path.write_bytes(converter.convert())
    path.with_suffix(".txt").write_text("".join(f"{label}\n" for label in LABELS))
    return path
