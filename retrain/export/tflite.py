"""Conversion to TensorFlow Lite, for phones and small devices."""

import warnings
from collections.abc import Iterator

from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.arrays import FloatArray
from retrain.errors import OutputError
from retrain.graphdef.description import NODE_NAME, Description
from retrain.graphdef.inference_graph import inference_graph
from retrain.graphdef.tensorflow_form import to_tensorflow
from retrain.options.export_formats import TFLITE, TFLITE_FLOAT16, TFLITE_INT8
from retrain.process.tensorflow_loading import load_tensorflow, silenced_stderr


def tflite_bytes(graph_def: GraphDef, description: Description, format: str, calibration: FloatArray) -> bytes:
    """Return a TFLite file's content. Its input is float32 [N, H, W, 3], its output float32 [N, C], whatever it computes in.

    Args:
        graph_def: the exported graph.
        description: written into the file's metadata, under `retrain_description`.
        format: `tflite` computes in float32; `tflite:float16` keeps weights as float16; `tflite:dynamic` keeps weights as int8
            and quantizes activations while it runs; `tflite:int8` computes in int8 from its input on to its output.
        calibration: float32 [N, H, W, 3], images on which the ranges of int8 activations are measured; for `tflite:int8` only.

    Raises:
        OutputError: the network has operations that TFLite does not have.
    """
    try:
        with warnings.catch_warnings(), silenced_stderr():  # The converter reports its progress, and coming changes.
            warnings.simplefilter("ignore")
            return _with_description(_convert(graph_def, description, format, calibration), description)
    except Exception as error:
        # The converter's ConverterError is not public; it raises ValueError and RuntimeError too.
        if not isinstance(error, ValueError | RuntimeError) and type(error).__name__ != "ConverterError":
            raise
        raise OutputError(
            f"--export {format}: the network cannot be converted to TensorFlow Lite ({_first_line(error)})."
        ) from error


def _convert(graph_def: GraphDef, description: Description, format: str, calibration: FloatArray) -> bytes:
    tf = load_tensorflow()
    cut = to_tensorflow(inference_graph(graph_def, description))
    whole = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(cut, name=""), [])
    tensors = (whole.graph.get_tensor_by_name(name) for name in (description.input_tensor, description.output_tensor))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([whole.prune(*tensors)], whole)
    if format != TFLITE:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if format == TFLITE_FLOAT16:
        converter.target_spec.supported_types = [tf.float16]
    if format == TFLITE_INT8:

        def samples() -> Iterator[list[FloatArray]]:
            return ([image[None]] for image in calibration)

        converter.representative_dataset = samples
        # An operation without an int8 version is then an error, and is not computed in float32.
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return bytes(converter.convert())


def _with_description(model: bytes, description: Description) -> bytes:
    """Return the file with one more buffer and a metadata entry that names it."""
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
