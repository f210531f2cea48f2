"""Structure of a loaded Keras model: its layers in order, the bottleneck among them, and the first ones, which scale pixels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrain.errors import GraphError
from retrain.graphdef.find_layers import check_layer, not_inferred

ACTIVATIONS_OF_CLASSES = ("softmax", "sigmoid", "log_softmax")
CLASS_ACTIVATIONS = ("Softmax", "LogSoftmax", "Sigmoid")  # Layers and operations that compute them.
# Layers that stand between the last layer of weights and the activation, and change no value.
PASSING = ("Activation", "Flatten", "Reshape", "Squeeze", "Identity", "ActivityRegularization")
# Layers that change nothing outside of training.
ONLY_IN_TRAINING = (
    "Dropout", "SpatialDropout2D", "AlphaDropout", "GaussianDropout", "GaussianNoise", "ActivityRegularization", "Identity",
    "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation", "RandomContrast", "RandomBrightness",
)  # fmt: skip
# Layers and operations that compute each pixel of their output from that pixel alone.
SCALING = (
    *ONLY_IN_TRAINING, "Rescaling", "Normalization", "Add", "Subtract", "Multiply", "Divide", "TrueDivide", "GetItem", "Stack",
    "Concatenate", "Cast", "Flip",
)  # fmt: skip
SHOWN_LAYERS = 8


@dataclass(frozen=True)
class Step:
    """A layer or an operation of a model, at one of its uses.

    Attributes:
        operation: the Keras layer or operation.
        inputs: the symbolic tensors that it takes.
        output: its first symbolic output.
    """

    operation: Any
    inputs: tuple[Any, ...]
    output: Any

    @property
    def kind(self) -> str:
        """The name of its class."""
        return type(self.operation).__name__

    @property
    def name(self) -> str:
        """The layer's name."""
        return str(self.operation.name)

    @property
    def activation(self) -> str:
        """The name of its activation function; empty if it has none."""
        return str(getattr(getattr(self.operation, "activation", None), "__name__", ""))


@dataclass(frozen=True)
class Cut:
    """A bottleneck: the models to apply one after another, and the layer whose values the last one returns.

    There are several models where the layer lies inside a model that is itself a layer.
    """

    models: tuple[Any, ...]
    layer: str

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape of the values, None for a free size."""
        return tuple(self.models[-1].outputs[0].shape)


def steps_of(model: Any) -> list[Step]:
    """Return the steps from the input to the outputs, each after those that it depends on."""
    ordered: list[Step] = []
    done: set[Any] = set()
    waiting = [(tensor, False) for tensor in reversed(model.outputs)]
    while waiting:
        tensor, ready = waiting.pop()
        history = tensor._keras_history
        key = (id(history.operation), history.node_index)
        if key in done:
            continue
        node = history.operation._inbound_nodes[history.node_index]
        if ready:
            done.add(key)
            ordered.append(Step(history.operation, tuple(node.input_tensors), node.output_tensors[0]))
        else:
            waiting.append((tensor, True))
            waiting.extend((each, False) for each in reversed(node.input_tensors))
    return ordered


def is_model(operation: Any) -> bool:
    """Return True for a model that is a layer of another one."""
    return hasattr(operation, "layers") and bool(getattr(operation, "outputs", None))


def find_cut(model: Any, layer: str | None) -> Cut:
    """Return the bottleneck: the layer of that name, or without one the input of the classification layer, else the output.

    The classification layer is the last dense layer or 1 × 1 convolution, if its values become probabilities, by softmax or
    sigmoid, in itself or in the layers after it. Layers that change nothing outside of training are never the bottleneck: the one
    before them is.

    Raises:
        GraphError: there is no such layer, or none that can be inferred.
    """
    if layer is None:
        if len(model.outputs) != 1:
            raise not_inferred("bottleneck", vector_layers(model)[-SHOWN_LAYERS:])
        return _classified(model, False) or _settled(model, model.outputs[0])
    found = list(_named(model, layer))
    if not found:
        names = [step.name for step in _all_steps(model)]
        check_layer("bottleneck_layer", layer, names, vector_layers(model)[-SHOWN_LAYERS:])
        raise GraphError(
            f"--bottleneck_layer: the layer {layer} lies in a model that is used several times, and cannot be named."
        )
    return found[0]


def vector_layers(model: Any) -> list[str]:
    """Return the names of layers that compute a vector for each image."""
    return [step.name for step in _all_steps(model) if len(step.output.shape) == 2 and step.inputs]


def is_after(model: Any, layer: str, other: str) -> bool:
    """Return True if the layer of that name is computed from the other one's values."""
    steps = steps_of(model)
    later, earlier = (next((step for step in steps if name in _names(step)), None) for name in (layer, other))
    if later is None or earlier is None:
        return False
    if later is earlier:
        return is_model(later.operation) and is_after(later.operation, layer, other)
    producers = {id(step.output): step for step in steps}
    waiting, seen = [later], set[int]()
    while waiting:
        for tensor in waiting.pop().inputs:
            before = producers.get(id(tensor))
            if before is earlier:
                return True
            if before is not None and id(tensor) not in seen:
                seen.add(id(tensor))
                waiting.append(before)
    return False


def _names(step: Step) -> list[str]:
    """Return the name of the step's layer, and those of all layers in it if it is a model."""
    return [step.name, *(inner.name for inner in _all_steps(step.operation))] if is_model(step.operation) else [step.name]


