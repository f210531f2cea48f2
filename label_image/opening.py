"""Opens whatever `--graph` names, known by its content: frozen graph, SavedModel, TensorFlow Lite or ONNX file."""

import dataclasses
import os
from typing import TypeAlias

from label_image.graph import LabelledGraph, Overrides, labelled_graph, parsed_graph
from label_image.runtime import LabelledModel, labelled_model
from retrain.errors import GraphError

Classifier: TypeAlias = LabelledGraph | LabelledModel
TFLITE_MARK = b"TFL3"  # Bytes 4 to 8 of every TensorFlow Lite file: `file_identifier` in its schema.fbs.
ONNX_MARK = b"\x08"  # The tag of a ModelProto's first field, a number; a GraphDef's field 1 are its nodes, tag 0x0a.


def open_classifier(path: str, overrides: Overrides) -> Classifier:
    """Opens a trained classifier of any kind, and finds out its input, its output and its labels.

    Raises:
        GraphError: it is missing, damaged or needs a package; a named layer is not in it; the input, the output or the labels are
            not known; it reaches for files.
    """
    if os.path.isdir(path):
        return _open_folder(path, overrides)
    data = _read(path)
    if data[4:8] == TFLITE_MARK or path.lower().endswith(".tflite"):
        from retrain.runtimes.tflite import open_tflite  # Each runtime is loaded where its file is met, and not before.

        return labelled_model(path, open_tflite(data, path, overrides.allow_file_ops), overrides)
    if data[:1] == ONNX_MARK or path.lower().endswith(".onnx"):
        from retrain.runtimes.onnx import open_onnx

        return labelled_model(path, open_onnx(data, path), overrides)
    return parsed_graph(path, data, overrides)


def _open_folder(path: str, overrides: Overrides) -> LabelledGraph:
    from retrain.runtimes.saved_model import FILE, is_saved_model, open_saved_model

    if not is_saved_model(path):
        raise GraphError(f"--graph {path} is a folder, but no SavedModel: there is no {FILE} in it.")
    opened = open_saved_model(path)
    stated = opened.stated
    if stated:
        stated = dataclasses.replace(stated, input_tensor=opened.input_tensor, output_tensor=opened.output_tensor)
    layers = dataclasses.replace(
        overrides,
        input_layer=overrides.input_layer or opened.input_tensor,
        output_layer=overrides.output_layer or opened.output_tensor,
    )
    return labelled_graph(path, opened.graph_def, stated, layers)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise GraphError(f"The graph {path} cannot be read ({error.strerror}).") from error
