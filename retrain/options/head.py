"""Options of the head: its layers, and how it is trained. The defaults are the original's."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrain.options.flags import LARGEST_BATCH, LARGEST_STEPS, flag
from retrain.options.groups import HEAD
from retrain.options.monitor import MonitorOptions

LARGEST_LAYER = 100_000
LARGEST_WEIGHT = 1_000_000

GRADIENT_DESCENT, MOMENTUM, ADAM, LBFGS = "gradient_descent", "momentum", "adam", "lbfgs"
CONSTANT, LINEAR, COSINE, EXPONENTIAL = "constant", "linear", "cosine", "exponential"
BALANCED = "balanced"
DEFAULT_LEARNING_RATE = 0.01  # The original's.
DRAWN_VALIDATION_IMAGES = 100  # The original's.


def _batch_size(help_text: str, default: int | None, shown_default: str = "") -> Any:
    return flag(help_text, default, low=1, high=LARGEST_BATCH, also=-1, shown_default=shown_default)


def parse_hidden_units(text: str) -> tuple[int, ...]:
    """Return the layer sizes in a text such as `128,64`; none in an empty text. Raises ValueError."""
    parts = text.split(",") if text else []
    if not all(part.strip().isdecimal() for part in parts):
        raise ValueError(text)
    return tuple(int(part) for part in parts)


def hidden_units_text(sizes: tuple[int, ...]) -> str:
    """Return the text that `parse_hidden_units` reads."""
    return ",".join(map(str, sizes))


def _are_hidden_units(value: Any) -> bool:
    return isinstance(value, tuple) and all(type(each) is int and 1 <= each <= LARGEST_LAYER for each in value)


def parse_class_weights(text: str) -> Mapping[str, float] | str | None:
    """Return the weights by label in a text such as `daisy=2,roses=0.5`, or `balanced`, or None if empty. Raises ValueError."""
    if text.lower() == BALANCED:
        return BALANCED
    weights = {}
    for part in text.split(",") if text else []:
        label, _, number = part.rpartition("=")
        weights[label.strip()] = float(number)
    return weights or None


def class_weights_text(weights: Mapping[str, float] | str) -> str:
    """Return the text that `parse_class_weights` reads."""
    return weights if isinstance(weights, str) else ",".join(f"{label}={weight}" for label, weight in weights.items())


def _are_class_weights(value: Any) -> bool:
    if value is None or (isinstance(value, str) and value == BALANCED):
        return True
    return (
        isinstance(value, Mapping)
        and len(value) > 0
        and all(isinstance(label, str) and label for label in value)
        and all(isinstance(weight, int | float) and type(weight) is not bool for weight in value.values())
        and all(0 < weight <= LARGEST_WEIGHT for weight in value.values())
    )


@dataclass(frozen=True, kw_only=True)
class HeadOptions(MonitorOptions, group=HEAD):
    """Options of the head: its layers, its loss function, its optimizer, and the batches it is trained and evaluated on."""

    how_many_training_steps: int = flag(
        "Number of training steps; 0 only makes the bottlenecks, and leaves the head untrained.", 4000, low=0, high=LARGEST_STEPS
    )
    learning_rate: float | None = flag(
        "Learning rate; lbfgs chooses its own step size.",
        None,
        low=0,
        low_open=True,
        shown_default=f"{DEFAULT_LEARNING_RATE}; for some networks more, as their records say",
    )
    learning_rate_schedule: str = flag(
        "Schedule of the learning rate until the last step: constant; linear or cosine to 0; exponential to a hundredth.",
        CONSTANT,
        choices=(CONSTANT, LINEAR, COSINE, EXPONENTIAL),
    )
    optimizer: str = flag(
        "Optimizer of the head: momentum uses a factor of 0.9, lbfgs all training images in every step.",
        GRADIENT_DESCENT,
        choices=(GRADIENT_DESCENT, MOMENTUM, ADAM, LBFGS),
    )
    hidden_units: tuple[int, ...] = flag(
        "Sizes of hidden layers before the softmax, such as 128,64.",
        (),
        parse=parse_hidden_units,
        to_text=hidden_units_text,
        is_allowed=_are_hidden_units,
        range_text=f"integers in [1, {LARGEST_LAYER}], joined by commas",
        in_python="(128, 64)",
        shown_default="no hidden layer",
    )
    dropout: float = flag(
        "Dropout rate, after each hidden layer, or of the bottlenecks if there is none.", 0.0, low=0, high=1, high_open=True
    )
    l2: float = flag("L2 penalty on the weights, as Keras' l2 regularizer.", 0.0, low=0, high=1e6)
    label_smoothing: float = flag(
        "Share of each image's target that is spread evenly over all classes.", 0.0, low=0, high=1, high_open=True
    )
    class_weights: Mapping[str, float] | str | None = flag(
        "Class weights, such as daisy=2,roses=0.5 (1 for the others), or balanced: larger for classes with fewer images.",
        None,
        parse=parse_class_weights,
        to_text=class_weights_text,
        is_allowed=_are_class_weights,
        range_text=f"{BALANCED}, or LABEL=NUMBER joined by commas, numbers in (0, {LARGEST_WEIGHT}]",
        in_python='{"daisy": 2, "roses": 0.5}, or "balanced"',
        shown_default="1 for every class",
    )
    early_stopping: int = flag(
        "Stop after this many evaluations without a lower validation cross entropy, and keep the best head; 0 never stops.",
        0,
        low=0,
    )
    train_batch_size: int = _batch_size("Number of images in the batch of a training step; -1 uses the whole set.", 100)
    validation_batch_size: int | None = _batch_size(
        "Number of validation images drawn at random for each evaluation; -1 uses the whole set, each image once.",
        None,
        f"{DRAWN_VALIDATION_IMAGES} for inception_v3, mobilenets and without --architecture; else -1",
    )

    def learning_rate_for(self, scale: float) -> float:
        """Return the learning rate on bottlenecks of a network whose record has this `learning_rate_scale`.

        The steps of gradient descent are proportional to the gradients, and so depend on the scale of the bottlenecks; those of
        Adam are not.
        """
        if self.learning_rate is not None:
            return self.learning_rate
        return DEFAULT_LEARNING_RATE * (scale if self.optimizer in (GRADIENT_DESCENT, MOMENTUM) else 1)

    def is_evaluated(self, step: int) -> bool:
        """Return True if an evaluation follows this step."""
        return step % self.eval_step_interval == 0 or step == self.how_many_training_steps - 1
