"""Steps of fine-tuning against an independent computation, the weights that it keeps, and its errors."""

import dataclasses
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from tensorboard.compat.proto.graph_pb2 import GraphDef

from retrain.backbones.architecture import Architecture
from retrain.backbones.backbone import Backbone
from retrain.errors import FlagError, ModelError
from retrain.evaluation.metrics import cross_entropy
from retrain.fine_tuning.images import FineTuningImages
from retrain.fine_tuning.loop import FineTuned, fine_tune, learning_rate_at, trainable_network
from retrain.fine_tuning.session import FineTuningSession
from retrain.fine_tuning.variables import open_weights
from retrain.head.classifier import TrainedClassifier
from retrain.head.model import LossSettings, SoftmaxHead
from retrain.head.trainer import Trainer
from retrain.input_spec import InputSpec
from retrain.options.fine_tuning import FineTuningOptions
from retrain.options.head import HeadOptions
from tests.support.small_network import CONSTANTS, EPSILON, FEED, FETCH, SIZE, D, small_network

N_CLASSES = 3
RNG = np.random.default_rng(11)
IMAGES = RNG.random((6, SIZE, SIZE, 3), np.float32)
CLASSES = np.array([0, 1, 2, 0, 1, 2])
HIDDEN = 4
ONE_LAYER = [(RNG.normal(0, 0.5, (D, N_CLASSES)).astype(np.float32), np.zeros(N_CLASSES, np.float32))]
TWO_LAYERS = [
    (RNG.normal(0, 0.5, (D, HIDDEN)).astype(np.float32), np.full(HIDDEN, 0.1, np.float32)),
    (RNG.normal(0, 0.5, (HIDDEN, N_CLASSES)).astype(np.float32), np.zeros(N_CLASSES, np.float32)),
]
Parameters = dict[str, npt.NDArray[np.float64]]
Array64 = npt.NDArray[np.float64]


def reference_logits(parameters: Parameters, images: npt.NDArray[np.float32], n_layers: int) -> Array64:
    """Compute the small network and a head in float64."""
    image = images.astype(np.float64) - CONSTANTS["levels"]
    values = np.zeros((len(image), SIZE - 1, SIZE - 1, D))
    for row in range(2):
        for column in range(2):
            part = image[:, row : row + SIZE - 1, column : column + SIZE - 1]
            values += part @ parameters["conv/weights"][row, column]
    values = (values - CONSTANTS["conv/mean"]) / np.sqrt(CONSTANTS["conv/variance"].astype(np.float64) + EPSILON)
    values = values * parameters["conv/gamma"] + parameters["conv/beta"]
    values = (np.clip(values, 0, 5.5) + parameters["shift"]).mean(axis=(1, 2))
    for layer in range(n_layers):
        values = (np.maximum(values, 0) if layer else values) @ parameters[f"W{layer}"] + parameters[f"b{layer}"]
    return values


def reference_loss(parameters: Parameters, n_layers: int, loss: LossSettings) -> float:
    logits = reference_logits(parameters, IMAGES, n_layers)
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    targets = np.eye(N_CLASSES)[CLASSES] * (1 - loss.label_smoothing) + loss.label_smoothing / N_CLASSES
    factors = np.ones(N_CLASSES) if loss.class_weights is None else loss.class_weights
    squares = sum((parameters[f"W{layer}"] ** 2).sum() for layer in range(n_layers))
    return float((-(targets * log_probabilities).sum(axis=1) * factors[CLASSES]).mean() + loss.l2 * squares)


def numeric_gradient(function: Callable[[Parameters], float], parameters: Parameters) -> Parameters:
    """Return the central differences."""
    gradient = {name: np.zeros_like(value) for name, value in parameters.items()}
    for name, value in parameters.items():
        for index in np.ndindex(value.shape):
            kept = value[index]
            value[index] = kept + 1e-6
            above = function(parameters)
            value[index] = kept - 1e-6
            gradient[name][index] = (above - function(parameters)) / 2e-6
            value[index] = kept
    return gradient


