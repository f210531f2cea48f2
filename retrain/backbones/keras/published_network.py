"""Freezing of a network of `keras.applications` with its published weights, its preprocessing included."""

import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.backbones.hub.module import LOADING_ERRORS
from retrain.backbones.keras.freeze import BOTTLENECK, PROBABILITIES, frozen_graph, keras_library, portable
from retrain.backbones.keras.model_file import short_reason
from retrain.backbones.keras.records import (
    BUILT_IN,
    CAFFE,
    MINUS_ONE_TO_ONE,
    TORCH,
    KerasRecord,
    keras_architecture,
    keras_version,
)
from retrain.backbones.keras.structure import find_cut
from retrain.errors import GraphError, ModelError

# Of ImageNet's photos, as in Keras: grey levels of blue, green and red; levels of red, green and blue from 0 to 1.
CAFFE_MEANS = (103.939, 116.779, 123.68)
TORCH_MEANS, TORCH_DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def frozen_network(record: KerasRecord, copy: str, path: str) -> GraphDef:
    """Return the frozen graph of a network with its published weights.

    Args:
        record: the network.
        copy: a private copy of the weights' file, checked.
        path: of that file, for messages.

    Raises:
        ModelError: the installed Keras lacks the network, or the weights do not fit it.
    """
    try:
        keras = keras_library()
        constructor = getattr(keras.applications, record.constructor, None)
        if constructor is None:
            raise ModelError(
                f"The installed Keras {keras.__version__} has no {record.constructor}. "
                f"Install version {keras_version()} or a later one."
            )
        model = portable(constructor(weights=None))
        model.load_weights(copy)
        [bottleneck] = find_cut(model, None).models[-1].outputs
        both = keras.Model(model.inputs[0], [bottleneck, model.outputs[0]], name=record.name)
        spec = keras_architecture(record).input_spec

        def network(images: tf.Tensor) -> list[tf.Tensor]:
            values, probabilities = both(preprocessed(images, record.preprocessing), training=False)
            return [tf.reshape(values, [-1, record.bottleneck_size]), probabilities]

        return frozen_graph(network, spec, [BOTTLENECK, PROBABILITIES])
    except GraphError as error:
        raise ModelError(f"{record.name} cannot be made from {path}: {error}") from error
    except (*LOADING_ERRORS, MemoryError) as error:
        raise ModelError(
            f"The file {path} does not fit {record.name} ({short_reason(error)}). Delete it, and run again to download it."
        ) from error


def preprocessed(images: tf.Tensor, kind: str) -> tf.Tensor:
    """Return images of grey levels from 0 to 255, red, green and blue, as a network of that kind of preprocessing takes them."""
    if kind == BUILT_IN:
        return images
    if kind == MINUS_ONE_TO_ONE:
        return images / 127.5 - 1.0
    if kind == CAFFE:
        return tf.gather(images, [2, 1, 0], axis=3) - tf.constant(CAFFE_MEANS)
    assert kind == TORCH
    return (images / 255.0 - tf.constant(TORCH_MEANS)) / tf.constant(TORCH_DEVIATIONS)
