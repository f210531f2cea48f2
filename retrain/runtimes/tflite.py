"""TensorFlow Lite files, run by the interpreter that comes with TensorFlow."""

import importlib
import os
import struct
import warnings
from typing import Any

import numpy as np

from retrain.arrays import BatchFunction, FloatArray
from retrain.errors import GraphError
from retrain.graphdef.description import NODE_NAME, Description
from retrain.graphdef.nodes import node_name
from retrain.process.command import silenced_stderr
from retrain.runtimes.model import RuntimeModel, one_by_one

# Where a version of TensorFlow has its interpreter no more, the package that it moved to, with the same classes.
HOMES = (
    ("tensorflow.lite.python.interpreter", "tensorflow.lite.python.schema_py_generated"),
    ("ai_edge_litert.interpreter", "ai_edge_litert.schema_py_generated"),
)


def open_tflite(data: bytes, source: str, allow_file_ops: bool = False) -> RuntimeModel:
    """Opens a TFLite file.

    Args:
        data: its content.
        source: names it in errors.
        allow_file_ops: whether to open one that has TensorFlow's own operations, among which some write files.

    Raises:
        GraphError: it is damaged, has operations of TensorFlow, or its tensors are not float32.
    """
    interpreters, schema = _modules()
    try:
        with warnings.catch_warnings(), silenced_stderr():
            warnings.simplefilter("ignore")  # That the interpreter will move to another package.
            # The constructor reads each part of the file once and refuses what points outside; so it comes first.
            interpreter = interpreters.Interpreter(model_content=data, num_threads=os.cpu_count() or 1)
            content = schema.Model.GetRootAs(data)
            _refuse_flex(content, source, allow_file_ops)
            stated = _description(content)
        inputs, outputs = ({each["name"]: each for each in get()} for get in _details(interpreter))
    except (ValueError, RuntimeError, IndexError, TypeError, struct.error, OverflowError, UnicodeDecodeError) as error:
        first_line = next(iter(str(error).splitlines()), "")
        raise GraphError(f"{source} is no TensorFlow Lite file that can be run, or is damaged ({first_line[:200]}).") from error
    wrong = [name for name, each in (*inputs.items(), *outputs.items()) if each["dtype"] is not np.float32]
    if wrong:
        raise GraphError(f"{source} cannot be used: {', '.join(wrong)} takes or gives other numbers than float32.")

    def function(source_name: str, output_name: str) -> BatchFunction:
        return _batch_function(interpreter, inputs[source_name], outputs[output_name])

    shapes = {name: _shape(each) for name, each in inputs.items()}
    return RuntimeModel(stated, shapes, tuple(outputs), function)


def _modules() -> tuple[Any, Any]:
    for interpreter, schema in HOMES:
        try:
            return importlib.import_module(interpreter), importlib.import_module(schema)
        except ImportError:
            continue
    raise GraphError("There is no interpreter for TensorFlow Lite files. Install it: pip install ai-edge-litert")


def _details(interpreter: Any) -> tuple[Any, Any]:
    return interpreter.get_input_details, interpreter.get_output_details


def _shape(detail: Any) -> tuple[int | None, ...]:
    return tuple(int(size) if size > 0 else None for size in detail["shape_signature"])


def _refuse_flex(content: Any, source: str, allowed: bool) -> None:
    """TensorFlow's own operations come with the prefix Flex; all others compute, and no more."""
    codes = (content.OperatorCodes(place).CustomCode() or b"" for place in range(content.OperatorCodesLength()))
    found = sorted({code.decode(errors="replace") for code in codes if code.startswith(b"Flex")})
    if found and not allowed:
        raise GraphError(
            f"{source} has operations of TensorFlow, which can read or write files: {', '.join(found)}. If you trust whoever "
            "made it, add --allow_file_ops."
        )


def _description(content: Any) -> Description | None:
    for place in range(content.MetadataLength()):
        entry = content.Metadata(place)
        if entry.Name() == NODE_NAME.encode():
            return Description.from_json(content.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return None


def _batch_function(interpreter: Any, source: Any, output: Any) -> BatchFunction:
    """Resizes the input to each batch; where the network cannot take that, images go through one by one."""
    prepared: list[tuple[int, ...]] = []

    def run(images: FloatArray) -> FloatArray:
        if prepared != [images.shape]:
            with silenced_stderr():  # It says there which delegate it has made.
                interpreter.resize_tensor_input(source["index"], images.shape)
                interpreter.allocate_tensors()
            prepared[:] = [images.shape]
        interpreter.set_tensor(source["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(output["index"])

    singly: list[BatchFunction] = []

    def run_batch(images: FloatArray) -> FloatArray:
        if not singly and len(images) > 1:
            try:
                scores = run(images)
                if len(scores) == len(images):
                    return scores
            except (RuntimeError, ValueError):
                pass
            singly.append(one_by_one(run))  # Such as a reshape to a batch of one.
        try:
            return (singly[0] if singly else run)(images)
        except (RuntimeError, ValueError) as error:
            raise GraphError(
                f"The TensorFlow Lite file does not run with the input {node_name(source['name'])}: {error}"
            ) from error

    return run_batch