def adam(function: Callable[[Parameters], float], parameters: Parameters, rate: float, n_steps: int) -> Parameters:
    """Run algorithm 1 of Kingma and Ba, 2015, with the epsilon where TensorFlow adds it."""
    first = {name: np.zeros_like(value) for name, value in parameters.items()}
    second = {name: np.zeros_like(value) for name, value in parameters.items()}
    for step in range(1, n_steps + 1):
        for name, gradient in numeric_gradient(function, parameters).items():
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient**2
            corrected = rate * math.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            parameters[name] = parameters[name] - corrected * first[name] / (np.sqrt(second[name]) + 1e-8)
    return parameters


def all_parameters(layers: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]) -> Parameters:
    names = ("conv/weights", "conv/beta", "conv/gamma", "shift")
    parameters = {name: CONSTANTS[name].astype(np.float64) for name in names}
    for number, (weights, biases) in enumerate(layers):
        parameters |= {f"W{number}": weights.astype(np.float64), f"b{number}": biases.astype(np.float64)}
    return parameters


@pytest.mark.slow
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("layers", [ONE_LAYER, TWO_LAYERS], ids=["one_layer", "two_layers"])
@pytest.mark.parametrize(
    "loss",
    [LossSettings(), LossSettings(label_smoothing=0.2, class_weights=np.array([1, 2, 0.5], np.float32), l2=0.1)],
    ids=["plain", "all_options"],
)
def test_three_steps_are_those_of_numeric_gradients(
    fused: bool, layers: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]], loss: LossSettings
) -> None:
    session = FineTuningSession(open_weights(small_network(fused), FEED, FETCH), layers, loss, seed=0)
    parameters, n_layers = all_parameters(layers), len(layers)
    logits, value = session.step(IMAGES, CLASSES, 0.01)
    assert logits == pytest.approx(reference_logits(parameters, IMAGES, n_layers), abs=1e-5)
    assert value == pytest.approx(reference_loss(parameters, n_layers, loss), abs=1e-5)
    session.step(IMAGES, CLASSES, 0.01)
    session.step(IMAGES, CLASSES, 0.01)
    expected = adam(lambda each: reference_loss(each, n_layers, loss), parameters, 0.01, 3)
    found = session.weights()
    for name, weights in found.network.items():
        np.testing.assert_allclose(weights, expected[name], atol=2e-4, err_msg=name)
    for number, (weights, biases) in enumerate(found.layers):
        np.testing.assert_allclose(weights, expected[f"W{number}"], atol=2e-4)
        np.testing.assert_allclose(biases, expected[f"b{number}"], atol=2e-4)
    assert session.logits(IMAGES) == pytest.approx(reference_logits(expected, IMAGES, n_layers), abs=2e-3)


def test_dropout_is_on_in_steps_only() -> None:
    session = FineTuningSession(open_weights(small_network(), FEED, FETCH), ONE_LAYER, LossSettings(dropout=0.5), seed=0)
    expected = pytest.approx(reference_logits(all_parameters(ONE_LAYER), IMAGES, 1), abs=1e-5)
    assert session.logits(IMAGES) == expected
    logits, _ = session.step(IMAGES, CLASSES, 0.0)
    assert logits != expected
    assert session.logits(IMAGES) == expected


def backbone_of(graph: GraphDef, name: str = "small") -> Backbone:
    architecture = Architecture(
        name=name,
        input_tensor=FEED,
        bottleneck_tensor=FETCH,
        batch_tensor=FETCH,
        bottleneck_size=D,
        input_spec=InputSpec(SIZE, SIZE, 0.0, 1.0),
        graph_file="small.pb",
    )
    return Backbone(architecture, graph, "", 0)


def one_layer_head() -> SoftmaxHead:
    head = SoftmaxHead(D, N_CLASSES, np.random.default_rng(0))
    head.layers = [(weights.copy(), biases.copy()) for weights, biases in ONE_LAYER]
    return head


def options_in(folder: Path, **changes: Any) -> FineTuningOptions:
    """Return options for 20 steps, with the summaries in a folder."""
    options = FineTuningOptions(fine_tune_steps=20, fine_tune_learning_rate=0.01, eval_step_interval=5, summaries_dir=str(folder))
    return dataclasses.replace(options, **changes)


