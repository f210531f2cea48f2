"""Metadata of a classifier: labels, tensors and input. Every exported file carries it, so that labelling needs no flags."""

import dataclasses
import json
import os
import re
import unicodedata
from typing import TYPE_CHECKING, Any

from retrain.errors import GraphError
from retrain.graphdef.photo_filter import PhotoFilter
from retrain.input_spec import (
    CHANNEL_ORDERS,
    DECODE_SCALES,
    EXIF_ORIENTATIONS,
    FULL,
    IGNORE,
    LARGEST_INPUT_SIDE,
    RESIZES,
    RGB,
    SQUASH,
    InputSpec,
)

if TYPE_CHECKING:
    from tensorboard.compat.proto.graph_pb2 import GraphDef

FORMAT_VERSION = 1
NODE_NAME = "retrain_description"  # In graphs; also the key in other formats.
DESCRIPTION_FILE = os.path.join("assets.extra", "retrain_description.json")  # Inside a SavedModel.

LARGEST_LEVEL = 1e30  # Of a grey level; pixels are computed in float32, which overflows beyond that.
# TensorFlow's rule for names of operations, and the number of an output.
TENSOR_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*(:[0-9]{1,9})?")


@dataclasses.dataclass(frozen=True)
class Description:
    """Labels, tensors and input of a classifier. The order of the fields is that of the JSON text.

    Attributes:
        labels: one for each class, in the order of the output.
        input_tensor: takes float32 [N, input_height, input_width, 3], pixels as `(grey level - input_mean) / input_std`.
        output_tensor: the class probabilities, float32 [N, C].
        architecture: the network's name.
        input_resize: how a photo becomes an image of that size, as in `InputSpec`; left out of the JSON if it is `squash`.
        input_decode_scale: how large photos are decoded, as in `InputSpec`; left out of the JSON if it is `full`.
        input_exif_orientation: what is done with photos that are stored turned, as in `InputSpec`; left out of the JSON if it is
            `ignore`.
        thresholds: of a classifier of images with several labels: the probability from which each label counts; empty, and left
            out of the JSON, where the classes exclude each other.
        input_channel_order: of the colours, as in `InputSpec`; left out of the JSON if it is `rgb`.
        split_digest: digest of the record of the run's split, as in `data.split_record`; empty, and left out of the JSON, if
            there is none.
        training_photos: the contents of the photos it was trained on, in compact form; None, and left out of the JSON, likewise.
        note: a remark for readers, such as that another network was asked for; often empty.
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
    input_resize: str = SQUASH
    input_decode_scale: str = FULL
    input_exif_orientation: str = IGNORE
    input_channel_order: str = RGB
    thresholds: tuple[float, ...] = ()
    split_digest: str = ""
    training_photos: PhotoFilter | None = None

    @property
    def input_spec(self) -> InputSpec:
        """The input settings."""
        sizes = self.input_height, self.input_width
        how = self.input_resize, self.input_decode_scale, self.input_exif_orientation, self.input_channel_order
        return InputSpec(*sizes, self.input_mean, self.input_std, *how)

    def to_json(self) -> str:
        """Return the description as JSON on one line."""
        values = dataclasses.asdict(self)
        if self.input_resize == SQUASH:  # Files from before `input_resize`, and their readers, know no other.
            del values["input_resize"]
        if self.input_decode_scale == FULL:
            del values["input_decode_scale"]
        if self.input_exif_orientation == IGNORE:
            del values["input_exif_orientation"]
        if self.input_channel_order == RGB:
            del values["input_channel_order"]
        if not self.thresholds:
            del values["thresholds"]
        if not self.split_digest:
            del values["split_digest"]
        del values["training_photos"]
        if self.training_photos is not None:
            values["training_photos"] = self.training_photos.to_values()
        return json.dumps(values)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Description":
        """Read the text that `to_json` returns, and ignore fields that only a later version knows.

        Raises:
            GraphError: the text is no description.
        """
        try:
            values = json.loads(text)
            known = {field.name: values[field.name] for field in dataclasses.fields(cls) if field.name in values}
            labels = tuple(without_blanks(str(label)) for label in values["labels"])
            lists = {"labels": labels, "thresholds": tuple(values.get("thresholds", ()))}
            if known.get("training_photos") is not None:
                known["training_photos"] = PhotoFilter.from_values(known["training_photos"])
            description = cls(**{**known, **lists})
            _check_input(description)
            if description.thresholds and not (
                len(description.thresholds) == len(description.labels)
                and all(type(each) in (int, float) and 0 <= each <= 1 for each in description.thresholds)
            ):
                raise ValueError("the thresholds are not a number from 0 to 1 for each label")
            if not isinstance(description.split_digest, str):
                raise ValueError("the digest of the split is no text")
            if not isinstance(values["labels"], list):
                raise ValueError("the labels are not a list")
            if any(unicodedata.category(each) in ("Cc", "Cs") for label in description.labels for each in label):
                raise ValueError("a label has characters that cannot be printed")  # They could be used to forge lines of output.
            if not all(TENSOR_NAME.fullmatch(name) for name in (description.input_tensor, description.output_tensor)):
                raise ValueError("the input or the output is not a name")
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise GraphError(f"The model's metadata cannot be read ({error}).") from error
        return description


def without_blanks(label: str) -> str:
    """Return a label without the spaces at its ends, which the original's labels may have; one of nothing else stays."""
    return label.strip(" ") or label


def _check_input(about: Description) -> None:
    """Raise ValueError if the input settings are not usable."""
    sizes, levels = (about.input_height, about.input_width), (about.input_mean, about.input_std)
    if not all(type(size) is int and 0 < size <= LARGEST_INPUT_SIDE for size in sizes):
        raise ValueError("the height or the width is not a number of pixels")
    if not all(isinstance(level, int | float) and abs(level) < LARGEST_LEVEL for level in levels):
        raise ValueError("the mean or the standard deviation is not a usable number")
    if abs(about.input_std) < 1 / LARGEST_LEVEL:
        raise ValueError("the standard deviation is not a usable number")
    if about.input_resize not in RESIZES:
        raise ValueError(f"the resizing is none of {', '.join(RESIZES)}")
    if about.input_decode_scale not in DECODE_SCALES:
        raise ValueError(f"the scale of decoding is none of {', '.join(DECODE_SCALES)}")
    if about.input_exif_orientation not in EXIF_ORIENTATIONS:
        raise ValueError(f"the EXIF orientation is none of {', '.join(EXIF_ORIENTATIONS)}")
    if about.input_channel_order not in CHANNEL_ORDERS:
        raise ValueError(f"the order of the colours is none of {', '.join(CHANNEL_ORDERS)}")


def input_fields(spec: InputSpec) -> dict[str, Any]:
    """Return the fields of a description that hold the input settings."""
    return {f"input_{name}": value for name, value in dataclasses.asdict(spec).items()}


def read_description(graph_def: "GraphDef") -> Description | None:
    """Return the description in a graph; None if it has none, as graphs of other tools. Raises GraphError if it is damaged."""
    for node in graph_def.node:
        if node.name == NODE_NAME and node.op == "Const":
            return Description.from_json(b"".join(node.attr["value"].tensor.string_val))
    return None
