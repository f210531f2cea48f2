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
        output_shape: of the output for one image, such as (1, 1, 1, D).
    """

    one_by_one = True

    def __init__(self, flatbuffer: bytes) -> None:
        """Prepare the interpreters. Raises ValueError or RuntimeError if LiteRT cannot run the network."""
        n_cores = os.cpu_count() or 1
        self._flatbuffer = flatbuffer
        self._n_interpreters = max(1, min(n_cores, MOST_INTERPRETERS, MOST_WEIGHT_BYTES // len(flatbuffer)))
        self._n_threads = max(1, n_cores // self._n_interpreters)
        self._local, self._lock = threading.local(), threading.Lock()
        self._pool: concurrent.futures.ThreadPoolExecutor | None = None
        # For single images: with all cores, which changes no bit of the values.
        self._alone = _Interpreter(flatbuffer, n_cores)
        self.output_shape = self._alone.output_shape

    def __call__(self, images: FloatArray) -> FloatArray:
        """Run the network on float32 [N, H, W, 3] → float32 [N, D]."""
        if len(images) == 1:
            with self._lock:
                return self._alone.run(images[0])[np.newaxis]
        with self._lock:
            if self._pool is None:
                self._pool = concurrent.futures.ThreadPoolExecutor(self._n_interpreters, "litert")
        turns = itertools.count()  # Its `next` is atomic.
        rows: list[FloatArray | None] = [None] * len(images)

        def work() -> None:
            while (turn := next(turns)) < len(images):
                rows[turn] = self._of_this_thread().run(images[turn])

        for future in [self._pool.submit(work) for _ in range(min(self._n_interpreters, len(images)))]:
            future.result()
        return np.stack([row for row in rows if row is not None])

    def _of_this_thread(self) -> "_Interpreter":
        if not hasattr(self._local, "interpreter"):
            self._local.interpreter = _Interpreter(self._flatbuffer, self._n_threads)
        interpreter: _Interpreter = self._local.interpreter
        return interpreter


class _Interpreter:
    """Interpreter of one network, for one thread at a time."""

    def __init__(self, flatbuffer: bytes, n_threads: int) -> None:
        with silenced_stderr():  # It prints the name of its delegate.
            self._interpreter = _runtime().Interpreter(model_content=flatbuffer, num_threads=n_threads)
            self._interpreter.allocate_tensors()
        [source], [output] = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._source, self._output = source["index"], output["index"]
        self.output_shape = tuple(int(size) for size in output["shape"])

    def run(self, image: FloatArray) -> FloatArray:
        """Return the values for one image, float32 [H, W, 3] → float32 [D]."""
        self._interpreter.set_tensor(self._source, image[np.newaxis])
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._output).reshape(-1)


def is_installed() -> bool:
    """Return True if LiteRT can be imported."""
    try:
        _runtime()
    except ImportError:
        return False
    return True


def _runtime() -> Any:
    from ai_edge_litert import interpreter

    return interpreter
