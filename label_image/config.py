"""The configuration of a labelling: its fields are the flags of `python -m label_image`."""

from dataclasses import dataclass

from retrain.backbones.catalog import find_architecture
from retrain.errors import FlagError
from retrain.graphdef.description import LARGEST_SIZE
from retrain.options.flags import check, flag

FROM_GRAPH = "as the graph says"
GRAPH = "tf_files/retrained_graph.pb"


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """What to label, with which graph. Fields that are None are found out from the graph; the others always win.

    Raises:
        FlagError: one line for each field whose value is not allowed.
    """

    image: tuple[str, ...] = flag("Images to label; a folder stands for all images below it.")
    graph: str | None = flag(
        "The trained graph: a frozen graph (.pb), a SavedModel's folder, or a .tflite or .onnx file.", None, shown_default=GRAPH
    )
    architecture: str | None = flag(
        "Label with a network's own 1,000 classes of ImageNet, without a trained graph: inception_v3 or a mobilenet.",
        None,
        shown_default="the graph is used",
    )
    model_dir: str = flag("Folder of the networks' archives; a missing archive is downloaded into it.", "/tmp/imagenet")
    model_url_base: str | None = flag(
        "Address of a mirror: the archive's file name is appended to it.", None, shown_default="each network's own"
    )
    labels: str | None = flag(
        "File of the labels, one a line.", None, shown_default="as the graph says, else the file beside it that is named like it"
    )
    input_height: int | None = flag("Height of the input, in pixels.", None, low=1, high=LARGEST_SIZE, shown_default=FROM_GRAPH)
    input_width: int | None = flag("Width of the input, in pixels.", None, low=1, high=LARGEST_SIZE, shown_default=FROM_GRAPH)
    input_mean: float | None = flag("Grey level that the input has as 0.", None, shown_default=FROM_GRAPH)
    input_std: float | None = flag("Grey levels that the input has as 1.", None, low=0, low_open=True, shown_default=FROM_GRAPH)
    input_layer: str | None = flag("Name of the input in the graph.", None, shown_default=FROM_GRAPH)
    output_layer: str | None = flag("Name of the output in the graph.", None, shown_default=FROM_GRAPH)
    allow_file_ops: bool = flag("Run a graph even if it has operations that read or write files.", False)
    top_k: int = flag("How many labels to print for each image.", 5, low=1)
    output_format: str = flag("How to print them.", "text", choices=("text", "json", "csv"))

    def __post_init__(self) -> None:
        check(self)
        if self.architecture is not None:
            find_architecture(self.architecture)
            if self.graph is not None:
                raise FlagError(
                    f"--graph and --architecture cannot go together. Got {self.graph} and {self.architecture}: leave one out."
                )
