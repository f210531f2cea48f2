"""Writes the classifier as it stands, in every format that was asked for."""

import logging
import os
from collections.abc import Mapping, Sequence

from tensorflow.core.framework.graph_pb2 import GraphDef

from retrain.backbones.backbone import Backbone
from retrain.export.conversions import Exports
from retrain.export.frozen_graph import retrained_graph
from retrain.export.saved_model import write_saved_model
from retrain.files import write_atomically
from retrain.head.model import SoftmaxHead

logger = logging.getLogger("retrain")


class Exporter:
    """A network and a head that is being trained.

    Attributes:
        description: what the exported graph says about itself.
    """

    def __init__(self, backbone: Backbone, head: SoftmaxHead, labels: tuple[str, ...], final_tensor_name: str, note: str) -> None:
        """
        Args:
            backbone: the network.
            head: is written as it is at each call.
            labels: one a class, in class order.
            final_tensor_name: the output's name.
            note: is put into the graph's description.
        """
        self._backbone, self._head, self._final_tensor_name = backbone, head, final_tensor_name
        self.description = backbone.architecture.describe(labels, f"{final_tensor_name}:0", note)

    def graph(self) -> GraphDef:
        """The network with the head as it stands."""
        return retrained_graph(
            self._backbone.graph_def, self._backbone.architecture, self._head.layers, self._final_tensor_name, self.description
        )

    def write_graph(self, path: str) -> None:
        """Writes the frozen graph. Raises OSError."""
        write_atomically(path, self.graph().SerializeToString(deterministic=True), durable=True)

    def write_intermediate(self, folder: str, step: int) -> None:
        """Writes `intermediate_<step>.pb` into `folder`. Raises OSError."""
        path = os.path.join(folder, f"intermediate_{step}.pb")
        logger.info("Save intermediate result to : %s", path)
        self.write_graph(path)

    def write_labels(self, path: str) -> None:
        """Writes the labels, one a line. Raises OSError."""
        write_atomically(path, "".join(f"{label}\n" for label in self.description.labels).encode(), durable=True)

    def write_saved_model(self, folder: str) -> None:
        """Writes a SavedModel. Raises OutputError."""
        write_saved_model(folder, self.graph(), self.description)

    def exports(self, paths: Mapping[str, Sequence[str]]) -> Exports:
        """The graph as it stands, for other runtimes; `paths` are the photos of each set."""
        return Exports(self.graph, self.description, paths)
