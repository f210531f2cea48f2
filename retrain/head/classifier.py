"""The trained classifier: a network, a head on its bottleneck, and labels."""

import dataclasses
from dataclasses import dataclass

from retrain.backbones.backbone import Backbone
from retrain.data.split_record import SplitRecord
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
        split: the photos it is trained on, and those it is tested on; None if they are not known.
    """

    backbone: Backbone
    head: SoftmaxHead
    labels: tuple[str, ...]
    final_tensor_name: str
    thresholds: tuple[float, ...] = ()
    split: SplitRecord | None = None

    @property
    def description(self) -> Description:
        """Metadata of the exported graph."""
        about = self.backbone.architecture.describe(self.labels, f"{self.final_tensor_name}:0", self.backbone.note)
        about = dataclasses.replace(about, thresholds=self.thresholds)
        if self.split is None:
            return about
        return dataclasses.replace(about, split_digest=self.split.digest, training_photos=self.split.training_photos)
