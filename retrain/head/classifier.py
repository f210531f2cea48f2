"""The trained classifier: a network, a head on its bottleneck, and labels."""

import dataclasses
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
        thresholds: for images with several labels, the probability from which each label counts; else empty.
    """

    backbone: Backbone
    head: SoftmaxHead
    labels: tuple[str, ...]
    final_tensor_name: str
    thresholds: tuple[float, ...] = ()

    @property
    def description(self) -> Description:
        """Metadata of the exported graph."""
        about = self.backbone.architecture.describe(self.labels, f"{self.final_tensor_name}:0", self.backbone.note)
        return dataclasses.replace(about, thresholds=self.thresholds)
