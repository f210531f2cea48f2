"""The networks of `keras.applications` by name. Their facts lie in `records.json`, which `scripts.write_keras_records` writes."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrain.backbones.architecture import Architecture, Provenance
from retrain.input_spec import APPLY, CROP, InputSpec

RECORDS = Path(__file__).with_name("records.json")
PREFIX = "keras_"
BUILT_IN, MINUS_ONE_TO_ONE, CAFFE, TORCH = "built_in", "-1..1", "caffe", "torch"


@dataclass(frozen=True, kw_only=True)
class KerasRecord:
    """A network of `keras.applications`.

    Attributes:
        name: as in `--architecture`, such as `keras_mobilenet_v3_small`.
        constructor: its name in `keras.applications`.
        module: the module there that holds its preprocessing.
        height, width: of its input, in pixels.
        preprocessing: of grey levels from 0 to 255: `built_in` (none is needed), `-1..1`, `caffe` (blue, green and red, less the
            means of ImageNet), `torch` (from 0 to 1, less the means of ImageNet, divided by the standard deviations).
        address: of its weights, with the classification layer.
        file_name: of its weights, in `--model_dir` and on a mirror.
        hash: of the weights' file, as Keras states it: MD5 or SHA-256, in hexadecimal; None if Keras states none.
        bottleneck_size: D.
        parameters: number of weights, with the classification layer.
        top_1, top_5: published accuracy on ImageNet's validation set, in percent; None if Keras states none.
        accuracy_source: where that is published.
        licence: of the weights, as Keras states it; None if it states none.
    """

    name: str
    constructor: str
    module: str
    height: int
    width: int
    preprocessing: str
    address: str
    file_name: str
    hash: str | None
    bottleneck_size: int
    parameters: int
    top_1: float | None
    top_5: float | None
    accuracy_source: str | None
    licence: str | None

    @property
    def graph_file(self) -> str:
        """The name of the frozen graph that is kept in `--model_dir`."""
        return f"{self.name}.pb"


def find_keras_record(name: str) -> KerasRecord | None:
    """Return the record of that name, in upper or lower case; None if there is none."""
    return _records().get(name.lower())


def keras_architecture(record: KerasRecord) -> Architecture:
    """Return the architecture of a network: its frozen graph takes grey levels, and has the preprocessing in it."""
    return Architecture(
        name=record.name,
        input_tensor="input:0",
        bottleneck_tensor="bottleneck:0",
        batch_tensor="bottleneck:0",
        bottleneck_size=record.bottleneck_size,
        input_spec=InputSpec(record.height, record.width, mean=0.0, std=1.0, resize=CROP, exif_orientation=APPLY),
        graph_file=record.graph_file,
        archive=record.file_name,
        urls=(record.address,),
        digest=record.hash or "",
        class_tensor="probabilities:0",
        provenance=Provenance(
            source=f"Keras, keras.applications.{record.constructor}",
            licence=record.licence or "",
            parameters=round(record.parameters / 1e6, 2),
            top_1=record.top_1,
            top_5=record.top_5,
            accuracy_source=record.accuracy_source or "",
        ),
    )


def keras_names() -> tuple[str, ...]:
    """Return the names of all networks, sorted."""
    return tuple(sorted(_records()))


def keras_version() -> str:
    """Return the version of Keras that the records were made with."""
    return str(_content()["keras"])


@functools.cache
def _records() -> dict[str, KerasRecord]:
    return {fields["name"]: KerasRecord(**fields) for fields in _content()["networks"]}


@functools.cache
def _content() -> Any:
    return json.loads(RECORDS.read_text(encoding="utf-8"))
