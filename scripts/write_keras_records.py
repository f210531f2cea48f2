"""Write retrain/backbones/keras/records.json: facts about the networks that the installed Keras lists in `keras.applications`.

Keras' own constructors tell them, with its download and the loading of weights replaced: nothing is downloaded. Published
accuracies stand in a table below, from Keras' documentation. Run it after an update of Keras, and read what changed.
"""

import inspect
import json
import posixpath
import re
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from retrain.backbones.keras.freeze import keras_library
from retrain.backbones.keras.structure import find_cut

RECORDS = Path(__file__).resolve().parents[1] / "retrain/backbones/keras/records.json"
TABLE = "https://keras.io/api/applications/"
V3_DOCSTRING = "docstring of keras.applications.MobileNetV3Small"
# Top-1 and top-5 accuracy on ImageNet's validation set, in percent, as Keras' documentation states them.
PUBLISHED: dict[str, tuple[float, float | None, str]] = {
    name: (top_1, top_5, TABLE)
    for name, top_1, top_5 in (
        ("Xception", 79.0, 94.5), ("VGG16", 71.3, 90.1), ("VGG19", 71.3, 90.0), ("ResNet50", 74.9, 92.1),
        ("ResNet50V2", 76.0, 93.0), ("ResNet101", 76.4, 92.8), ("ResNet101V2", 77.2, 93.8), ("ResNet152", 76.6, 93.1),
        ("ResNet152V2", 78.0, 94.2), ("InceptionV3", 77.9, 93.7), ("InceptionResNetV2", 80.3, 95.3), ("MobileNet", 70.4, 89.5),
        ("MobileNetV2", 71.3, 90.1), ("DenseNet121", 75.0, 92.3), ("DenseNet169", 76.2, 93.2), ("DenseNet201", 77.3, 93.6),
        ("NASNetMobile", 74.4, 91.9), ("NASNetLarge", 82.5, 96.0), ("EfficientNetB0", 77.1, 93.3), ("EfficientNetB1", 79.1, 94.4),
        ("EfficientNetB2", 80.1, 94.9), ("EfficientNetB3", 81.6, 95.7), ("EfficientNetB4", 82.9, 96.4),
        ("EfficientNetB5", 83.6, 96.7), ("EfficientNetB6", 84.0, 96.8), ("EfficientNetB7", 84.3, 97.0),
        ("EfficientNetV2B0", 78.7, 94.3), ("EfficientNetV2B1", 79.8, 95.0), ("EfficientNetV2B2", 80.5, 95.1),
        ("EfficientNetV2B3", 82.0, 95.8), ("EfficientNetV2S", 83.9, 96.7), ("EfficientNetV2M", 85.3, 97.4),
        ("EfficientNetV2L", 85.7, 97.5), ("ConvNeXtTiny", 81.3, None), ("ConvNeXtSmall", 82.3, None),
        ("ConvNeXtBase", 85.3, None), ("ConvNeXtLarge", 86.3, None), ("ConvNeXtXLarge", 86.7, None),
    )
} | {"MobileNetV3Large": (75.6, None, V3_DOCSTRING), "MobileNetV3Small": (68.1, None, V3_DOCSTRING)}  # fmt: skip
FREE_SIDE = 224  # Of MobileNetV3, whose input takes any size: that of its weights, as their file's name says.
# The networks' inputs for grey levels of 0 and 255, by kind of preprocessing; red, green, blue as in the image.
KINDS = {
    "built_in": ([0.0, 0, 0], [255.0, 255, 255]),
    "-1..1": ([-1.0, -1, -1], [1.0, 1, 1]),
    "caffe": ([-103.939, -116.779, -123.68], [151.061, 138.221, 131.32]),
    "torch": ([-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225], [0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225]),
}


def constructors() -> dict[str, Any]:
    """Return the constructors of `keras.applications` by their names."""
    applications = keras_library().applications
    return {name: each for name, each in sorted(vars(applications).items()) if inspect.isfunction(each)}


def network_name(constructor: str) -> str:
    """Return the network's name: `keras_resnet50_v2` for `ResNet50V2`."""
    words = (
        constructor.replace("VGG", "Vgg")
        .replace("NASNet", "Nasnet")
        .replace("ConvNeXt", "Convnext")
        .replace("MobileNet", "Mobilenet")
    )
    words = words.replace("ResNet", "Resnet").replace("DenseNet", "Densenet").replace("EfficientNet", "Efficientnet")
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", words.replace("XLarge", "Xlarge"))
    return f"keras_{words.lower()}"


def record_of(constructor: str) -> dict[str, Any]:
    """Build the network with Keras' download replaced; return its record."""
    function = constructors()[constructor]
    asked: dict[str, Any] = {}

    def note(fname: str, origin: str, file_hash: str | None = None, **_: Any) -> str:
        asked.update(address=origin, hash=file_hash)
        return fname

    keras = keras_library()
    utilities = inspect.getmodule(keras.utils.get_file)
    with mock.patch.object(utilities, "get_file", note), mock.patch.object(keras.Model, "load_weights"):
        model = function(weights="imagenet")
    module = function.__module__.rsplit(".", 1)[-1]
    height, width = (side or FREE_SIDE for side in model.inputs[0].shape[1:3])
    top_1, top_5, source = PUBLISHED.get(constructor, (None, None, None))
    return {
        "name": network_name(constructor),
        "constructor": constructor,
        "module": module,
        "height": height,
        "width": width,
        "preprocessing": kind_of(getattr(keras.applications, module).preprocess_input),
        "address": asked["address"],
        "file_name": posixpath.basename(asked["address"]),
        "hash": asked["hash"],
        "bottleneck_size": find_cut(model, None).shape[-1],
        "parameters": model.count_params(),
        "top_1": top_1,
        "top_5": top_5,
        "accuracy_source": source,
        "licence": None,  # Neither Keras' source nor its documentation states one for the weights.
    }


def kind_of(preprocess: Any) -> str:
    """Return the kind of a preprocessing function, by what it makes of black and white."""
    found = [preprocess(np.full((1, 1, 1, 3), level, np.float32)).reshape(3) for level in (0, 255)]
    [kind] = [kind for kind, values in KINDS.items() if np.allclose(found, values, atol=1e-3)]
    return kind


def main() -> None:
    """Write the file."""
    keras = keras_library()
    records = []
    for constructor in constructors():
        print(constructor, file=sys.stderr)
        records.append(record_of(constructor))
        keras.backend.clear_session()
    RECORDS.write_text(json.dumps({"keras": keras.__version__, "networks": records}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
