"""Conversions of the trained classifier for other runtimes, each compared with the frozen graph on photos of the run."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.arrays import BatchFunction, FloatArray
from retrain.data.decode import image_from_file
from retrain.data.loader import run_padded, suitable_batch_size
from retrain.errors import GraphError, ImageError, OutputError
from retrain.export.onnx import onnx_bytes
from retrain.export.saved_model import write_saved_model
from retrain.export.tflite import tflite_bytes
from retrain.export.verify import ConversionReport, compare
from retrain.files import write_atomically
from retrain.graphdef.description import Description
from retrain.graphdef.run import batch_function
from retrain.options.export_formats import ONNX, SAVED_MODEL, export_path
from retrain.process.tensorflow_loading import load_tensorflow, tensorflow_errors
from retrain.runtimes.model import RuntimeModel
from retrain.runtimes.onnx import open_onnx
from retrain.runtimes.tflite import open_tflite

logger = logging.getLogger("retrain")

N_CALIBRATION = 100  # TensorFlow Lite's guide says that 100 to 500 images are enough to measure the ranges of activations.
N_COMPARED = 60


class Conversions:
    """Conversions of a trained graph.

    Attributes:
        reports: of the conversions written so far.
    """

    def __init__(self, graph: Callable[[], GraphDef], description: Description, paths: Mapping[str, Sequence[str]]) -> None:
        """Prepare conversions; nothing is computed before the first.

        Args:
            graph: returns the exported graph; called if there is something to convert.
            description: its metadata.
            paths: paths of the photos of each set. Conversions are compared on test photos, or on validation or training photos
                if there are no others; int8 is calibrated on training photos.
        """
        self._graph, self._description, self._paths = graph, description, paths
        self._spec = description.input_spec
        self.reports: list[ConversionReport] = []

    def write(self, format: str, output_graph: str) -> None:
        """Write one format of `export_formats.EXPORTS` beside the graph, and compare it.

        Raises:
            OutputError: the network cannot be converted, or the conversion does not run.
            OSError: the file cannot be written.
        """
        path = export_path(output_graph, format)
        if format == ONNX:
            data = onnx_bytes(self._graph_def, self._description)
        else:
            data = tflite_bytes(self._graph_def, self._description, format, self._calibration)
        write_atomically(path, data, durable=True)
        self._compare(path, format, lambda: _function_of(open_onnx(data, path) if format == ONNX else open_tflite(data, path)))

    def write_saved_model(self, folder: str) -> None:
        """Write a SavedModel, load it as its users do, and compare it. Raises OutputError."""
        write_saved_model(folder, self._graph_def, self._description)
        self._compare(folder, SAVED_MODEL, lambda: _saved_model_function(folder))

    def _compare(self, path: str, format: str, load: Callable[[], BatchFunction]) -> None:
        split, images = self._compared
        try:
            scores = self._scores(load(), images)
        except tensorflow_errors(GraphError, ValueError) as error:
            raise OutputError(f"{path} was written, but does not run here: {error}") from error
        self.reports.append(compare(path, format, split, scores, self._expected))

    def _scores(self, function: BatchFunction, images: FloatArray) -> FloatArray:
        """Return the scores, float32 [N, H, W, 3] → float32 [N, C], in batches as label_image makes them."""
        size = min(len(images), suitable_batch_size(self._spec))
        if not size:
            return np.zeros((0, len(self._description.labels)), np.float32)
        return np.concatenate([run_padded(function, images[i : i + size], size) for i in range(0, len(images), size)])

    @functools.cached_property
    def _graph_def(self) -> GraphDef:
        return self._graph()

    @functools.cached_property
    def _compared(self) -> tuple[str, FloatArray]:
        for split in ("testing", "validation", "training"):
            images = self._images(split, N_COMPARED)
            if len(images):
                return split, images
        return "training", self._images("training", 0)

    @functools.cached_property
    def _expected(self) -> FloatArray:
        about = self._description
        return self._scores(batch_function(self._graph_def, about.input_tensor, about.output_tensor), self._compared[1])

    @functools.cached_property
    def _calibration(self) -> FloatArray:
        return self._images("training", N_CALIBRATION)

    def _images(self, split: str, at_most: int) -> FloatArray:
        """Return some photos of a set, evenly chosen, float32 [N, H, W, 3]; those that cannot be decoded are skipped."""
        paths, images = self._paths[split], []
        for index in np.unique(np.linspace(0, len(paths) - 1, min(at_most, len(paths))).round().astype(int)):
            try:
                images.append(image_from_file(paths[index], self._spec))
            except ImageError:
                continue  # It was reported when its bottleneck was made.
        return np.stack(images) if images else np.zeros((0, self._spec.height, self._spec.width, 3), np.float32)


def _function_of(model: RuntimeModel) -> BatchFunction:
    [source], [output] = model.inputs, model.outputs
    return model.function(source, output)


def _saved_model_function(folder: str) -> BatchFunction:
    tf = load_tensorflow()
    loaded = tf.saved_model.load(folder)
    signature = loaded.signatures[tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY]

    def run(images: FloatArray) -> FloatArray:
        _ = loaded  # Its signature does not keep it alive.
        [scores] = signature(tf.constant(images)).values()
        return scores.numpy()

    return run
