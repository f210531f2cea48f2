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
TEXT = "text"
GRAPH = "tf_files/retrained_graph.pb"
HOST = "127.0.0.1"
REQUEST_SECONDS = 30.0
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

    image: tuple[str, ...] = flag(IMAGE_HELP, (), shown_default="required without --doctor, --serve", path="PATH", group=INPUT)
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
    serve: bool = flag(
        "Serve a page in the browser that labels photos which are dropped, pasted or taken with the camera, and POST /classify "
        "for programs, until Ctrl-C.",
        False,
        group=INPUT,
    )
    host: str = flag("For --serve: name or address of this machine to listen at; 0.0.0.0 is all of them.", HOST, group=ADVANCED)
    port: int = flag("For --serve: port to listen at.", 0, low=0, high=65535, shown_default="0, any free one", group=ADVANCED)
    request_seconds: float = flag(
        "For --serve: time in seconds within which a request has to arrive as a whole.",
        REQUEST_SECONDS,
        low=0,
        low_open=True,
        high=86400,
        group=ADVANCED,
    )
    top_k: int = flag("Number of labels to print for each image.", 5, low=1, group=OUTPUT)
    output_format: str = flag("Output format.", TEXT, choices=(TEXT, "json", "csv"), group=OUTPUT)

    @cross_check("image", "doctor", "image_dir", "serve")
    def _has_images(self) -> str | None:
        if self.serve:
            return None
        if self.doctor:
            return None if self.image_dir else "--doctor needs labelled photos: set --image_dir."
        if self.image_dir is not None:
            return "--image_dir is only for --doctor: name images with --image."
        return None if self.image else f"--image is required: {IMAGE_HELP}"

    @cross_check("serve", "image", "doctor", "image_dir", "output_format")
    def _serves_alone(self) -> str | None:
        if not self.serve:
            return None
        if self.image:
            return "--image is not for --serve: leave it out, and send the images to the page that --serve opens."
        if self.doctor or self.image_dir is not None:
            return "--doctor and --serve cannot go together, nor --image_dir and --serve: leave one out."
        if self.output_format != TEXT:
            return "--output_format is not for --serve, whose POST /classify always answers JSON: leave it out."
        return None

    @cross_check("serve", "host", "port", "request_seconds")
    def _listens_only_to_serve(self) -> str | None:
        given = {"host": self.host != HOST, "port": self.port != 0, "request_seconds": self.request_seconds != REQUEST_SECONDS}
        names = [f"--{name}" for name, differs in given.items() if differs]
        if self.serve or not names:
            return None
        verb, pronoun = ("are", "them") if len(names) > 1 else ("is", "it")
        return f"{' and '.join(names)} {verb} only for --serve: add --serve, or leave {pronoun} out."

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
