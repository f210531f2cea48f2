"""The training loop of the head: train, evaluate every few steps, save every few seconds."""

import logging
from collections.abc import Callable, Iterator

import numpy as np

from retrain.arrays import FloatArray, Targets
from retrain.head.batches import Batch
from retrain.head.monitor import Monitor
from retrain.head.resume import Checkpointer
from retrain.head.trainer import Trainer, train
from retrain.options.head import LBFGS
from retrain.process.progress import advance

logger = logging.getLogger("retrain")


def train_head(
    trainer: Trainer,
    batches: Iterator[Batch],
    monitor: Monitor,
    checkpointer: Checkpointer,
    after_step: Callable[[int], None] = lambda step: None,
) -> None:
    """Train the head to the end of its training. Counts the steps as progress.

    Args:
        trainer: restored by the checkpointer.
        batches: one for each step that is left; for L-BFGS a single one, of all training images.
        monitor: evaluates the head every few steps.
        checkpointer: saves the head every few seconds.
        after_step: called after each step and its evaluation.

    Raises:
        FlagError: the optimizer is L-BFGS and SciPy is not installed.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    options, first_step = trainer.options, checkpointer.steps_done

    def finish_step(step: int, bottlenecks: FloatArray, classes: Targets) -> None:
        checkpointer.count(step)
        if options.is_evaluated(step):
            monitor.evaluate(step, bottlenecks, classes)
            if monitor.validation_accuracy is not None:
                trainer.early_stopping.after_evaluation(monitor.validation_cross_entropy)
        checkpointer.save_if_due()
        after_step(step)
        advance(1, monitor.validation_accuracy)

    if options.optimizer == LBFGS:
        trainer.minimize(*next(batches), finish_step, first_step)
    else:
        train([trainer], batches, finish_step, first_step)
    trainer.finish()
    if checkpointer.steps_done < options.how_many_training_steps:
        logger.info(
            "Training ended after %d of %d steps: the validation cross entropy or the loss no longer fell.",
            checkpointer.steps_done,
            options.how_many_training_steps,
        )
    if not all(np.isfinite(variable).all() for variable in trainer.head.variables):
        logger.warning("The training has diverged: the head's weights are not finite. Lower --learning_rate.")
