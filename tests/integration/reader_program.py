"""Program that runs an exported classifier in one of its readers, in whatever Python has it.

`python reader_program.py READER MODEL PIXELS SCORES` reads float32 [N, H, W, 3] from PIXELS (.npy) and writes float32 [N, C].
READER is tensorflow_1, opencv, openvino, onnxruntime or litert. It is kept to what Python 3.7 knows.
"""

import os
import sys
from typing import Any

import numpy as np


def tensorflow_1(path: str, pixels: Any) -> Any:
    """Run a frozen graph."""
    import tensorflow as tf

    tf = getattr(tf.compat, "v1", tf)
    graph_def = tf.GraphDef()
    with open(path, "rb") as file:
        graph_def.ParseFromString(file.read())
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with tf.Session(graph=graph) as session:
            # Some networks' inputs are made for one image.
            return np.concatenate([session.run("final_result:0", {"input:0": image[None]}) for image in pixels])


def opencv(path: str, pixels: Any) -> Any:
    """Run a frozen graph, or an ONNX file."""
    import cv2

    is_onnx = path.endswith(".onnx")
    network = cv2.dnn.readNetFromONNX(path) if is_onnx else cv2.dnn.readNetFromTensorflow(path)
    images = pixels if is_onnx else pixels.transpose(0, 3, 1, 2)
    scores = []
    for image in images:
        network.setInput(np.ascontiguousarray(image[None]))
        scores.append(network.forward()[0])
    return np.array(scores)


def openvino(path: str, pixels: Any) -> Any:
    """Run any of them."""
    import openvino

    # By itself it computes in bfloat16 on processors that can.
    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([next(iter(model(image[None]).values())) for image in pixels])


def onnxruntime(path: str, pixels: Any) -> Any:
    """Run an ONNX file."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: pixels})[0]


def litert(path: str, pixels: Any) -> Any:
    """Run a TensorFlow Lite file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(path)
    [source], [output] = interpreter.get_input_details(), interpreter.get_output_details()
    interpreter.resize_tensor_input(source["index"], pixels.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source["index"], pixels)
    interpreter.invoke()
    return interpreter.get_tensor(output["index"])


READERS = {each.__name__: each for each in (tensorflow_1, opencv, openvino, onnxruntime, litert)}

if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    reader, model, pixels_path, scores_path = sys.argv[1:]
    np.save(scores_path, np.asarray(READERS[reader](model, np.load(pixels_path)), np.float32))
