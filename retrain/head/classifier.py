"""The trained classifier: a network, a head on its bottleneck, and labels."""

from dataclasses import dataclass

from retrain.backbones.backbone import Backbone
from retrain.graphdef.description import Description
from retrain.head.model import SoftmaxHead


@dataclass(frozen=True)
class TrainedClassifier:
    """A network and the head that is trained on its bottlenecks.

    Attributes:
        backbone: the network.
        head: the head; while it is trained, its weights change.
        labels: the label of each class, in class order.
        final_tensor_name: name of the output in the exported graph.
    """

    backbone: Backbone
    head: SoftmaxHead
    labels: tuple[str, ...]
    final_tensor_name: str

    @property
    def description(self) -> Description:
        """Metadata of the exported graph."""
        return self.backbone.architecture.describe(self.labels, f"{self.final_tensor_name}:0", self.backbone.note)
