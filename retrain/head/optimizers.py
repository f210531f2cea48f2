"""Optimizers and learning rate schedules."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from retrain.arrays import FloatArray
from retrain.options.head import ADAM, CONSTANT, COSINE, EXPONENTIAL, GRADIENT_DESCENT, LINEAR, MOMENTUM

# The defaults of Keras' optimizers of these names; of its SGD, the momentum that its guides use.
MOMENTUM_FACTOR = 0.9
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7
EXPONENTIAL_END = 0.01


class GradientDescent:
    """`variable -= rate · gradient`.

    Attributes:
        slots: state kept from step to step, arrays like the variables; part of a checkpoint.
    """

    def __init__(self, variables: Sequence[FloatArray]) -> None:
        """Make an optimizer that changes `variables` in place."""
        self._variables = variables
        self.slots: list[FloatArray] = []

    def update(self, gradients: Sequence[FloatArray], rate: float, step: int) -> None:
        """Update the variables. The gradients, each like its variable, are overwritten; `step` counts from 0."""
        for variable, gradient in zip(self._variables, gradients, strict=True):
            gradient *= np.float32(rate)
            variable -= gradient


class Momentum(GradientDescent):
    """`velocity = 0.9 · velocity - rate · gradient; variable += velocity`."""

    def __init__(self, variables: Sequence[FloatArray]) -> None:
        super().__init__(variables)
        self.slots = [np.zeros_like(variable) for variable in variables]

    def update(self, gradients: Sequence[FloatArray], rate: float, step: int) -> None:
        for variable, gradient, velocity in zip(self._variables, gradients, self.slots, strict=True):
            velocity *= np.float32(MOMENTUM_FACTOR)
            gradient *= np.float32(rate)
            velocity -= gradient
            variable += velocity


class Adam(GradientDescent):
    """Adam (Kingma and Ba 2014), in the form at the end of section 2, with the bias corrections in the rate."""

    def __init__(self, variables: Sequence[FloatArray]) -> None:
        super().__init__(variables)
        self.slots = [np.zeros_like(variable) for variable in variables for _ in range(2)]

    def update(self, gradients: Sequence[FloatArray], rate: float, step: int) -> None:
        corrected = np.float32(rate * math.sqrt(1 - BETA_2 ** (step + 1)) / (1 - BETA_1 ** (step + 1)))
        for index, (variable, gradient) in enumerate(zip(self._variables, gradients, strict=True)):
            mean, square = self.slots[2 * index : 2 * index + 2]
            mean += np.float32(1 - BETA_1) * (gradient - mean)
            square += np.float32(1 - BETA_2) * (gradient * gradient - square)
            variable -= corrected * mean / (np.sqrt(square) + np.float32(EPSILON))


# L-BFGS is not among them: it requests gradients itself.
OPTIMIZERS: dict[str, type[GradientDescent]] = {GRADIENT_DESCENT: GradientDescent, MOMENTUM: Momentum, ADAM: Adam}

# Factor of the learning rate, by the share of the steps that are done, in [0, 1).
SCHEDULES: dict[str, Callable[[float], float]] = {
    CONSTANT: lambda done: 1.0,
    LINEAR: lambda done: 1 - done,
    COSINE: lambda done: (1 + math.cos(math.pi * done)) / 2,  # Loshchilov and Hutter 2016, formula 5, without restarts.
    EXPONENTIAL: lambda done: EXPONENTIAL_END**done,
}
