"""The trained classifier as a TensorFlow Lite file, for phones and small devices."""

import warnings
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.core.framework.graph_pb2 import GraphDef

from retrain.arrays import FloatArray
from retrain.errors import OutputError
from retrain.graphdef.description import NODE_NAME, Description
from retrain.graphdef.inference_graph import inference_graph
from retrain.options.export_formats import TFLITE, TFLITE_FLOAT16, TFLITE_INT8
from retrain.process.command import silenced_stderr


def tflite_bytes(graph_def: GraphDef, description: Description, export: str, calibration: FloatArray) -> bytes:
    """A TFLite file's content. It takes float32 [N, H, W, 3] and gives float32 [N, C], whatever it computes in.

    Args:
        graph_def: the exported graph.
        description: is put into the file's metadata, under `retrain_description`.
        export: `tflite` computes in float32; `tflite:float16` keeps weights as float16; `tflite:dynamic` keeps weights as int8
            and quantizes activations while it runs; `tflite:int8` computes in int8 from its input on to its output.
        calibration: float32 [N, H, W, 3], what the ranges of int8 activations are measured on; used for `tflite:int8` only.

    Raises:
        OutputError: the network has operations that TFLite has not.
    """
    try:
        with warnings.catch_warnings(), silenced_stderr():  # It reports its progress, and what will change in later versions.
            warnings.simplefilter("ignore")
            return _with_description(_convert(graph_def, description, export, calibration), description)
    except Exception as error:
        # The converter's ConverterError is public nowhere; it raises ValueError and RuntimeError besides.
        if not isinstance(error, ValueError | RuntimeError) and type(error).__name__ != "ConverterError":
            raise
        raise OutputError(f"--export {export}: TensorFlow Lite cannot take this network ({_first_line(error)}).") from error


def _convert(graph_def: GraphDef, description: Description, export: str, calibration: FloatArray) -> bytes:
    cut = inference_graph(graph_def, description)
    whole = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(cut, name=""), [])
    tensors = (whole.graph.get_tensor_by_name(name) for name in (description.input_tensor, description.output_tensor))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([whole.prune(*tensors)], whole)
    if export != TFLITE:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if export == TFLITE_FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    if export == TFLITE_INT8:

        def samples() -> Iterator[list[FloatArray]]:
            return ([image[None]] for image in calibration)

        converter.representative_dataset = samples
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8
        ]  # An error, not float32, where int8 is not had.
    return bytes(converter.convert())


def _with_description(model: bytes, description: Description) -> bytes:
    """The file with one more buffer and an entry of metadata that names it."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    content = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(description.to_json().encode())
    entry.name, entry.buffer = NODE_NAME, len(content.buffers)
    content.buffers.append(buffer)
    content.metadata = [*(content.metadata or []), entry]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__).partition("/")[0][:300]
