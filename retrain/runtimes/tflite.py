"""TensorFlow Lite files, run by LiteRT."""

import importlib
import os
import struct
import threading
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from retrain.arrays import BatchFunction, FloatArray
from retrain.errors import GraphError
from retrain.graphdef.description import NODE_NAME, Description
from retrain.graphdef.nodes import node_name
from retrain.process.tensorflow_loading import silenced_stderr
from retrain.runtimes.model import RuntimeModel, one_by_one
from retrain.runtimes.tflite_metadata import ENTRY, StandardMetadata, read_metadata

# The second one, with the same classes, is TensorFlow's own, for systems without LiteRT.
PACKAGES = (
    ("ai_edge_litert.interpreter", "ai_edge_litert.schema_py_generated"),
    ("tensorflow.lite.python.interpreter", "tensorflow.lite.python.schema_py_generated"),
)
QUANTIZED = (np.uint8, np.int8)


def open_tflite(data: bytes, source: str, allow_file_ops: bool = False) -> RuntimeModel:
    """Open a TFLite file.

    Args:
        data: its content.
        source: its name in errors.
        allow_file_ops: True accepts TensorFlow's own operations, some of which write files.

    Raises:
        GraphError: the file is damaged, has operations of TensorFlow, or its tensors are neither float32 nor quantized to 8 bits.
    """
    interpreters, schema = _modules()
    try:
        with warnings.catch_warnings(), silenced_stderr():
            warnings.simplefilter("ignore")  # That the interpreter will move to another package.
            # First: the constructor checks each part of the file, and refuses offsets beyond its end.
            interpreter = interpreters.Interpreter(model_content=data, num_threads=os.cpu_count() or 1)
            content = schema.Model.GetRootAs(data)
            _check_no_flex(content, source, allow_file_ops)
            entries = _entries(content)
            metadata = Description.from_json(entries[NODE_NAME]) if NODE_NAME in entries else None
            standard = read_metadata(entries[ENTRY], data) if ENTRY in entries else StandardMetadata()
        details = (interpreter.get_input_details(), interpreter.get_output_details())
        inputs, outputs = ({each["name"]: each for each in tensors} for tensors in details)
    except (ValueError, RuntimeError, IndexError, TypeError, struct.error, OverflowError, UnicodeDecodeError) as error:
        first_line = next(iter(str(error).splitlines()), "")
        raise GraphError(
            f"{source} must be a TensorFlow Lite file that its interpreter can run. It is another file or damaged "
            f"({first_line[:200]})."
        ) from error
    wrong = [name for name, each in (*inputs.items(), *outputs.items()) if not _is_usable(each)]
    if wrong:
        raise GraphError(
            f"{source} cannot be used: its inputs and outputs must be float32, or uint8 or int8 with a scale. These are not: "
            f"{', '.join(wrong)}."
        )

    shared = _SharedInterpreter(interpreter)

    def function(input_name: str, output_name: str) -> BatchFunction:
        return _TfliteFunction(shared, inputs[input_name], outputs[output_name])

    shapes = {name: _shape(each) for name, each in inputs.items()}
    levels = {name: _levels(each) for name, each in inputs.items() if each["dtype"] is not np.float32}
    if standard.levels and len(inputs) == 1:
        levels = dict.fromkeys(inputs, standard.levels) | levels
    return RuntimeModel(metadata, shapes, tuple(outputs), function, levels, standard.labels)


def _modules() -> tuple[Any, Any]:
    for interpreter, schema in PACKAGES:
        try:
            return importlib.import_module(interpreter), importlib.import_module(schema)
        except ImportError:
            continue
    raise GraphError("There is no interpreter for TensorFlow Lite files. Install it: pip install ai-edge-litert")


def _is_usable(detail: Any) -> bool:
    return detail["dtype"] is np.float32 or (detail["dtype"] in QUANTIZED and detail["quantization"][0] > 0)


def _levels(detail: Any) -> tuple[float, float]:
    """Return the pixel mean and the pixel standard deviation with which grey levels are the integers of a quantized input.

    These are the level itself for uint8, and the level - 128 for int8: what programs feed to such files.
    """
    scale, zero_point = detail["quantization"]
    lowest = int(np.iinfo(detail["dtype"]).min)
    return float(zero_point - lowest), 1 / float(scale)


