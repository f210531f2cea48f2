"""What an exported graph says about itself: enough for label_image to need no flag but the graph and the image."""

import dataclasses
import json
import os
import re
import unicodedata
from typing import TYPE_CHECKING

from retrain.errors import GraphError
from retrain.input_spec import LARGEST_INPUT_SIDE

if TYPE_CHECKING:
    from retrain.backbones.catalog import Architecture

FORMAT_VERSION = 1
NODE_NAME = "retrain_description"  # In graphs; also the key in other formats.
DESCRIPTION_FILE = os.path.join("assets.extra", "retrain_description.json")  # Inside a SavedModel.

LARGEST_LEVEL = 1e30  # Of a grey level; beyond that float32, in which pixels are computed, has no room.
# TensorFlow's rule for names of operations, and the number of an output.
TENSOR_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*(:[0-9]{1,9})?")


@dataclasses.dataclass(frozen=True)
class Description:
    """Names, input and labels of a classifier.

    Attributes:
        labels: one a class, in the order of the output.
        input_tensor: takes float32 [N, input_height, input_width, 3], pixels as `(level - input_mean) / input_std`.
        output_tensor: the class probabilities, float32 [N, C].
        architecture: the network's name.
        note: what a reader should know besides, such as that another network was meant; often empty.
        format_version: of this description.
    """

    labels: tuple[str, ...]
    input_tensor: str
    input_height: int
    input_width: int
    input_mean: float
    input_std: float
    output_tensor: str
    architecture: str
    note: str = ""
    format_version: int = FORMAT_VERSION

    @classmethod
    def of(cls, network: "Architecture", labels: tuple[str, ...], output_tensor: str, note: str = "") -> "Description":
        """Of a classifier whose input is that of `network`."""
        return cls(
            labels=labels,
            input_tensor=network.input_tensor,
            input_height=network.input_height,
            input_width=network.input_width,
            input_mean=network.input_mean,
            input_std=network.input_std,
            output_tensor=output_tensor,
            architecture=network.name,
            note=note,
        )

    def to_json(self) -> str:
        """The description as JSON on one line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str | bytes) -> "Description":
        """Reads `to_json`'s text. Fields of a later version that are not known here are passed over.

        Raises:
            GraphError: the text is no such description.
        """
        try:
            values = json.loads(text)
            known = {field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values}
            description = cls(**{**known, "labels": tuple(str(label) for label in values["labels"])})
            sizes = description.input_height, description.input_width
            levels = description.input_mean, description.input_std
            if not all(type(size) is int and 0 < size <= LARGEST_INPUT_SIDE for size in sizes):
                raise ValueError("the height or the width is no number of pixels")
            if not all(isinstance(level, int | float) and abs(level) < LARGEST_LEVEL for level in levels):
                raise ValueError("the mean or the standard deviation is not a usable number")
            if abs(description.input_std) < 1 / LARGEST_LEVEL:
                raise ValueError("the standard deviation is not a usable number")
            if not isinstance(values["labels"], list):
                raise ValueError("the labels are no list")
            if any(unicodedata.category(each) in ("Cc", "Cs") for label in description.labels for each in label):
                raise ValueError("a label has characters that cannot be printed")  # They could forge lines of the answer.
            if not all(TENSOR_NAME.fullmatch(name) for name in (description.input_tensor, description.output_tensor)):
                raise ValueError("the input or the output is no name")
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise GraphError(f"The graph's description of itself cannot be read ({error}).") from error
        return description
