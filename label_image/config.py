"""The configuration of labelling: its fields are the flags of `python -m label_image`."""

import os
from dataclasses import dataclass

from retrain.backbones.catalog import find_architecture
from retrain.errors import FlagError
from retrain.graphdef.file_kind import MODEL_ENDINGS
from retrain.options.engine import EngineOptions
from retrain.options.export import RUNS_DIR
from retrain.options.flags import cross_check, flag
from retrain.options.groups import ADVANCED, INPUT, NETWORK, OUTPUT
from retrain.options.network import ArchiveOptions
from retrain.options.network_input import FROM_METADATA, NetworkInputOptions
from retrain.options.process import ProgressOptions
from retrain.options.stray_arguments import Positional

IMAGE_HELP = "Images to label; a folder stands for all images below it."
GRAPH = "tf_files/retrained_graph.pb"
# Images that are given without their flag.
IMAGE_ARGUMENTS = Positional(
    "image",
    lambda path: os.path.exists(path) and not path.lower().endswith(MODEL_ENDINGS),
    "an existing image or folder",
    several=True,
    other_flags=dict.fromkeys(MODEL_ENDINGS, "graph"),
)


@dataclass(frozen=True, kw_only=True)
class ClassifierOptions(NetworkInputOptions, EngineOptions, group=NETWORK):
    """Options of a classifier. None uses the metadata of the graph, or else an inferred value."""

    output_layer: str | None = flag("Name of the output in the graph.", None, shown_default=FROM_METADATA, group=ADVANCED)
    labels: str | None = flag(
        "File of the labels, one per line.",
        None,
        shown_default="in the graph's metadata, or in a file beside it: labels.txt or graph_labels.txt for graph.pb",
        path="FILE",
    )
    allow_file_ops: bool = flag("Run a graph even if it has operations that read or write files.", False, group=ADVANCED)


@dataclass(frozen=True, kw_only=True)
class LabelConfig(ClassifierOptions, ArchiveOptions, ProgressOptions, group=NETWORK):
    """All settings of labelling.

    Raises:
        FlagError: one line for each field whose value is not allowed.
    """

    image: tuple[str, ...] = flag(IMAGE_HELP, (), shown_default="required, but for --doctor", path="PATH", group=INPUT)
    graph: str | None = flag(
        "The trained graph: a frozen graph (.pb), a SavedModel folder, or a .keras, .h5, .tflite or .onnx file.",
        None,
        shown_default=f"the newest run's in the folder {RUNS_DIR}, or {GRAPH}",
        path="PATH",
    )
    architecture: str | None = flag(
        "Label with a network's own 1,000 ImageNet classes, without a trained graph: efficientnet_lite<0|1|2>, inception_v3 or a "
        "mobilenet.",
        None,
        shown_default="the graph is used",
    )
    doctor: bool = flag(
        "Find the input settings of an old graph: try plausible ones on the labelled photos of --image_dir, show the best, and "
        "write them beside the graph, where they are then read.",
        False,
        group=ADVANCED,
    )
    image_dir: str | None = flag(
        "For --doctor: folder with one folder of photos for each class.",
        None,
        shown_default="required with --doctor",
        path="FOLDER",
        group=ADVANCED,
    )
    top_k: int = flag("Number of labels to print for each image.", 5, low=1, group=OUTPUT)
    output_format: str = flag("Output format.", "text", choices=("text", "json", "csv"), group=OUTPUT)

    @cross_check("image", "doctor", "image_dir")
    def _has_images(self) -> str | None:
        if self.doctor:
            return None if self.image_dir else "--doctor needs labelled photos: set --image_dir."
        if self.image_dir is not None:
            return "--image_dir is only for --doctor: name images with --image."
        return None if self.image else f"--image is required: {IMAGE_HELP}"

    @cross_check("architecture", "graph")
    def _one_classifier(self) -> str | None:
        if self.architecture is None:
            return None
        try:
            find_architecture(self.architecture)
        except FlagError as error:
            return str(error)
        if self.graph is None:
            return None
        return f"--graph and --architecture cannot go together. Got {self.graph} and {self.architecture}: leave one out."
