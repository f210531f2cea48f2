"""Record of a network: its tensors, its input, and what is known of its weights. Everything that concerns a network reads it."""

from dataclasses import dataclass

from retrain.graphdef.description import Description, input_fields
from retrain.input_spec import InputSpec


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Origin of a network's weights, and what was published about it.

    Attributes:
        source: where the weights come from, in a few words.
        licence: of the weights; empty if their publisher does not state one.
        parameters: number of weights and biases, in millions as published; None if it is not known.
        top_1, top_5: published accuracy on ImageNet's validation set, in percent; None if none is known.
        accuracy_source: where these were published.
    """

    source: str
    licence: str = ""
    parameters: float | None = None
    top_1: float | None = None
    top_5: float | None = None
    accuracy_source: str = ""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """A network that computes bottlenecks.

    Attributes:
        name: as in `--architecture` or `--tfhub_module`; `cache_name` makes it fit for the names of cached bottlenecks.
        input_tensor: takes float32 [N, H, W, 3].
        bottleneck_tensor: the exported head's input, [N, D].
        batch_tensor: the tensor to fetch for a batch; differs from `bottleneck_tensor` if that one is frozen at one image.
        bottleneck_size: D.
        input_spec: the input settings.
        graph_file: the GraphDef's path inside the archive, or of the bundled or local file; else its name in messages.
        archive: the file name of what is downloaded; empty if nothing is.
        urls: addresses of the archive, tried in this order.
        digest: of the archive, in hexadecimal: SHA-256, or MD5 where its publisher states only that; empty if it is not known.
        class_tensor: the network's own output, probabilities of ImageNet's classes; empty if it has none.
        label_files: the files in the archive that name these classes; none if they are in ImageNet's order.
        learning_rate_scale: factor of the head's default learning rate. Bottlenecks of a small norm make small gradients.
        provenance: of the weights; None for a user's own network.
    """

    name: str
    input_tensor: str
    bottleneck_tensor: str
    batch_tensor: str
    bottleneck_size: int
    input_spec: InputSpec
    graph_file: str
    archive: str = ""
    urls: tuple[str, ...] = ()
    digest: str = ""
    class_tensor: str = ""
    label_files: tuple[str, ...] = ()
    learning_rate_scale: float = 1.0
    provenance: Provenance | None = None

    def describe(self, labels: tuple[str, ...], output_tensor: str, note: str = "") -> Description:
        """Return the metadata of a classifier whose network is this one."""
        return Description(
            labels=labels,
            input_tensor=self.input_tensor,
            **input_fields(self.input_spec),
            output_tensor=output_tensor,
            architecture=self.name,
            note=note,
        )