def tune(
    options: FineTuningOptions, n_validation: int = 6, classes: npt.NDArray[np.int64] = CLASSES, head: SoftmaxHead | None = None
) -> FineTuned:
    classifier = TrainedClassifier(backbone_of(small_network()), head or one_layer_head(), ("a", "b", "c"), "final_result")
    images = FineTuningImages(itertools.repeat((IMAGES, classes)), (IMAGES[:n_validation], CLASSES[:n_validation]))
    trainer = Trainer(HeadOptions(), classifier.labels, np.array([2, 2, 2]), classifier.head, random_seed=0)
    return fine_tune(options, classifier, trainable_network(options, classifier.backbone), images, trainer)


def logits_of(classifier: TrainedClassifier) -> npt.NDArray[np.float32]:
    return classifier.head.logits(classifier.backbone.run(IMAGES))


def test_it_learns_and_returns_the_network_it_evaluated(tmp_path: Path, logged: list[str]) -> None:
    tuned = tune(options_in(tmp_path, fine_tune_steps=60, fine_tune_learning_rate=0.1))
    assert (tuned.train_accuracy, tuned.validation_accuracy) == (1.0, 1.0)
    assert logits_of(tuned.classifier).argmax(axis=1).tolist() == CLASSES.tolist()
    assert logged[-1].startswith("INFO: Fine-tuned 4 weights of the network in 60 steps (")
    assert any(line.endswith("Fine-tuning step 59: Train accuracy = 100.0%") for line in logged)
    assert any(line.endswith("Fine-tuning step 59: Validation accuracy = 100.0% (N=6)") for line in logged)
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["fine_tuning_train", "fine_tuning_validation"]


def constants_of(graph: GraphDef) -> dict[str, bytes]:
    return {node.name: node.SerializeToString(deterministic=True) for node in graph.node}


def test_only_what_was_named_changes(tmp_path: Path) -> None:
    tuned = tune(options_in(tmp_path, fine_tune_layers="gamma"))
    before, after = constants_of(small_network()), constants_of(tuned.classifier.backbone.graph_def)
    assert list(before) == list(after)
    assert [name for name in before if before[name] != after[name]] == ["conv/gamma"]


def test_what_does_harm_is_not_kept(tmp_path: Path) -> None:
    """Trained on wrong classes it only gets worse: network and head stay as they were."""
    tuned = tune(options_in(tmp_path), classes=(CLASSES + 1) % 3)
    assert tuned.step == 0
    assert tuned.classifier.backbone.graph_def == small_network()
    np.testing.assert_array_equal(tuned.classifier.head.weights, ONE_LAYER[0][0])


def test_the_classifier_before_stays_as_it_was(tmp_path: Path) -> None:
    head = one_layer_head()
    tuned = tune(options_in(tmp_path), head=head)
    assert tuned.step == 20
    np.testing.assert_array_equal(head.weights, ONE_LAYER[0][0])
    assert (np.abs(tuned.classifier.head.weights - head.weights) > 1e-3).any()
    assert (tuned.classifier.labels, tuned.classifier.final_tensor_name) == (("a", "b", "c"), "final_result")


def test_it_begins_with_a_head_that_is_less_certain(tmp_path: Path) -> None:
    """The head labels all images correctly, each with a probability of nearly 1; after a step of no length its predictions are
    the same, and its cross entropy is half of that of guessing one of three.
    """
    head, backbone = one_layer_head(), backbone_of(small_network())
    bottlenecks = np.hstack([backbone.run(IMAGES), np.ones((6, 1))])
    fitted = np.linalg.lstsq(bottlenecks, 50 * np.eye(N_CLASSES)[CLASSES], rcond=None)[0].astype(np.float32)
    head.layers = [(fitted[:-1], fitted[-1])]
    assert cross_entropy(head.logits(backbone.run(IMAGES)), CLASSES) < 0.01
    tuned = tune(options_in(tmp_path, fine_tune_steps=1, fine_tune_learning_rate=1e-30), n_validation=0, head=head)
    logits = logits_of(tuned.classifier)
    assert logits.argmax(axis=1).tolist() == CLASSES.tolist()
    assert cross_entropy(logits, CLASSES) == pytest.approx(math.log(3) / 2, rel=0.05)


