"""Training of heads: a step per batch, or L-BFGS on all images at once; and early stopping."""

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from retrain.arrays import FloatArray, IndexArray, Targets
from retrain.errors import FlagError
from retrain.head.model import LossSettings, SoftmaxHead
from retrain.head.optimizers import OPTIMIZERS, SCHEDULES, GradientDescent
from retrain.options.head import BALANCED, HeadOptions
from retrain.process.interruption import interrupts_deferred, raise_if_interrupted

LARGE_HEAD = 2**18  # Heads with at least this many weights are faster with several BLAS threads.
# Identifies a random stream beside those of `RandomGenerators`. The dropout of each step has a generator of its own, so that a
# training can be resumed at any step.
DROPOUT_STREAM = 0xD409

Array = npt.NDArray[Any]
AfterStep = Callable[[int, FloatArray, Targets], None]


class EarlyStopping:
    """Early stopping: the best head so far, by its cross entropy on the validation set, and when to stop.

    Attributes:
        best: variables of the head at the best evaluation; empty before the first.
        best_loss: its cross entropy, in nats.
        n_worse: number of evaluations since.
    """

    def __init__(self, head: SoftmaxHead, patience: int) -> None:
        """Stop after `patience` evaluations without a better one; 0 never stops and keeps nothing."""
        self._head, self._patience = head, patience
        self.best: list[FloatArray] = []
        self.best_loss, self.n_worse = math.inf, 0

    def after_evaluation(self, cross_entropy: float) -> None:
        """Compare an evaluation of the head as it is, in nats, with the best."""
        if not self._patience:
            return
        if cross_entropy < self.best_loss:
            self.best_loss, self.n_worse = cross_entropy, 0
            self.best = [variable.copy() for variable in self._head.variables]
        else:
            self.n_worse += 1

    @property
    def should_stop(self) -> bool:
        """True if the last evaluations were not better."""
        return self._patience > 0 and self.n_worse >= self._patience

    def restore_best(self) -> None:
        """Set the head to its variables at the best evaluation."""
        for variable, value in zip(self._head.variables, self.best, strict=False):  # There may be no best one.
            variable[...] = value