def _all_steps(model: Any) -> Iterator[Step]:
    for step in steps_of(model):
        yield step
        if is_model(step.operation):
            yield from _all_steps(step.operation)


def _named(model: Any, layer: str) -> Iterator[Cut]:
    steps = steps_of(model)
    for step in steps:
        if step.name == layer and step.inputs:
            yield _settled(model, step.output)
    for step in steps:
        if is_model(step.operation):
            for cut in _named(step.operation, layer):
                yield _after(model, step, cut)


def _after(model: Any, step: Step, cut: Cut) -> Cut:
    """Return the cut of a model that is the layer `step` of another one, as a cut of that one."""
    before = step.inputs[0]
    if cut.layer in [inner.name for inner in steps_of(step.operation) if not inner.inputs]:  # Its input is the layer before it.
        return _settled(model, before)
    same = before is model.inputs[0]
    return cut if same else Cut((_part(model, before), *cut.models), cut.layer)


def _part(model: Any, tensor: Any) -> Any:
    import keras

    return keras.Model(model.inputs[0] if len(model.inputs) == 1 else model.inputs, tensor, name="part")


def _producer(model: Any, tensor: Any) -> Step:
    return next(step for step in steps_of(model) if step.output is tensor)


def _settled(model: Any, tensor: Any) -> Cut:
    """Return the cut at a tensor, or at what it repeats: the output of a layer before those that only work in training."""
    step = _producer(model, tensor)
    while step.kind in ONLY_IN_TRAINING and len(step.inputs) == 1:
        step = _producer(model, step.inputs[0])
    if is_model(step.operation) and len(step.operation.outputs) == 1:
        inner = _settled(step.operation, step.operation.outputs[0])
        return _after(model, step, inner)
    return Cut((_part(model, step.output),), step.name)


def _classified(model: Any, saw_activation: bool) -> Cut | None:
    """Return the cut before the classification layer; None if the model has none.

    Raises:
        GraphError: the output are probabilities, but of no layer that is known.
    """
    step = _producer(model, model.outputs[0])
    while True:
        if is_model(step.operation) and len(step.operation.outputs) == 1:
            inner = _classified(step.operation, saw_activation)
            return _after(model, step, inner) if inner else None
        saw_activation |= step.kind in CLASS_ACTIVATIONS or step.activation in ACTIVATIONS_OF_CLASSES
        if _is_product(step):
            return _settled(model, step.inputs[0]) if saw_activation else None
        if len(step.inputs) != 1 or step.kind not in (*PASSING, *ONLY_IN_TRAINING, *CLASS_ACTIVATIONS):
            break
        step = _producer(model, step.inputs[0])
    if saw_activation:
        raise not_inferred("bottleneck", vector_layers(model)[-SHOWN_LAYERS:])
    return None


def _is_product(step: Step) -> bool:
    return step.kind == "Dense" or (step.kind == "Conv2D" and tuple(step.operation.kernel_size) == (1, 1))


def scaled_by(model: Any) -> tuple[float, float] | None:
    """Return pixel mean and pixel standard deviation that the model's own first layers imply; None if they imply nothing.

    Layers that scale pixels are computed for pixels of 0, 1 and 255. If they map grey levels from 0 to 255 to a usual range (a
    width of 0.5 to 20, or caffe's grey levels less the mean), the input takes grey levels: (0, 1). If they do so for 0 to 1, it
    takes these: (0, 255).
    """
    parts: list[Any] = []
    while True:
        part, inner = _scaling_part(model)
        parts += [part] if part is not None else []
        if inner is None:
            break
        model = inner
    if not parts:
        return None
    size = [side or 8 for side in parts[0].inputs[0].shape[1:3]]
    low, one, high = (_applied(parts, np.full((1, *size, 3), level, np.float32)) for level in (0, 1, 255))
    if np.array_equal(low, [0, 0, 0]) and np.array_equal(one, [1, 1, 1]):
        return None
    if _usual(low, high) or (np.all(np.abs(high - low - 255) < 1) and np.all((low > -135) & (low < -100))):
        return 0.0, 1.0
    return (0.0, 255.0) if _usual(low, one) else None


def _usual(low: Any, high: Any) -> bool:
    width = np.abs(high - low)
    return bool(np.all((width >= 0.5) & (width <= 20)) and np.all(np.abs(low) <= 20))


def _applied(models: Sequence[Any], images: Any) -> Any:
    for model in models:
        images = model(images, training=False)
    return np.asarray(images)[0, 0, 0]


def _scaling_part(model: Any) -> tuple[Any, Any]:
    """Return the first layers of the model as far as they only scale pixels, and the model that is the layer after them.

    Each is None if there is none.
    """
    scaled, ends = {id(model.inputs[0])}, {}
    following = []
    for step in steps_of(model):
        if not step.inputs or not any(id(each) in scaled for each in step.inputs):
            continue
        if step.kind in SCALING and all(id(each) in scaled for each in step.inputs):
            scaled.add(id(step.output))
        else:
            ends.update({id(each): each for each in step.inputs if id(each) in scaled})
            following.append(step)
    if len(ends) != 1:
        return None, None
    [end] = ends.values()
    inner = following[0].operation if len(following) == 1 and is_model(following[0].operation) else None
    colours = len(end.shape) == 4 and end.shape[-1] == 3
    return (_part(model, end) if end is not model.inputs[0] and colours else None), (inner if colours else None)
