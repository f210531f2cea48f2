"""`--architecture path/to/model.keras` or `.h5`: a Keras model as the network, cut before its classification layer."""

import hashlib
import logging
import re
import warnings
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from retrain.backbones.architecture import Architecture
from retrain.backbones.backbone import Backbone
from retrain.backbones.hub.module import LOADING_ERRORS
from retrain.backbones.keras.files import CheckedFile, checked_copy
from retrain.backbones.keras.freeze import BOTTLENECK, INPUT, frozen_graph, keras_library, portable, vectors
from retrain.backbones.keras.structure import Cut, find_cut, is_after, scaled_by
from retrain.backbones.local_graph import check_batches, warn_of_class_scores
from retrain.errors import FlagError, GraphError, reason_of
from retrain.graphdef.input_settings import GIVEN, INFERRED, InferredInput, input_origins, resolve_input
from retrain.input_spec import APPLY
from retrain.options.network import NetworkOptions
from retrain.options.network_input import NetworkInputOptions

logger = logging.getLogger("retrain")
USUAL_PAIRS = "0 and 1 for grey levels from 0 to 255, 0 and 255 for pixels from 0 to 1, 127.5 and 127.5 for pixels from -1 to 1"
FIRST_LAYERS = "inferred from the model's first layers"
LONGEST_REASON = 200  # characters: Keras' messages hold whole configurations.


def load_keras_file(path: str, options: NetworkOptions) -> Backbone:
    """Load the network in a Keras file, `.keras` or HDF5. No code in the file is run.

    Args:
        path: the file.
        options: the layer, and the input settings that precede those that the model's first layers imply.

    Raises:
        GraphError: the file cannot be read, is damaged, could run code or read other files; the bottleneck or the input settings
            cannot be inferred, or the layer computes no vectors.
        FlagError: a size was given that is not the model's.
    """
    try:
        with checked_copy(path) as checked:
            model = load_model(checked)
            return _backbone(path, model, checked, options)
    except GraphError as error:
        raise GraphError(f"--architecture {path}: {error}") from error


def no_scaling(what: str) -> GraphError:
    """Return the error for an input whose mean and standard deviation nothing tells."""
    return GraphError(
        f"The pixel mean and the pixel standard deviation of {what} cannot be inferred, and a wrong guess costs accuracy. Set "
        f"--input_mean and --input_std to what it was trained with: {USUAL_PAIRS}."
    )


def load_model(checked: CheckedFile) -> Any:
    """Load the model of a checked file. Raises GraphError if Keras cannot, or it is no model of layers."""
    keras = keras_library()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # About the optimizer, which is not loaded.
            try:
                model = keras.saving.load_model(checked.path, compile=False, safe_mode=True)
            except (TypeError, ValueError) as error:
                if "'groups': 1" not in str(error):
                    raise
                of_keras_2 = {"DepthwiseConv2D": _depthwise_of_keras_2(keras)}
                model = keras.saving.load_model(checked.path, custom_objects=of_keras_2, compile=False, safe_mode=True)
    except (*LOADING_ERRORS, MemoryError) as error:
        again = f"Save it again with this version{', as a .keras file' if checked.path.endswith('.h5') else ''}."
        raise GraphError(f"Keras {keras.__version__} cannot load it ({short_reason(error)}). {again}") from error
    if not getattr(model, "outputs", None):
        raise GraphError("It is no model of layers with a declared input: build it with keras.Input, and save it again.")
    return portable(model)


def _depthwise_of_keras_2(keras: Any) -> Any:
    """Return a layer as Keras 2 saved it, such as in the files of Teachable Machine: with groups, which Keras 3 refuses."""

    class DepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]
        def __init__(self, *args: Any, groups: int = 1, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)

    return DepthwiseConv2D


def short_reason(error: Exception) -> str:
    """Return why Keras failed, in the first sentence of its message."""
    text = re.sub(r"\s+", " ", re.split(r"\n\n|\. |Full object config|config=\{", reason_of(error))[0]).strip().rstrip(".:")
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"


