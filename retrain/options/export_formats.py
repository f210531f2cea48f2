"""The formats of `--export`: their names, the files they go to, and the packages they need."""

import importlib.util
import os
from collections.abc import Iterable

from retrain.errors import FlagError

TFLITE, TFLITE_FLOAT16, TFLITE_DYNAMIC, TFLITE_INT8 = "tflite", "tflite:float16", "tflite:dynamic", "tflite:int8"
ONNX = "onnx"
SAVED_MODEL = "saved_model"  # Has a flag of its own, --saved_model_dir; named here for results.
EXPORTS = (TFLITE, TFLITE_FLOAT16, TFLITE_DYNAMIC, TFLITE_INT8, ONNX)
PACKAGES = {ONNX: ("tf2onnx", "onnx", "onnxruntime")}  # The extra of setup.py has the format's name.


def export_path(output_graph: str, export: str) -> str:
    """Beside the graph: `flowers.pb` → `flowers.tflite`, `flowers.int8.tflite`, `flowers.onnx`."""
    kind, _, variant = export.partition(":")
    return ".".join(part for part in (os.path.splitext(output_graph)[0], variant, kind) if part)


def export_problems(exports: tuple[str, ...], output_graph: str, output_labels: str) -> str | None:
    """Return what is wrong if a format is named twice, or its file would be the graph's or the labels'; else None."""
    if len(set(exports)) < len(exports):
        return f"--export must name each format once. Got {' '.join(exports)}."
    for name, path in (("output_graph", output_graph), ("output_labels", output_labels)):
        for export in exports:
            if export_path(output_graph, export) == path:
                return f"--export {export} would be written to {path}, which is --{name}. Give that another name."
    return None


def check_packages(exports: Iterable[str]) -> None:
    """Raises FlagError where a package that a format needs is not installed."""
    for export in exports:
        missing = [name for name in PACKAGES.get(export, ()) if not importlib.util.find_spec(name)]
        if missing:
            raise FlagError(f"--export {export} needs {', '.join(missing)}. Install with this project: pip install '.[{export}]'")
