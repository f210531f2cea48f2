"""Training of heads: a step for each batch, or L-BFGS on all images at once; and when to stop."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from retrain.arrays import FloatArray, IndexArray
from retrain.errors import FlagError
from retrain.head.model import Loss, SoftmaxHead
from retrain.head.optimizers import OPTIMIZERS, SCHEDULES, GradientDescent
from retrain.options.head import BALANCED, HeadOptions
from retrain.process.interruption import interrupts_deferred, raise_if_interrupted

LARGE_HEAD = 2**18  # Weights from which on several threads multiply faster than one.
# Number of a random stream beside those of `sampling.random_generators`; each step's dropout has a generator of its own, so that
# a training can be gone on with at any step.
DROPOUT_STREAM = 0xD409

Array = npt.NDArray[Any]
AfterStep = Callable[[int, FloatArray, IndexArray], None]


class EarlyStopping:
    """Keeps the head of the best evaluation so far, by its cross entropy on the validation set, and says when to stop.

    Attributes:
        best: the variables at the best evaluation; empty before the first.
        best_loss: its cross entropy, in nats.
        n_worse: evaluations since.
    """

    def __init__(self, head: SoftmaxHead, patience: int) -> None:
        """`patience` is the number of evaluations without a better one after which to stop; 0 never stops and keeps nothing."""
        self._head, self._patience = head, patience
        self.best: list[FloatArray] = []
        self.best_loss, self.n_worse = math.inf, 0

    def after_evaluation(self, cross_entropy: float) -> None:
        """Takes note of the head as it stands."""
        if not self._patience:
            return
        if cross_entropy < self.best_loss:
            self.best_loss, self.n_worse = cross_entropy, 0
            self.best = [variable.copy() for variable in self._head.variables]
        else:
            self.n_worse += 1

    @property
    def should_stop(self) -> bool:
        """Whether the last evaluations brought nothing better."""
        return self._patience > 0 and self.n_worse >= self._patience

    def restore_best(self) -> None:
        """Gives the head the values that it had at the best evaluation."""
        for variable, value in zip(self._head.variables, self.best, strict=False):
            variable[...] = value


class Trainer:
    """A head in training.

    Attributes:
        head: is changed in place.
        options: how it is trained.
        early_stopping: when it should stop.
        loss: what it makes small.
    """

    def __init__(
        self, options: HeadOptions, labels: Sequence[str], class_counts: IndexArray, head: SoftmaxHead, random_seed: int
    ) -> None:
        """
        Args:
            options: how to train.
            labels: one a class.
            class_counts: int64 [C], training images of each class.
            head: made for these options.
            random_seed: of the whole run; used for dropout.

        Raises:
            FlagError: `class_weights` names a label that there is not.
        """
        self.head, self.options = head, options
        self.early_stopping = EarlyStopping(head, options.early_stopping)
        weights = class_weights(options.class_weights, labels, class_counts)
        self.loss = Loss(options.label_smoothing, weights, options.l2, options.dropout)
        self._factor = SCHEDULES[options.learning_rate_schedule]
        self._seed = random_seed
        self._optimizer = OPTIMIZERS.get(options.optimizer, GradientDescent)(head.variables)

    def state(self) -> dict[str, Array]:
        """What the next steps depend on besides the head and the batches, by name; as `load` takes it."""
        best = self.early_stopping.best
        return {
            **{f"optimizer/{place}": slot for place, slot in enumerate(self._optimizer.slots)},
            **{f"best/{place}": variable for place, variable in enumerate(best)},
            "early_stopping": np.array([self.early_stopping.best_loss, self.early_stopping.n_worse]),
        }

    def load(self, variables: Sequence[FloatArray], state: Mapping[str, Array]) -> None:
        """Goes on from the head's variables and the state of an earlier run with the same options."""
        for mine, earlier in zip(self.head.variables, variables, strict=True):
            mine[...] = earlier
        for place, slot in enumerate(self._optimizer.slots):
            slot[...] = state[f"optimizer/{place}"]
        stopping = self.early_stopping
        stopping.best_loss, stopping.n_worse = float(state["early_stopping"][0]), int(state["early_stopping"][1])
        stopping.best = [state[f"best/{place}"].copy() for place in range(len(variables)) if f"best/{place}" in state]

    def step(self, step: int, bottlenecks: FloatArray, classes: IndexArray) -> None:
        """One step on a batch, float32 [B, D] and int64 [B]."""
        rng = np.random.default_rng([self._seed, DROPOUT_STREAM, step]) if self.loss.dropout else None
        rate = self.options.learning_rate * self._factor(step / self.options.how_many_training_steps)
        self._optimizer.update(self.head.gradients(bottlenecks, classes, self.loss, rng), rate, step)

    def finish(self) -> None:
        """Leaves the head as it was at the best evaluation, if it stops early; else as it is."""
        self.early_stopping.restore_best()

    def minimise(self, bottlenecks: FloatArray, classes: IndexArray, after_step: AfterStep, first_step: int = 0) -> int:
        """L-BFGS on all training images, float32 [N, D] and int64 [N], until the loss no longer falls or the steps are done.

        Calls `after_step` after each iteration, and returns their number, `first_step` included.

        Raises:
            FlagError: SciPy is not installed.
        """
        minimize, step = scipy_minimize(), first_step

        def loss_and_gradient(values: Array) -> tuple[float, Array]:
            _fill(self.head.variables, values)
            gradients = self.head.gradients(bottlenecks, classes, self.loss)
            return self.head.loss(bottlenecks, classes, self.loss), _flat(gradients)

        def after_iteration(values: Array) -> None:
            nonlocal step
            _fill(self.head.variables, values)
            after_step(step, bottlenecks, classes)
            step += 1
            raise_if_interrupted()  # Only here: during an iteration the head has values that are merely tried.
            if self.early_stopping.should_stop:
                raise StopIteration

        options = {"maxiter": self.options.how_many_training_steps - first_step, "maxfun": np.inf}
        with _quiet(self.head), interrupts_deferred():
            found = minimize(
                loss_and_gradient,
                _flat(self.head.variables),
                method="L-BFGS-B",
                jac=True,
                callback=after_iteration,
                options=options,
            )
        _fill(self.head.variables, found.x)
        return step


