"""Worker processes that train the heads of a sweep.

A module of its own, since a new process imports it by its name, which it cannot do with a `__main__`.
"""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator


@contextlib.contextmanager
def training_workers() -> Iterator[concurrent.futures.Executor]:
    """Start worker processes, which get ready while TensorFlow is loaded here."""
    count = os.cpu_count() or 1
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(count, context, initializer=_prepare_worker) as workers:
        for _ in range(count):
            workers.submit(os.getpid)  # Starts the processes.
        try:
            yield workers
        except BaseException:
            for process in multiprocessing.active_children():
                process.terminate()
            raise


def _prepare_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # At Ctrl-C the sweep itself ends its workers.
    threading.Thread(target=_end_with, args=[os.getppid()], daemon=True).start()
    with contextlib.suppress(ModuleNotFoundError):  # The sweep itself reports a missing package.
        import retrain.sweep.train_many  # noqa: F401


def _end_with(sweep: int) -> None:
    """End this process when the sweep has ended: a killed sweep cannot end its workers, which may have an hour of work left."""
    while os.getppid() == sweep:
        time.sleep(0.5)
    os._exit(1)