def test_without_validation_images_the_last_step_is_kept(tmp_path: Path) -> None:
    tuned = tune(options_in(tmp_path), n_validation=0, classes=(CLASSES + 1) % 3)
    assert tuned.step == 20
    assert tuned.validation_accuracy is None


def test_the_same_seed_trains_the_same_weights(tmp_path: Path) -> None:
    first, second = (tune(options_in(tmp_path)).classifier.backbone.graph_def for _ in range(2))
    assert first == second


def test_divergence_ends_it(tmp_path: Path, logged: list[str]) -> None:
    tuned = tune(options_in(tmp_path, fine_tune_learning_rate=1e38), n_validation=0)
    assert "WARNING: Fine-tuning has diverged at step 1. Lower --fine_tune_learning_rate." in logged
    assert all(np.isfinite(array).all() for array in tuned.classifier.head.variables)


def test_the_learning_rate_rises_in_a_tenth_and_falls_to_0() -> None:
    rates = [learning_rate_at(step, 100, 2.0) for step in range(100)]
    assert rates[:3] == pytest.approx([0.2, 0.4, 0.6])
    assert max(rates) == rates[9] == rates[10] == 2.0
    assert rates[55] == pytest.approx(1.0)  # Half of the way down a cosine.
    assert rates[99] == pytest.approx(1 + math.cos(math.pi * 89 / 90))
    assert [learning_rate_at(step, 2, 1.0) for step in range(2)] == [1.0, 1.0]
    assert learning_rate_at(0, 1, 1.0) == 1.0


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            "logits",
            "--fine_tune_layers must match the name of at least one of the 4 weights of small, such as conv/weights, "
            "conv/beta, conv/gamma, shift. Got logits.",
        )
    ],
)
def test_a_pattern_that_matches_nothing(names: str, message: str) -> None:
    with pytest.raises(FlagError) as error:
        trainable_network(FineTuningOptions(fine_tune_layers=names), backbone_of(small_network()))
    assert str(error.value) == message


def test_a_network_without_weights() -> None:
    graph = small_network()
    for node in graph.node:
        if node.name == "bottleneck":
            node.input[0] = "input"
    with pytest.raises(FlagError) as error:
        trainable_network(FineTuningOptions(), backbone_of(graph))
    assert str(error.value) == "--fine_tune_steps must be 0 for small: no weights that can be trained were found in it."


def test_an_operation_without_a_gradient() -> None:
    graph = small_network()
    size = graph.node.add(op="Const", name="size")
    size.attr["dtype"].type = tf.int32.as_datatype_enum
    size.attr["value"].tensor.ParseFromString(tf.make_tensor_proto([2, 2], tf.int32).SerializeToString())
    resize = graph.node.add(op="ResizeArea", name="smaller", input=["conv/relu", "size"])
    resize.attr["T"].type = tf.float32.as_datatype_enum
    [limited] = [node for node in graph.node if node.name == "limited"]
    limited.input[0] = "smaller"
    assert gradient_error(graph) == (
        "The network cannot be fine-tuned: its operation smaller (ResizeArea) has no gradient. Use another network "
        "(--architecture), weights after it (--fine_tune_layers), or leave --fine_tune_steps out."
    )


def test_an_operation_that_lets_no_gradient_through() -> None:
    graph = small_network()
    for node in graph.node:
        if node.name == "shifted":
            node.op = "FloorDiv"
    assert gradient_error(graph) == (
        "The network cannot be fine-tuned: no gradient reaches its weights. Use another network (--architecture), "
        "weights after it (--fine_tune_layers), or leave --fine_tune_steps out."
    )


def gradient_error(graph: GraphDef) -> str:
    with pytest.raises(ModelError) as error:
        FineTuningSession(open_weights(graph, FEED, FETCH), ONE_LAYER, LossSettings(), seed=0)
    return str(error.value)
