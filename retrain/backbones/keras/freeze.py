"""Freezing of Keras models: from functions of images to a graph with named ends, in the form that every export needs."""

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from retrain.errors import GraphError
from retrain.graphdef.subgraph import file_ops, subgraph
from retrain.graphdef.tensorflow_form import from_tensorflow
from retrain.input_spec import InputSpec

INPUT, BOTTLENECK, PROBABILITIES = "input", "bottleneck", "probabilities"
SCOPE = "network"


def keras_library() -> Any:
    """Return the module `keras`, set up as the networks need it.

    Raises:
        GraphError: Keras was configured for another backend than TensorFlow, or for channels first.
    """
    import keras

    if (backend := keras.backend.backend()) != "tensorflow":
        raise GraphError(f"Keras must run on TensorFlow. It is set up for {backend}: set KERAS_BACKEND=tensorflow.")
    if (order := keras.config.image_data_format()) != "channels_last":
        raise GraphError(
            f"Keras must be set up for images with channels_last. It is set up for {order}: change image_data_format in "
            "~/.keras/keras.json."
        )
    return keras


def frozen_graph(function: Callable[[tf.Tensor], Sequence[tf.Tensor]], spec: InputSpec, names: Sequence[str]) -> GraphDef:
    """Return a function of images as a frozen graph.

    Args:
        function: from float32 [N, height, width, 3], named `input` in the graph, to tensors.
        spec: height and width.
        names: of these tensors in the graph; the first is the bottleneck.

    Raises:
        GraphError: it accesses files, or computes its outputs without the images.
    """
    images = tf.TensorSpec([None, spec.height, spec.width, 3], tf.float32, name=INPUT)
    traced = tf.function(tf.autograph.experimental.do_not_convert(function)).get_concrete_function(images)
    frozen = convert_variables_to_constants_v2(traced)
    with tf.Graph().as_default() as graph:
        placeholder = tf.compat.v1.placeholder(tf.float32, images.shape, name=INPUT)
        fetched = [tensor.name for tensor in frozen.outputs]
        feed = {frozen.inputs[0].name: placeholder}
        outputs = tf.graph_util.import_graph_def(frozen.graph.as_graph_def(), feed, fetched, name=SCOPE)
        for name, output in zip(names, outputs, strict=True):
            tf.identity(output, name=name)
        # Attributes with their default value are left out: older readers do not know all of them.
        exported = tf.compat.v1.train.export_meta_graph(graph=graph, graph_def=graph.as_graph_def(), strip_default_attrs=True)
    network = subgraph(from_tensorflow(exported.graph_def), names)
    for name in names:
        if accessing := file_ops(network, name):
            raise GraphError(f"It has operations that can read or write files: {', '.join(accessing)}.")
    if INPUT not in {node.name for node in network.node}:
        raise GraphError("Its bottleneck is not computed from its input.")
    return network


def portable(model: Any) -> Any:
    """Return the model, computed with operations that every runtime has: TensorFlow 1.15, ONNX, TensorFlow Lite.

    On processors Keras computes grouped convolutions, such as ConvNeXt's, by a function of XLA, which cannot be exported; GELU by
    the complementary error function, which ONNX lacks; SiLU with an operation of its own for the gradient.
    """
    import keras

    own = {keras.activations.gelu: _gelu, keras.activations.silu: _silu}
    for layer in model.layers:
        if hasattr(layer, "layers"):
            portable(layer)
        if type(layer).__name__ == "Conv2D" and layer.groups > 1:
            layer.convolution_op = functools.partial(_grouped, layer)
        activation = getattr(layer, "activation", None)
        if isinstance(activation, types.FunctionType) and activation in own:
            layer.activation = own[activation]
    return model


def _gelu(values: Any) -> tf.Tensor:
    """Return x · Φ(x), Φ the normal distribution (Hendrycks and Gimpel, 2016)."""
    return 0.5 * values * (1.0 + tf.math.erf(values * 0.5**0.5))


def _silu(values: Any) -> tf.Tensor:
    return values * tf.sigmoid(values)


def _grouped(layer: Any, images: tf.Tensor, kernel: Any) -> tf.Tensor:
    """Return a grouped convolution of [N, H, W, C] with a kernel [height, width, C / groups, filters]."""
    kernel, groups, padding = tf.convert_to_tensor(kernel), layer.groups, layer.padding.upper()
    if images.shape[-1] == groups:
        depthwise = tf.reshape(kernel, [*kernel.shape[:2], groups, kernel.shape[3] // groups])
        return tf.nn.depthwise_conv2d(images, depthwise, [1, *layer.strides, 1], padding, dilations=layer.dilation_rate)
    parts = zip(tf.split(images, groups, axis=3), tf.split(kernel, groups, axis=3), strict=True)
    return tf.concat([tf.nn.conv2d(each, part, layer.strides, padding, dilations=layer.dilation_rate) for each, part in parts], 3)


def vectors(values: Any, layer: str) -> tf.Tensor:
    """Return the values of a layer as vectors, float32 [N, D], from [N, D] or [N, 1, 1, D].

    Raises:
        GraphError: the values are no vectors; the message names the cure.
    """
    shape = values.shape.as_list()
    if len(shape) == 4 and shape[1:3] == [1, 1]:
        shape = [shape[0], shape[3]]
        values = tf.reshape(values, [-1, shape[1] or -1])
    if len(shape) != 2 or not shape[1]:
        found = f"{[size or '?' for size in shape]}".replace("'", "")
        raise GraphError(
            f"Its layer {layer} must compute a vector for each image, float32 [N, D]. It computes {found}: name another layer "
            "with --bottleneck_layer, or end the model with GlobalAveragePooling2D."
        )
    return tf.cast(values, tf.float32)
