"""Conversion of a network for LiteRT, and the comparison with TensorFlow that decides whether it is used."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrain.arrays import BatchFunction, FloatArray
from retrain.engines.litert import LitertNetwork
from retrain.engines.part import NetworkPart
from retrain.graphdef.description import Description, input_fields
from retrain.graphdef.lite_converter import lite_model
from retrain.graphdef.run import batch_function
from retrain.process.tensorflow_loading import is_loaded, load_tensorflow

# Largest difference of a value from TensorFlow's, as a share of the largest value. Both compute in float32, and add up in
# different orders: 4e-6 for MobileNet 0.25, 3e-6 for EfficientNet-Lite0.
LARGEST_DIFFERENCE = 1e-4
ENOUGH_SECONDS, MOST_REPETITIONS = 0.1, 5  # Of a measurement.


@dataclass(frozen=True)
class Comparison:
    """LiteRT beside TensorFlow, on the same images.

    Attributes:
        difference: largest difference of a value, as a share of the largest value; infinite if one is not finite.
        litert, tensorflow: seconds for an image.
        loading: seconds that loading TensorFlow took; None if it was loaded already.
    """

    difference: float
    litert: float
    tensorflow: float
    loading: float | None

    @property
    def agrees(self) -> bool:
        """True if the conversion may be used instead of TensorFlow."""
        return self.difference <= LARGEST_DIFFERENCE


def convert(part: NetworkPart, set_up: Callable[[Any], None] = lambda converter: None) -> bytes:
    """Return a network as a flatbuffer of LiteRT. Raises LiteConversionError if LiteRT does not have its operations."""
    ends = Description(
        labels=(), input_tensor=part.input_tensor, **input_fields(part.spec), output_tensor=part.output, architecture=""
    )
    return lite_model(part.cut, ends, set_up)


class Original:
    """A network in TensorFlow, and its values for some images."""

    def __init__(self, part: NetworkPart, images: FloatArray) -> None:
        """Run the network on images, float32 [N, H, W, 3].

        Raises:
            GraphError, or an error of TensorFlow's: it does not run.
        """
        self._loading: float | None = None
        if not is_loaded():
            start = time.perf_counter()
            load_tensorflow()
            self._loading = time.perf_counter() - start
        self._network, self._images = batch_function(part.cut, part.input_tensor, part.output), images
        self._values = self._network(images).reshape(len(images), -1)

    def compare(self, converted: LitertNetwork) -> Comparison:
        """Compare a conversion with the network, and time both."""
        found = converted(self._images)
        largest = float(np.abs(self._values).max(initial=0))
        difference = float(np.abs(found - self._values).max(initial=0)) / (largest or 1.0)
        is_finite = bool(np.isfinite(self._values).all() and np.isfinite(found).all())
        times = seconds_each(converted, self._images), seconds_each(self._network, self._images)
        return Comparison(difference if is_finite else float("inf"), *times, self._loading)


def seconds_each(network: BatchFunction, images: FloatArray) -> float:
    """Return the seconds for an image: the shortest of a few times for all of them, divided by their number."""
    times: list[float] = []
    while len(times) < MOST_REPETITIONS and (not times or sum(times) < ENOUGH_SECONDS):
        start = time.perf_counter()
        network(images)
        times.append(time.perf_counter() - start)
    return min(times) / len(images)
