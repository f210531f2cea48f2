"""What a run found and wrote."""

from dataclasses import dataclass

from retrain.evaluation import Evaluation
from retrain.export.agreement import Export


@dataclass(frozen=True)
class RetrainResult:
    """What a run found and wrote.

    Attributes:
        labels: one a class, in class order.
        architecture: the network that was used.
        note: set where it is not the one that was meant.
        n_images: images in each set, by `training`, `validation`, `testing`; skipped ones are not counted.
        skipped: the reason for each image that could not be decoded, by path.
        n_bottlenecks_made, n_bottlenecks_read: how many were made, and how many were found in the cache.
        train_accuracy, validation_accuracy: of the last evaluation, 0 to 1; None if there was none.
        test: accuracy, cross entropy, confusion counts on the testing set; None if it has no image.
        test_before_fine_tuning: the same with the network as it came; None without fine-tuning or without test images.
        misclassified: path and predicted label of the test images that were labelled wrongly.
        output_graph, output_labels: the files written.
        saved_model_dir: the SavedModel's folder, if one was asked for.
        exports: the files of `--export` and the SavedModel, each with its agreement with the graph on some photos.
        checkpoint_path: prefix of the checkpoint's files.
        n_trained_numbers: weights and biases of the head.
        summaries_dir, bottleneck_dir: the folders of the summaries and of the cache.
        seconds: wall time of each phase, by `bottlenecks`, `training`, `fine_tuning` if there is any, `evaluation`, `export`.
    """

    labels: tuple[str, ...]
    architecture: str
    note: str
    n_images: dict[str, int]
    skipped: dict[str, str]
    n_bottlenecks_made: int
    n_bottlenecks_read: int
    train_accuracy: float | None
    validation_accuracy: float | None
    test: Evaluation | None
    test_before_fine_tuning: Evaluation | None
    misclassified: tuple[tuple[str, str], ...]
    output_graph: str
    output_labels: str
    saved_model_dir: str | None
    exports: tuple[Export, ...]
    checkpoint_path: str
    n_trained_numbers: int
    summaries_dir: str
    bottleneck_dir: str
    seconds: dict[str, float]

    @property
    def test_accuracy(self) -> float | None:
        """Share of the test images labelled right, 0 to 1; None without test images."""
        return self.test.accuracy if self.test else None