def _backbone(path: str, model: Any, checked: CheckedFile, options: NetworkOptions) -> Backbone:
    inferred = inferred_input(model, options)
    spec = resolve_input(options, None, inferred, APPLY)
    try:
        cut = find_cut(model, options.bottleneck_layer)
        network = frozen_graph(lambda images: [_bottleneck(cut, images)], spec, [BOTTLENECK])
        size = check_batches(network, f"{INPUT}:0", f"{BOTTLENECK}:0", spec)[-1]
    except (*LOADING_ERRORS, MemoryError) as error:
        raise GraphError(f"Its layers cannot be computed ({short_reason(error)}).") from error
    default = _default_layer(model)
    if options.bottleneck_layer is None:
        logger.info("The bottleneck is the layer %s of %s: %d values.", cut.layer, path, size)
    elif default and is_after(model, cut.layer, default):
        warn_of_class_scores(cut.layer, default)
    architecture = Architecture(
        # Another layer of the same file has a cache of its own; the same one, named or inferred, has the same.
        name=path if cut.layer == default else f"{path}:{cut.layer}",
        input_tensor=f"{INPUT}:0",
        bottleneck_tensor=f"{BOTTLENECK}:0",
        batch_tensor=f"{BOTTLENECK}:0",
        bottleneck_size=size,
        input_spec=spec,
        graph_file=path,
    )
    origins = {
        "bottleneck": GIVEN if options.bottleneck_layer else INFERRED,
        **input_origins(options, None, inferred),
        **{name: FIRST_LAYERS for name in ("mean", "std") if getattr(options, f"input_{name}") is None},
    }
    digest = fingerprint(checked.digest, cut.layer, architecture, options)
    return Backbone(architecture, network, digest, checked.size, options.precision, origins=origins)


def fingerprint(digest: str, layer: str, architecture: Architecture, options: NetworkOptions) -> str:
    """Return the fingerprint of a Keras network: over its file, not its graph, whose names differ from process to process.

    The text is part of the cache format (docs/cache-format.md) and never changes.
    """
    spec = architecture.input_spec.fingerprint_text
    text = f"('keras', {digest!r}, {layer!r}, {architecture.bottleneck_size!r}, {spec}, {options.precision!r})"
    return hashlib.sha256(text.encode()).hexdigest()


def _default_layer(model: Any) -> str | None:
    try:
        return find_cut(model, None).layer
    except GraphError:
        return None


def _bottleneck(cut: Cut, images: tf.Tensor) -> tf.Tensor:
    values = images
    for part in cut.models:
        values = part(values, training=False)
    return vectors(values, cut.layer)


def inferred_input(model: Any, options: NetworkInputOptions) -> InferredInput:
    """Return the input settings that the model's input and its first layers imply.

    Raises:
        GraphError: it does not take images, or neither the layers nor the options tell mean and standard deviation.
        FlagError: `--input_layer` names another input.
    """
    if len(model.inputs) != 1:
        raise GraphError(f"It must have exactly one input, for images. It has {len(model.inputs)}.")
    [tensor] = model.inputs
    name, shape = str(tensor.name), list(tensor.shape)
    if options.input_layer not in (None, name, f"{name}:0"):
        raise FlagError(f"--input_layer must be {name}, the only input of the model. Got {options.input_layer}.")
    _check_images(tensor.dtype, shape)
    mean, std = scaled_by(model) or (None, None)
    if None in (mean if options.input_mean is None else 0, std if options.input_std is None else 1):
        raise no_scaling(f"the input {name}")
    return InferredInput(name, shape[1], shape[2], mean, std)


def _check_images(dtype: str, shape: Sequence[int | None]) -> None:
    if len(shape) != 4 or shape[0] is not None or shape[3] != 3 or not dtype.startswith(("float", "bfloat")):
        found = f"{[size or '?' for size in shape]}".replace("'", "")
        raise GraphError(f"It must take colour images, float32 [N, height, width, 3]. It takes {dtype} {found}.")
