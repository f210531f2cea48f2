"""The fine-tuning session: a network with trainable weights and a head on it, trained together."""

import concurrent.futures
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from retrain.arrays import FloatArray, IndexArray
from retrain.errors import ModelError
from retrain.fine_tuning.variables import TrainableNetwork
from retrain.graphdef.nodes import node_name
from retrain.graphdef.tensorflow_form import to_tensorflow
from retrain.head.model import LossSettings

v1 = tf.compat.v1

# Dense layers with ReLU between them: weights float32 [in, out] and biases float32 [out] of each.
Layers: TypeAlias = Sequence[tuple[FloatArray, FloatArray]]
EVALUATION_BATCH = 64


@dataclass(frozen=True)
class Weights:
    """Values of all trained weights at one step.

    Attributes:
        network: float32 values, by the names of the network's constants.
        layers: the head's.
    """

    network: dict[str, FloatArray]
    layers: list[tuple[FloatArray, FloatArray]]


class FineTuningSession:
    """Network and head in training by Adam, in a v1 session: a tf.function would copy the network's weights several times."""

    def __init__(self, network: TrainableNetwork, layers: Layers, loss: LossSettings, seed: int) -> None:
        """Build the training graph, and initialize its variables.

        Args:
            network: the network, with the initial values of its weights.
            layers: the initial weights of the head.
            loss: settings of the loss function.
            seed: of dropout.

        Raises:
            ModelError: the network has an operation without a gradient, or no gradient reaches its weights.
        """
        self._names = [weight.name for weight in network.weights]
        initial = [weight.value for weight in network.weights] + [array for layer in layers for array in layer]
        with tf.Graph().as_default() as graph:
            v1.set_random_seed(seed)
            self._images = v1.placeholder(tf.float32, name="fine_tuning/images")
            self._classes = v1.placeholder(tf.int64, [None], name="fine_tuning/classes")
            self._rate = v1.placeholder(tf.float32, [], name="fine_tuning/learning_rate")
            self._dropout = v1.placeholder_with_default(0.0, [], name="fine_tuning/dropout")
            self._initial = [v1.placeholder(tf.float32, value.shape, name="fine_tuning/initial") for value in initial]
            variables = [v1.Variable(value, use_resource=True, name="fine_tuning/variable") for value in self._initial]
            self._values = [variable.read_value() for variable in variables]
            self._restore = [variable.initializer for variable in variables]
            n_network = len(self._names)
            bottlenecks = _bottlenecks(network, self._images, self._values[:n_network])
            self._head = list(zip(self._values[n_network::2], self._values[n_network + 1 :: 2], strict=True))
            self._logits = self._apply_head(tf.reshape(bottlenecks, [-1, layers[0][0].shape[0]]), loss)
            self._loss = self._mean_loss(loss)
            self._update = _update(self._loss, variables, self._rate, n_network)
            initialize = v1.global_variables_initializer()
        self._rate_of_dropout = loss.dropout
        # In a thread of its own, so that Ctrl-C wakes the main thread even during a step that takes seconds.
        self._thread = concurrent.futures.ThreadPoolExecutor(1)
        self._session = v1.Session(graph=graph)
        self._run(initialize, dict(zip(self._initial, initial, strict=True)))

    def step(self, images: FloatArray, classes: IndexArray, learning_rate: float) -> tuple[FloatArray, float]:
        """Train on a batch, float32 [B, H, W, 3] and int64 [B]. Return its logits, float32 [B, C], and loss before the step."""
        feeds = {self._images: images, self._classes: classes, self._rate: learning_rate, self._dropout: self._rate_of_dropout}
        logits, loss, _ = self._run([self._logits, self._loss, self._update], feeds)
        return logits, float(loss)

    def logits(self, images: FloatArray) -> FloatArray:
        """Return the logits, float32 [N, H, W, 3] → float32 [N, C], with the current weights."""
        parts = [images[start : start + EVALUATION_BATCH] for start in range(0, len(images), EVALUATION_BATCH)]
        return np.concatenate([self._run(self._logits, {self._images: part}) for part in parts])

    def weights(self) -> Weights:
        """Return a copy of the current weights."""
        values = self._run(self._values, {})
        n_network = len(self._names)
        layers = list(zip(values[n_network::2], values[n_network + 1 :: 2], strict=True))
        return Weights(dict(zip(self._names, values, strict=False)), layers)

    def close(self) -> None:
        """Free the session's resources."""
        self._thread.shutdown()
        self._session.close()

    def _run(self, fetches: Any, feeds: dict[Any, Any]) -> Any:
        return self._thread.submit(self._session.run, fetches, feeds).result()

    def _apply_head(self, values: tf.Tensor, loss: LossSettings) -> tf.Tensor:
        for number, (weights, biases) in enumerate(self._head):
            inputs = tf.nn.relu(values) if number else values
            if loss.dropout and (number or len(self._head) == 1):
                inputs = tf.nn.dropout(inputs, self._dropout)
            values = tf.matmul(inputs, weights) + biases
        return values

    def _mean_loss(self, loss: LossSettings) -> tf.Tensor:
        n_classes = self._head[-1][1].shape[0]
        smoothing = loss.label_smoothing
        targets = tf.one_hot(self._classes, n_classes) * (1 - smoothing) + smoothing / n_classes
        losses = tf.nn.softmax_cross_entropy_with_logits(targets, self._logits)
        if loss.class_weights is not None:
            losses *= tf.gather(loss.class_weights, self._classes)
        penalty = loss.l2 * tf.add_n([tf.reduce_sum(tf.square(weights)) for weights, _ in self._head])
        return tf.reduce_mean(losses) + penalty


def _bottlenecks(network: TrainableNetwork, images: tf.Tensor, values: Sequence[tf.Tensor]) -> tf.Tensor:
    kinds = {node.name: node.attr["dtype"].type for node in network.graph_def.node if node.op == "Placeholder"}
    placed = {
        weight.tensor: tf.cast(value, kinds[node_name(weight.tensor)])
        for weight, value in zip(network.weights, values, strict=True)
    }
    try:
        [output] = tf.graph_util.import_graph_def(
            to_tensorflow(network.graph_def), {network.input_tensor: images, **placed}, [network.bottleneck_tensor], name=""
        )
    except (LookupError, TypeError, ValueError) as error:
        raise _cannot(str(error).splitlines()[0]) from error
    return output


def _update(loss: tf.Tensor, variables: Sequence[tf.Variable], rate: tf.Tensor, n_network: int) -> tf.Operation:
    """Return an Adam step with the constants of its authors (Kingma and Ba, 2015), which are TensorFlow's defaults."""
    optimizer = v1.train.AdamOptimizer(rate)
    try:
        gradients = optimizer.compute_gradients(loss, list(variables))
    except (LookupError, ValueError) as error:
        named = re.search(r"operation ?'?([^' ]+)'? \(op type: (\w+)\)", str(error))
        reason = f"its operation {named[1]} ({named[2]}) has no gradient" if named else str(error).splitlines()[0]
        raise _cannot(reason) from error
    if all(gradient is None for gradient, _ in gradients[:n_network]):
        raise _cannot("no gradient reaches its weights")
    return optimizer.apply_gradients([(gradient, variable) for gradient, variable in gradients if gradient is not None])


def _cannot(reason: str) -> ModelError:
    return ModelError(
        f"The network cannot be fine-tuned: {reason}. Use another network (--architecture), weights after it "
        "(--fine_tune_layers), or leave --fine_tune_steps out."
    )
