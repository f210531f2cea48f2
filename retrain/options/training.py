"""What is trained, and how: the part of the configuration that a head depends on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

LBFGS = "lbfgs"
OPTIMIZERS = ("gradient_descent", "momentum", "adam", LBFGS)
SCHEDULES = ("constant", "linear", "cosine", "exponential")
BALANCED = "balanced"


@dataclass(frozen=True)
class TrainingOptions:
    """A head and its training, as the flags of these names say it; the defaults are the original's.

    Attributes:
        hidden_units: outputs of each hidden layer, in order.
        class_weights: what an image of each label counts, where that is not 1; or `balanced`.
        early_stopping: evaluations without a better one after which training ends; 0 never ends it.
    """

    how_many_training_steps: int = 4000
    optimizer: str = "gradient_descent"
    learning_rate: float = 0.01
    learning_rate_schedule: str = "constant"
    hidden_units: tuple[int, ...] = ()
    dropout: float = 0.0
    l2: float = 0.0
    label_smoothing: float = 0.0
    class_weights: Mapping[str, float] | str = field(default_factory=dict)
    early_stopping: int = 0


@dataclass(frozen=True)
class BatchSizes:
    """How much is drawn, and when.

    Attributes:
        training, validation: images that are drawn at once; -1 draws the whole set.
        eval_step_interval: steps between two evaluations, each of which draws validation images.
        n_steps: of the whole training; the last is evaluated too.
    """

    training: int
    validation: int
    eval_step_interval: int
    n_steps: int

    def is_evaluated(self, step: int) -> bool:
        """Whether an evaluation follows this step."""
        return step % self.eval_step_interval == 0 or step == self.n_steps - 1
