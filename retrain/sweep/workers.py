"""Processes that train the heads of a sweep.

A module of its own: a process that is started anew imports this one by its name, which it cannot do with a `__main__`.
"""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def training_workers() -> Iterator[concurrent.futures.Executor]:
    """Processes for training, which get ready while TensorFlow is loaded here."""
    count = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(count, context, initializer=_prepare_worker) as workers:
        for _ in range(count):
            workers.submit(os.getpid)  # Starts them.
        try:
            yield workers
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # At Ctrl-C the sweep itself ends them.
    threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()
    import retrain.sweep.train_many  # noqa: F401


def _end_with(sweep: int) -> None:
    """Ends this process when the sweep is gone: one that was killed cannot end its workers, which may have an hour to go."""
    while os.getppid() == sweep:
        time.sleep(0.5)
    os._exit(1)
