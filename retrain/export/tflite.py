"""Conversion to TensorFlow Lite, for phones and small devices."""

from typing import Any

from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.arrays import FloatArray
from retrain.errors import OutputError
from retrain.graphdef.description import NODE_NAME, Description
from retrain.graphdef.lite_converter import LiteConversionError, lite_model
from retrain.options.export_formats import TFLITE, TFLITE_FLOAT16, TFLITE_INT8
from retrain.process.tensorflow_loading import load_tensorflow
from retrain.runtimes.tflite_metadata import ENTRY, metadata_bytes, with_labels


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

    def set_up(converter: Any) -> None:
        tf = load_tensorflow()
        if format != TFLITE:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if format == TFLITE_FLOAT16:
            converter.target_spec.supported_types = [tf.float16]
        if format == TFLITE_INT8:
            converter.representative_dataset = lambda: ([image[None]] for image in calibration)
            # An operation without an int8 version is then an error, and is not computed in float32.
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]

    try:
        return _with_metadata(lite_model(graph_def, description, set_up), description)
    except LiteConversionError as error:
        raise OutputError(f"--export {format}: the network cannot be converted to TensorFlow Lite ({error}).") from error


def _with_metadata(model: bytes, description: Description) -> bytes:
    """Return the file with our metadata and the standard one: a buffer and an entry for each, and the labels behind the model."""
    from tensorflow.lite.python import schema_py_generated as schema
    from tensorflow.lite.tools import flatbuffer_utils

    content = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
    for name, data in ((NODE_NAME, description.to_json().encode()), (ENTRY, metadata_bytes(description))):
        buffer, entry = schema.BufferT(), schema.MetadataT()
        buffer.data = list(data)
        entry.name, entry.buffer = name, len(content.buffers)
        content.buffers.append(buffer)
        content.metadata = [*(content.metadata or []), entry]
    return with_labels(bytes(flatbuffer_utils.convert_object_to_bytearray(content)), description.labels)
