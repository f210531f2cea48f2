"""Costs of the networks of a sweep: the size of each, and its time for one photo on this machine."""

import statistics
import time
from dataclasses import dataclass

import numpy as np

from retrain.arrays import FloatArray
from retrain.backbones.backbone import Backbone
from retrain.backbones.load import load_network
from retrain.config import RetrainConfig
from retrain.input_spec import InputSpec
from retrain.options.flags import flags_of
from retrain.options.network import NetworkOptions
from retrain.process.interruption import raise_if_interrupted

N_WARM_UP = 3  # Runs that are not measured: TensorFlow plans and allocates in the first ones.
N_MEASURED = 15


@dataclass(frozen=True)
class NetworkCost:
    """Cost of a network: the size of its file in bytes, and milliseconds for one image, None if that was not measured."""

    size: int
    ms: float | None


class NetworkCosts:
    """Costs of networks, each loaded and measured once."""

    def __init__(self, is_timed: bool) -> None:
        """Start without any; `is_timed` says if their times are measured."""
        self._is_timed = is_timed
        self._known: dict[tuple[object, ...], NetworkCost] = {}

    def of(self, config: RetrainConfig, backbone: Backbone | None = None) -> NetworkCost:
        """Return the cost of the network of a configuration; `backbone` is the network, if it is loaded already."""
        key = network_key(config)
        if key not in self._known:
            loaded = backbone or load_network(config)
            ms = milliseconds(loaded, _any_image(loaded.architecture.input_spec)) if self._is_timed else None
            self._known[key] = NetworkCost(loaded.size, ms)
        return self._known[key]


def network_key(config: RetrainConfig) -> tuple[object, ...]:
    """Return the options of the network: trials with equal ones use the same network."""
    return tuple(getattr(config, name) for name in flags_of(NetworkOptions))


def milliseconds(backbone: Backbone, image: FloatArray) -> float:
    """Return the median wall time of the network alone for a batch of one image, float32 [1, H, W, 3], in milliseconds.

    The first runs are not counted. Decoding the image is not included, nor is the head, which takes microseconds.
    """
    seconds = []
    for _ in range(N_WARM_UP + N_MEASURED):
        raise_if_interrupted()
        start = time.perf_counter()
        backbone.run(image)
        seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds[N_WARM_UP:])


def _any_image(spec: InputSpec) -> FloatArray:
    """Return random pixels as one image, float32 [1, H, W, 3]: the time of a network does not depend on what a photo shows."""
    levels = np.random.default_rng(0).uniform(0, 255, (1, spec.height, spec.width, 3))
    return ((levels - spec.mean) / spec.std).astype(np.float32)
