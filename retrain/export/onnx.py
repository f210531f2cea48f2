"""Conversion to ONNX: for ONNX Runtime, and from there to TensorRT."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.errors import OutputError
from retrain.graphdef.description import NODE_NAME, Description
from retrain.graphdef.inference_graph import inference_graph
from retrain.graphdef.nodes import node_name
from retrain.graphdef.tensorflow_form import to_tensorflow
from retrain.process.tensorflow_loading import silenced_stderr

OPSET = 13  # Of 2020: it has all operations needed here, and TensorRT 8, OpenVINO and ONNX Runtime from 1.6 on read it.


def onnx_bytes(graph_def: GraphDef, description: Description) -> bytes:
    """Return an ONNX file's content: float32 [N, H, W, 3], N free → float32 [N, C], under the graph's names without `:0`.

    Args:
        graph_def: the exported graph.
        description: written into `metadata_props`, under `retrain_description`.

    Raises:
        OutputError: the network has operations that ONNX does not have.
    """
    import tf2onnx

    source, output = description.input_tensor, description.output_tensor
    try:
        with silenced_stderr(), _quiet():
            model, _ = tf2onnx.convert.from_graph_def(
                to_tensorflow(inference_graph(graph_def, description)),
                name=description.architecture,
                input_names=[source],
                output_names=[output],
                opset=OPSET,
                # A colon would end the name in a shape on trtexec's command line.
                tensors_to_rename={source: node_name(source), output: node_name(output)},
            )
    except (ValueError, RuntimeError, LookupError, AttributeError, TypeError) as error:
        raise OutputError(f"--export onnx: the network cannot be converted by tf2onnx ({str(error)[:300]}).") from error
    for value in (model.graph.input[0], model.graph.output[0]):
        batch = value.type.tensor_type.shape.dim[0]
        batch.Clear()
        batch.dim_param = "N"
    entry = model.metadata_props.add()
    entry.key, entry.value = NODE_NAME, description.to_json()
    return bytes(model.SerializeToString())


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence tf2onnx's and TensorFlow's log: missing operations end in an error anyway."""
    loggers = [logging.getLogger(name) for name in ("tf2onnx", "tensorflow")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
