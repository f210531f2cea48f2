"""LiteRT: converted networks, run image by image on all cores."""

import concurrent.futures
import itertools
import os
import threading
from typing import Any

import numpy as np

from retrain.arrays import FloatArray
from retrain.process.tensorflow_loading import silenced_stderr

MOST_INTERPRETERS = 8
# Of all interpreters together: each has a copy of the weights, in the order that its kernels read them in.
MOST_WEIGHT_BYTES = 1 << 30


class LitertNetwork:
    """The function float32 [N, H, W, 3] → float32 [N, D] of a converted network.

    Each image is computed alone, by an interpreter of one thread where memory allows one for each core: its values never depend
    on the other images of a batch, nor on the number of cores.

    Attributes:
        one_by_one: True, which tells callers that a batch needs no padding.
    """

    one_by_one = True

    def __init__(self, flatbuffer: bytes) -> None:
        """Prepare the interpreters. Raises ValueError or RuntimeError if LiteRT cannot run the network."""
        n_cores = os.cpu_count() or 1
        self._flatbuffer = flatbuffer
        self._n_interpreters = max(1, min(n_cores, MOST_INTERPRETERS, MOST_WEIGHT_BYTES // len(flatbuffer)))
        self._n_threads = max(1, n_cores // self._n_interpreters)
        self._local = threading.local()
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None
        self._of_this_thread()  # So that errors come now.

    def __call__(self, images: FloatArray) -> FloatArray:
        """Run the network on float32 [N, H, W, 3] → float32 [N, D]."""
        if len(images) == 1:  # Its interpreter may use all cores: the values are the same.
            return self._run(images[0])[np.newaxis]
        if self._pool is None:
            self._pool = concurrent.futures.ThreadPoolExecutor(self._n_interpreters, "litert")
        turns = itertools.count()  # Its `next` is atomic.
        rows: list[FloatArray | None] = [None] * len(images)

        def work() -> None:
            while (turn := next(turns)) < len(images):
                rows[turn] = self._run(images[turn])

        for future in [self._pool.submit(work) for _ in range(min(self._n_interpreters, len(images)))]:
            future.result()
        return np.stack([row for row in rows if row is not None])

    def _run(self, image: FloatArray) -> FloatArray:
        interpreter, source, output = self._of_this_thread()
        interpreter.set_tensor(source, image[np.newaxis])
        interpreter.invoke()
        return interpreter.get_tensor(output).reshape(-1)

    def _of_this_thread(self) -> Any:
        if not hasattr(self._local, "interpreter"):
            self._local.interpreter = _interpreter(self._flatbuffer, self._n_threads)
        return self._local.interpreter


def is_installed() -> bool:
    """Return True if LiteRT can be imported."""
    try:
        _runtime()
    except ImportError:
        return False
    return True


def version() -> str:
    """Return LiteRT's version."""
    import importlib.metadata

    return importlib.metadata.version("ai-edge-litert")


def _runtime() -> Any:
    from ai_edge_litert import interpreter

    return interpreter


def _interpreter(flatbuffer: bytes, n_threads: int) -> tuple[Any, int, int]:
    """Return an interpreter with the indices of its input and its output."""
    with silenced_stderr():  # It prints the name of its delegate.
        interpreter = _runtime().Interpreter(model_content=flatbuffer, num_threads=n_threads)
        interpreter.allocate_tensors()
    [source], [output] = interpreter.get_input_details(), interpreter.get_output_details()
    return interpreter, source["index"], output["index"]
