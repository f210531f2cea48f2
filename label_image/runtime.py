"""Classifiers of other runtimes than TensorFlow's graphs: what they take, what they give, and their labels."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from label_image.graph import Overrides, labels_of
from retrain.arrays import BatchFunction
from retrain.errors import GraphError
from retrain.graphdef.description import Description
from retrain.graphdef.known_inputs import KNOWN_INPUTS
from retrain.graphdef.nodes import node_name
from retrain.runtimes.model import RuntimeModel


@dataclass(frozen=True)
class LabelledModel:
    """A model and all that is needed to use it.

    Attributes:
        model: the file, opened.
        description: its labels, input and output, under the names that the file has for them; what the user said is worked in.
    """

    model: RuntimeModel
    description: Description

    def network(self) -> BatchFunction:
        """float32 [B, H, W, 3] → float32 [B, C]."""
        return self.model.function(self.description.input_tensor, self.description.output_tensor)


def labelled_model(path: str, model: RuntimeModel, overrides: Overrides) -> LabelledModel:
    """Finds out a model's input, output and labels.

    Raises:
        GraphError: they are not known, or what the user said does not fit the model.
    """
    stated = model.stated
    source = _layer("input_layer", overrides.input_layer, stated.input_tensor if stated else None, model.inputs)
    output = _layer("output_layer", overrides.output_layer, stated.output_tensor if stated else None, model.outputs)
    described = stated if stated and node_name(stated.input_tensor) == node_name(source) else None
    numbers = _input_numbers(source, model.inputs[source], described, overrides)
    labels = labels_of(path, overrides.labels, stated)
    architecture, note = (stated.architecture, stated.note) if stated else ("", "")
    return LabelledModel(
        model, Description(labels, source, **numbers, output_tensor=output, architecture=architecture, note=note)
    )


def _layer(flag: str, given: str | None, stated: str | None, names: Iterable[str]) -> str:
    """The model's name for the layer that was named by the user, or by the description, or is the only one."""
    known = {node_name(name): name for name in names}
    wanted = given or stated
    if wanted is None and len(known) == 1:
        return next(iter(known.values()))
    if wanted is not None and node_name(wanted) in known:
        return known[node_name(wanted)]
    what = flag.split("_", maxsplit=1)[0]
    if wanted is None:
        raise GraphError(f"The file has several places for its {what}: {', '.join(known)}. Name the one with --{flag}.")
    raise GraphError(f"--{flag}: the file has no {what} named {node_name(wanted)}. It could be: {', '.join(known)}.")


def _input_numbers(
    source: str, shape: tuple[int | None, ...], described: Description | None, overrides: Overrides
) -> dict[str, Any]:
    """Height, width, mean and standard deviation: from the user, else from the description, else from the input itself."""
    if len(shape) != 4 or shape[3] not in (3, None):
        _refuse_shape(source, shape)
    mean, std = KNOWN_INPUTS.get(node_name(source), (None, None))
    recognised = {"input_height": shape[1], "input_width": shape[2], "input_mean": mean, "input_std": std}
    numbers: dict[str, Any] = {}
    for name, value in recognised.items():
        given = getattr(overrides, name)
        numbers[name] = given if given is not None else getattr(described, name) if described else value
        if numbers[name] is None:
            raise GraphError(f"The file does not say what its input looks like. Give it with --{name}.")
        if name in ("input_height", "input_width") and value not in (None, numbers[name]):
            raise GraphError(f"--{name} must be {value}, the size that the input {source} has. Got {numbers[name]}.")
    return numbers


def _refuse_shape(source: str, shape: tuple[int | None, ...]) -> NoReturn:
    shown = ", ".join("?" if size is None else str(size) for size in shape)
    raise GraphError(f"The input {source} takes [{shown}], not images as [N, height, width, 3]: this file cannot be used.")
