"""A classifier in every format, written once for the tests of exports and of labelling with them."""

import dataclasses
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retrain.arrays import FloatArray
from retrain.backbones.backbone import Backbone, load_backbone
from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.backbones.published import BUNDLED
from retrain.data.decode import image_from_file
from retrain.export.classifier import classifier_graph, write_graph
from retrain.export.conversions import Conversions
from retrain.export.verify import ConversionReport
from retrain.graphdef.description import Description
from retrain.graphdef.run import batch_function, read_graph
from retrain.head.classifier import TrainedClassifier
from retrain.head.model import SoftmaxHead
from retrain.options.export_formats import EXPORTS, ONNX, PACKAGES

HAS_ONNX = all(importlib.util.find_spec(name) for name in PACKAGES[ONNX])
FORMATS = tuple(export for export in EXPORTS if export != ONNX or HAS_ONNX)
NO_ONNX = "the extra onnx is not installed: pip install '.[onnx]'"
LABELS = ("daisy", "roses", "tulips")


@dataclasses.dataclass(frozen=True)
class Exported:
    """Files of a run without training: `retrained_graph.pb` and its exports, and a SavedModel in `saved`.

    Attributes:
        folder: holds them.
        description: of the graph.
        reports: of the conversions.
    """

    folder: Path
    description: Description
    reports: tuple[ConversionReport, ...]

    @property
    def graph(self) -> Path:
        return self.folder / "retrained_graph.pb"

    def path(self, export: str) -> Path:
        """Where the format was written to."""
        return next(Path(each.path) for each in self.reports if each.format == export)

    def expected(self, photos: Sequence[Path]) -> FloatArray:
        """Return the frozen graph's scores of photos, float32 [N, C]."""
        about = self.description
        images = np.stack([image_from_file(str(photo), about.input_spec) for photo in photos])
        return batch_function(read_graph(str(self.graph)), about.input_tensor, about.output_tensor)(images)


def bundled_backbone() -> Backbone:
    architecture = find_architecture(BUNDLED)
    return load_backbone(architecture, read_graph_file(architecture, ""))


def export_all(folder: Path, backbone: Backbone, photos: Sequence[Path], formats: Sequence[str] = FORMATS) -> Exported:
    """Write the network with a random head in each format; all of `photos` are training and testing photos."""
    size, rng = backbone.architecture.bottleneck_size, np.random.default_rng(0)
    head = SoftmaxHead(size, len(LABELS), rng)
    head.weights[...] = rng.normal(0, 1 / np.sqrt(size), head.weights.shape)
    classifier = TrainedClassifier(dataclasses.replace(backbone, note="a note"), head, LABELS, "final_result")
    write_graph(classifier, str(folder / "retrained_graph.pb"))
    names = [str(photo) for photo in photos]
    paths = {"training": names, "validation": [], "testing": names}
    conversions = Conversions(lambda: classifier_graph(classifier), classifier.description, paths)
    for format in formats:
        conversions.write(format, str(folder / "retrained_graph.pb"))
    conversions.write_saved_model(str(folder / "saved"))
    return Exported(folder, classifier.description, tuple(conversions.reports))
