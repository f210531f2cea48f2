"""TensorFlow Lite's converter, set up for a graph of images."""

import warnings
from collections.abc import Callable
from typing import Any

from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.graphdef.description import Description
from retrain.graphdef.inference_graph import inference_graph
from retrain.graphdef.tensorflow_form import to_tensorflow
from retrain.process.tensorflow_loading import load_tensorflow, silenced_stderr


class LiteConversionError(Exception):
    """Error for a network that TensorFlow Lite cannot run; the message is the reason."""


def lite_model(graph_def: GraphDef, description: Description, set_up: Callable[[Any], None] = lambda converter: None) -> bytes:
    """Return a graph as a TensorFlow Lite model, from float32 [N, H, W, 3] to the graph's output.

    Args:
        graph_def: the graph.
        description: names its input and output, and tells the size of its images.
        set_up: changes the converter's settings.

    Raises:
        LiteConversionError: the graph has operations that TensorFlow Lite does not have.
    """
    tf = load_tensorflow()
    try:
        with warnings.catch_warnings(), silenced_stderr():  # The converter reports its progress, and coming changes.
            warnings.simplefilter("ignore")
            cut = to_tensorflow(inference_graph(graph_def, description))
            whole = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(cut, name=""), [])
            tensors = (whole.graph.get_tensor_by_name(name) for name in (description.input_tensor, description.output_tensor))
            converter = tf.lite.TFLiteConverter.from_concrete_functions([whole.prune(*tensors)], whole)
            set_up(converter)
            return bytes(converter.convert())
    except Exception as error:
        # The converter's ConverterError is not public; it raises ValueError and RuntimeError too.
        if not isinstance(error, ValueError | RuntimeError) and type(error).__name__ != "ConverterError":
            raise
        raise LiteConversionError(_first_line(error)) from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).partition("/")[0][:300]
