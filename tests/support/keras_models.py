"""Keras models with random weights, and their files."""

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def randomise(model: Any, images: Any, seed: int = 0) -> None:
    """Give every weight a random value. Moving means and variances are those of `images`, changed a little.

    Signals then keep their size through all layers, and depend on the image.
    """
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        shape, name = tuple(variable.shape), variable.name
        if "float" not in str(variable.dtype) or "moving" in name or model_owns(variable, "normalization"):
            continue
        if name.endswith("kernel") and len(shape) > 1:
            fan_in = int(np.prod(shape[:2])) if "depthwise" in variable.path else int(np.prod(shape[:-1]))
            variable.assign(rng.normal(0, (2 / fan_in) ** 0.5, shape))
        elif name.endswith("gamma"):
            variable.assign(rng.uniform(0.5, 1.5, shape))
        else:
            variable.assign(rng.normal(0, 0.2, shape))
    normalizing = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    momenta = [layer.momentum for layer in normalizing]
    for layer in normalizing:
        layer.momentum = 0.0
    model(images, training=True)
    for layer, momentum in zip(normalizing, momenta, strict=True):
        layer.momentum = momentum
        layer.moving_mean.assign(layer.moving_mean + rng.normal(0, 0.1, layer.moving_mean.shape))
        layer.moving_variance.assign(layer.moving_variance * rng.uniform(0.9, 1.1, layer.moving_variance.shape) + 1e-3)


def model_owns(variable: Any, layer: str) -> bool:
    """Return True if the variable is one of the layer's of that name, such as the built-in `normalization` of EfficientNet."""
    return layer in str(variable.path).split("/")[:-1]


def write_weights(model: Any, path: Path) -> Path:
    """Write the weights in the layout of the published files: one group a layer, in the order of the layers."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([layer.name for layer in model.layers], "S")
        for layer in model.layers:
            group = file.create_group(layer.name)
            weights = [*layer.trainable_weights, *layer.non_trainable_weights]
            names = [f"{layer.name}/{index}:0" for index in range(len(weights))]
            group.attrs["weight_names"] = np.array(names, "S") if names else np.zeros(0, "S1")
            for name, weight in zip(names, weights, strict=True):
                group.create_dataset(name, data=np.asarray(weight))
    return path


def file_hash(path: Path, algorithm: str = "sha256") -> str:
    return hashlib.new(algorithm, path.read_bytes()).hexdigest()