class Trainer:
    """A head in training.

    Attributes:
        head: is changed in place.
        options: how it is trained.
        early_stopping: when training stops.
        loss_settings: settings of the loss function.
        random_seed: of the whole run; used for dropout.
    """

    def __init__(
        self, options: HeadOptions, labels: Sequence[str], class_counts: IndexArray, head: SoftmaxHead, random_seed: int
    ) -> None:
        """Make a trainer.

        Args:
            options: how to train.
            labels: the label of each class.
            class_counts: int64 [C], number of training images of each class.
            head: made for these options.
            random_seed: of the whole run; used for dropout.

        Raises:
            FlagError: `class_weights` names a label that does not exist.
        """
        self.head, self.options = head, options
        self.early_stopping = EarlyStopping(head, options.early_stopping)
        weights = class_weights(options.class_weights, labels, class_counts)
        self.loss_settings = LossSettings(options.label_smoothing, weights, options.l2, options.dropout)
        self._learning_rate = options.learning_rate_for(scale=1)
        self._factor = SCHEDULES[options.learning_rate_schedule]
        self.random_seed = random_seed
        self._optimizer = OPTIMIZERS.get(options.optimizer, GradientDescent)(head.variables)

    def state(self) -> dict[str, Array]:
        """Return the state that the next steps depend on, besides the head and the batches, by name; for `load`."""
        best = self.early_stopping.best
        return {
            **{f"optimizer/{index}": slot for index, slot in enumerate(self._optimizer.slots)},
            **{f"best/{index}": variable for index, variable in enumerate(best)},
            "early_stopping": np.array([self.early_stopping.best_loss, self.early_stopping.n_worse]),
        }

    def load(self, variables: Sequence[FloatArray], state: Mapping[str, Array]) -> None:
        """Restore the head's variables and the state of an earlier run with the same options."""
        for mine, earlier in zip(self.head.variables, variables, strict=True):
            mine[...] = earlier
        for index, slot in enumerate(self._optimizer.slots):
            slot[...] = state[f"optimizer/{index}"]
        stopping = self.early_stopping
        stopping.best_loss, stopping.n_worse = float(state["early_stopping"][0]), int(state["early_stopping"][1])
        stopping.best = [state[f"best/{index}"].copy() for index in range(len(variables)) if f"best/{index}" in state]

    def step(self, step: int, bottlenecks: FloatArray, classes: Targets) -> None:
        """Train one step on a batch, float32 [B, D] and int64 [B]."""
        rng = np.random.default_rng([self.random_seed, DROPOUT_STREAM, step]) if self.loss_settings.dropout else None
        rate = self._learning_rate * self._factor(step / self.options.how_many_training_steps)
        self._optimizer.update(self.head.gradients(bottlenecks, classes, self.loss_settings, rng), rate, step)

    def finish(self) -> None:
        """Finish the training: with early stopping, restore the head of the best evaluation."""
        self.early_stopping.restore_best()

    def minimize(self, bottlenecks: FloatArray, classes: Targets, after_step: AfterStep, first_step: int = 0) -> int:
        """Minimize the loss by L-BFGS on all training images, until it no longer falls or the steps are done.

        Args:
            bottlenecks: float32 [N, D].
            classes: int64 [N].
            after_step: called after each iteration.
            first_step: number of iterations done by an earlier run.

        Returns:
            The number of iterations, `first_step` included.

        Raises:
            FlagError: SciPy is not installed.
        """
        scipy, step = scipy_minimize(), first_step

        def loss_and_gradient(values: Array) -> tuple[float, Array]:
            _fill(self.head.variables, values)
            gradients = self.head.gradients(bottlenecks, classes, self.loss_settings)
            return self.head.loss(bottlenecks, classes, self.loss_settings), _flat(gradients)

        def after_iteration(values: Array) -> None:
            nonlocal step
            _fill(self.head.variables, values)
            after_step(step, bottlenecks, classes)
            step += 1
            raise_if_interrupted()  # Only here: during an iteration the head has trial values.
            if self.early_stopping.should_stop:
                raise StopIteration

        options = {"maxiter": self.options.how_many_training_steps - first_step, "maxfun": np.inf}
        with _quiet(self.head), interrupts_deferred():
            found = scipy(
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
    trainers: Sequence[Trainer], batches: Iterable[tuple[FloatArray, Targets]], after_step: AfterStep, first_step: int = 0
) -> None:
    """Train each head one step per batch, float32 [B, D] and int64 [B]; call `after_step(step, bottlenecks, classes)`.

    Several trainers share the batches, since reading one costs as much as a step. Training ends with the batches, or when all
    trainers have stopped early. Steps are counted from `first_step`. Ctrl-C raises KeyboardInterrupt, always between two steps.
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
    """Return SciPy's `minimize`. Raises FlagError if SciPy is not installed."""
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise FlagError("--optimizer lbfgs needs SciPy. Install it with this project: pip install '.[lbfgs]'") from error
    return minimize


def class_weights(chosen: Mapping[str, float] | str | None, labels: Sequence[str], counts: IndexArray) -> FloatArray | None:
    """Return the weight of each class, float32 [C]; None if all are 1.

    Args:
        chosen: weights by label, or `balanced`: `N / (C · images of the class)`, as in scikit-learn; None is 1 for every class.
        labels: the label of each class.
        counts: int64 [C], number of images of each class.

    Raises:
        FlagError: a label is not among `labels`.
    """
    if chosen == BALANCED:
        return (counts.sum() / (len(counts) * np.maximum(counts, 1))).astype(np.float32)
    if chosen is None or isinstance(chosen, str):
        return None
    check_class_weights(chosen, labels)
    return np.array([chosen.get(label, 1.0) for label in labels], np.float32)


def check_class_weights(chosen: Mapping[str, float] | str | None, labels: Sequence[str]) -> None:
    """Raise FlagError if the weights name a label that does not exist."""
    for label in chosen if isinstance(chosen, Mapping) else ():
        if label not in labels:
            raise FlagError(f"--class_weights must name labels: {', '.join(labels)}. Got {label}.")


@contextlib.contextmanager
def _quiet(*heads: SoftmaxHead) -> Iterator[None]:
    """Choose the number of BLAS threads for the heads, and silence numpy's warnings about a training that diverges."""
    # On small products BLAS threads wait for each other longer than they compute, many times longer on a busy machine.
    threads = 1 if all(head.size < LARGE_HEAD for head in heads) else None
    with threadpool_limits(threads, user_api="blas"), np.errstate(over="ignore", invalid="ignore"):
        yield


def _flat(arrays: Sequence[FloatArray]) -> Array:
    return np.concatenate([array.ravel() for array in arrays]).astype(np.float64)


def _fill(arrays: Sequence[FloatArray], values: Array) -> None:
    """Reverse `_flat`, in place."""
    start = 0
    for array in arrays:
        array[...] = values[start : start + array.size].reshape(array.shape)
        start += array.size