def _quantized(values: FloatArray, detail: Any) -> npt.NDArray[Any]:
    """Return values as a tensor takes them: `round(value / scale) + zero point`, clipped to the range of its type.

    The formula is that of TensorFlow Lite's 8-bit quantization specification.
    """
    if detail["dtype"] is np.float32:
        return values
    (scale, zero_point), limits = detail["quantization"], np.iinfo(detail["dtype"])
    return np.clip(np.round(values / np.float32(scale)) + zero_point, limits.min, limits.max).astype(detail["dtype"])


def _real(values: npt.NDArray[Any], detail: Any) -> FloatArray:
    """Return the values of a tensor as float32: `(integer - zero point) · scale` if it is quantized."""
    if detail["dtype"] is np.float32:
        return values
    scale, zero_point = detail["quantization"]
    return (values.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


def _shape(detail: Any) -> tuple[int | None, ...]:
    return tuple(int(size) if size > 0 else None for size in detail["shape_signature"])


def _check_no_flex(content: Any, source: str, allowed: bool) -> None:
    """Raise GraphError if the file has TensorFlow's own operations, whose names begin with Flex. All others only compute."""
    codes = (content.OperatorCodes(index).CustomCode() or b"" for index in range(content.OperatorCodesLength()))
    found = sorted({code.decode(errors="replace") for code in codes if code.startswith(b"Flex")})
    if found and not allowed:
        raise GraphError(
            f"{source} has operations of TensorFlow, which can read or write files: {', '.join(found)}. If you trust whoever "
            "made it, add --allow_file_ops."
        )


def _entries(content: Any) -> dict[str, bytes]:
    """Return the content of each entry of the file's metadata that is read here, by name."""
    entries = (content.Metadata(index) for index in range(content.MetadataLength()))
    found = {name.decode(errors="replace"): entry.Buffer() for entry in entries if (name := entry.Name())}
    return {name: content.Buffers(found[name]).DataAsNumpy().tobytes() for name in (NODE_NAME, ENTRY) if name in found}


class _SharedInterpreter:
    """Interpreter that any number of functions and threads may use, one after the other."""

    def __init__(self, interpreter: Any) -> None:
        self._interpreter, self._lock = interpreter, threading.Lock()
        self._allocated: tuple[int, tuple[int, ...]] | None = None  # The input and the shape that tensors are allocated for.

    def run(self, images: FloatArray, source: Any, output: Any) -> FloatArray:
        """Return the values of a tensor for a batch at another one; both are the interpreter's details of them."""
        index, shape = source["index"], images.shape
        with self._lock:
            if self._allocated != (index, shape):
                self._allocated = None
                with silenced_stderr():  # The interpreter prints the name of its delegate.
                    self._interpreter.resize_tensor_input(index, shape)
                    self._interpreter.allocate_tensors()
                self._allocated = index, shape
            self._interpreter.set_tensor(index, _quantized(images, source))
            self._interpreter.invoke()
            values = self._interpreter.get_tensor(output["index"])  # A copy.
        return _real(values, output)


class _TfliteFunction:
    """The function float32 [B, H, W, 3] → float32 [B, C] of an interpreter.

    It resizes the input to each batch. If the network does not support that, it runs images one by one.
    """

    def __init__(self, interpreter: _SharedInterpreter, source: Any, output: Any) -> None:
        self._interpreter, self._source, self._output = interpreter, source, output
        self._one_by_one = False

    def __call__(self, images: FloatArray) -> FloatArray:
        if not self._one_by_one and len(images) > 1:
            try:
                scores = self._run(images)
                if len(scores) == len(images):
                    return scores
            except (RuntimeError, ValueError):
                pass
            self._one_by_one = True  # Such as after a reshape to a batch of one.
        try:
            return (one_by_one(self._run) if self._one_by_one else self._run)(images)
        except (RuntimeError, ValueError) as error:
            raise GraphError(
                f"The TensorFlow Lite file does not run with the input {node_name(self._source['name'])}: {error}"
            ) from error

    def _run(self, images: FloatArray) -> FloatArray:
        return self._interpreter.run(images, self._source, self._output)