def train(
    trainers: Sequence[Trainer], batches: Iterable[tuple[FloatArray, IndexArray]], after_step: AfterStep, first_step: int = 0
) -> None:
    """Has each trainer do a step for each batch, float32 [B, D] and int64 [B]; calls `after_step(step, bottlenecks, classes)`.

    Trainers side by side share the batches, the reading of which costs as much as a step. Training ends with the batches, or when
    all are stopped. Steps are counted from `first_step`. At Ctrl-C it raises KeyboardInterrupt, always between two steps.
    """
    with _quiet(*(trainer.head for trainer in trainers)), interrupts_deferred():
        for step, (bottlenecks, classes) in enumerate(batches, first_step):
            raise_if_interrupted()
            active = [trainer for trainer in trainers if not trainer.early_stopping.should_stop]
            if not active:
                return
            for trainer in active:
                trainer.step(step, bottlenecks, classes)
            after_step(step, bottlenecks, classes)


def scipy_minimize() -> Callable[..., Any]:
    """SciPy's `minimize`. Raises FlagError where SciPy is not installed."""
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise FlagError("--optimizer lbfgs needs SciPy. Install it with this project: pip install '.[lbfgs]'") from error
    return minimize


def class_weights(chosen: object, labels: Sequence[str], counts: IndexArray) -> FloatArray | None:
    """What an image of each class counts, float32 [C]; None where all count the same.

    Args:
        chosen: weights by label, or `balanced`: `N / (C · images of the class)`, as in scikit-learn.
        labels: one a class.
        counts: int64 [C], images of each class.

    Raises:
        FlagError: a label is not among `labels`.
    """
    if chosen == BALANCED:
        return (counts.sum() / (len(counts) * np.maximum(counts, 1))).astype(np.float32)
    if not isinstance(chosen, Mapping):
        return None
    for label in chosen:
        if label not in labels:
            raise FlagError(f"--class_weights must name labels: {', '.join(labels)}. Got {label}.")
    return np.array([chosen.get(label, 1.0) for label in labels], np.float32)


@contextlib.contextmanager
def _quiet(*heads: SoftmaxHead) -> Iterator[None]:
    """Threads as suit the heads, and no complaints of numpy about a training that diverges."""
    # On small products BLAS threads wait for each other longer than they compute, many times longer where other programs run too.
    threads = 1 if all(head.size < LARGE_HEAD for head in heads) else None
    with threadpool_limits(threads, user_api="blas"), np.errstate(over="ignore", invalid="ignore"):
        yield


def _flat(arrays: Sequence[FloatArray]) -> Array:
    return np.concatenate([array.ravel() for array in arrays]).astype(np.float64)


def _fill(arrays: Sequence[FloatArray], values: Array) -> None:
    """The reverse of `_flat`, in place."""
    start = 0
    for array in arrays:
        array[...] = values[start : start + array.size].reshape(array.shape)
        start += array.size
