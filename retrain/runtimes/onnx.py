"""ONNX files, run by onnxruntime on the CPU."""

from typing import Any

from retrain.arrays import BatchFunction, FloatArray
from retrain.errors import GraphError
from retrain.graphdef.description import NODE_NAME, Description
from retrain.runtimes.model import RuntimeModel, one_by_one

FLOAT = "tensor(float)"


def open_onnx(data: bytes, source: str) -> RuntimeModel:
    """Open an ONNX file.

    Args:
        data: its content.
        source: its name in errors.

    Raises:
        GraphError: onnxruntime is not installed, or the file is damaged, needs other files, or its tensors are not float32.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise GraphError(f"{source} is an ONNX file, which needs onnxruntime. Install it: pip install '.[onnx]'") from error
    try:
        _check_no_other_files(onnx.load_model_from_string(data), source, onnx.TensorProto.EXTERNAL)
        # Without the fallback, which would try the same again and print that to stdout.
        session = onnxruntime.InferenceSession(
            data, _quiet_options(onnxruntime), providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except GraphError:
        raise
    except Exception as error:
        # onnxruntime's errors have no base class in common but Exception; onnx raises protobuf's.
        # A message that quotes a damaged name is not UTF-8.
        if not isinstance(error, UnicodeDecodeError) and not type(error).__module__.startswith(("onnx", "google.protobuf")):
            raise
        first_line = next(iter(str(error).splitlines()), "")
        raise GraphError(
            f"{source} must be an ONNX file that onnxruntime can run. It is another file or damaged ({first_line[:200]})."
        ) from error
    values = [*session.get_inputs(), *session.get_outputs()]
    if wrong := [value.name for value in values if value.type != FLOAT]:
        raise GraphError(f"{source} cannot be used: its inputs and outputs must be float32. These are not: {', '.join(wrong)}.")
    text = session.get_modelmeta().custom_metadata_map.get(NODE_NAME)
    inputs = {
        value.name: tuple(size if isinstance(size, int) and size > 0 else None for size in value.shape)
        for value in session.get_inputs()
    }

    def function(source_name: str, output_name: str) -> BatchFunction:
        def run(images: FloatArray) -> FloatArray:
            try:
                return session.run([output_name], {source_name: images})[0]
            except Exception as error:
                if not isinstance(error, UnicodeDecodeError) and not type(error).__module__.startswith("onnx"):
                    raise
                raise GraphError(f"The ONNX file does not run with the input {source_name}: {error}") from error

        return run if inputs[source_name][:1] != (1,) else one_by_one(run)

    outputs = tuple(value.name for value in session.get_outputs())
    return RuntimeModel(Description.from_json(text) if text else None, inputs, outputs, function)


def _quiet_options(onnxruntime: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # Fatal: every error is raised as an exception too.
    return options


def _check_no_other_files(model: Any, source: str, external: int) -> None:
    """Raise GraphError if weights are in other files: whoever made the model chose their names."""
    waiting = [model.graph]
    while waiting:
        graph = waiting.pop()
        constants = [each.t for node in graph.node for each in node.attribute]
        tensors = [*graph.initializer, *constants, *(t for node in graph.node for each in node.attribute for t in each.tensors)]
        if any(tensor.data_location == external for tensor in tensors):
            raise GraphError(f"{source} keeps weights in other files. Write it again as one file (onnx.save_model).")
        for node in graph.node:
            for each in node.attribute:
                waiting.extend([*([each.g] if each.HasField("g") else []), *each.graphs])
