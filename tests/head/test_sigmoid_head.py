"""The head for images with several labels: its loss and gradients against TensorFlow's, and what it draws."""

import numpy as np
import pytest
import tensorflow as tf

from retrain.data.sampling import Sampler
from retrain.head.model import LossSettings, SigmoidHead
from retrain.head.trainer import Trainer
from retrain.options.head import HeadOptions

SETTINGS = {
    "plain": LossSettings(),
    "smoothing": LossSettings(label_smoothing=0.1),
    "weights": LossSettings(class_weights=np.array([1, 2, 0.5], np.float32)),
    "l2": LossSettings(l2=0.01),
}


@pytest.mark.parametrize("hidden_units", [(), (6,)])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_loss_and_gradients_are_tensorflows(settings: LossSettings, hidden_units: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    head = SigmoidHead(5, 3, rng, hidden_units)
    for variable in head.variables:
        variable[...] = rng.normal(0, 0.5, variable.shape)
    bottlenecks = rng.normal(0, 1, (8, 5)).astype(np.float32)
    targets = (rng.random((8, 3)) < 0.4).astype(np.float32)
    variables = [tf.Variable(variable) for variable in head.variables]
    with tf.GradientTape() as tape:
        values = tf.constant(bottlenecks)
        for index in range(0, len(variables) - 2, 2):
            values = tf.nn.relu(values @ variables[index] + variables[index + 1])
        logits = values @ variables[-2] + variables[-1]
        smoothed = targets * (1 - settings.label_smoothing) + settings.label_smoothing / 2
        losses = tf.nn.sigmoid_cross_entropy_with_logits(smoothed, logits)
        weights = 1.0 if settings.class_weights is None else settings.class_weights
        penalty = sum(tf.reduce_sum(variables[index] ** 2) for index in range(0, len(variables), 2))
        loss = tf.reduce_mean(losses * weights) + settings.l2 * penalty
    np.testing.assert_allclose(head.loss(bottlenecks, targets, settings), loss.numpy(), rtol=1e-5)
    for mine, theirs in zip(head.gradients(bottlenecks, targets, settings), tape.gradient(loss, variables), strict=True):
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(head.probabilities(head.logits(bottlenecks)), tf.sigmoid(logits).numpy(), rtol=1e-5)


def test_each_label_is_drawn_as_often_whatever_its_number_of_images() -> None:
    targets = np.zeros((100, 3), np.float32)
    targets[:90, 0] = 1
    targets[85:95, 1] = 1
    targets[95:, 2] = 1
    sampler = Sampler(targets, range(100), np.random.default_rng(1))
    drawn = sampler.draw(6000)
    shares = [np.isin(drawn, range(95, 100)).mean(), np.isin(drawn, range(90, 95)).mean()]
    assert shares == pytest.approx([1 / 3, 1 / 6], abs=0.03)
    assert sampler.draw(-1).tolist() == list(range(100)) and len(sampler) == 100


def test_balanced_weights_count_the_images_of_each_label() -> None:
    options = HeadOptions(class_weights="balanced")
    trainer = Trainer(options, ["a", "b"], np.array([30, 10]), SigmoidHead(4, 2, np.random.default_rng(0)), 1)
    assert trainer.loss_settings.class_weights is not None
    np.testing.assert_allclose(trainer.loss_settings.class_weights, [40 / 60, 40 / 20])
