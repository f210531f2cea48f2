"""The result of a run: what was found, and what was written."""

import dataclasses
import shlex
from dataclasses import dataclass
from typing import Any

from retrain.evaluation.answers import Report
from retrain.evaluation.metrics import Evaluation
from retrain.evaluation.multi_label import MultiLabelEvaluation
from retrain.export.verify import ConversionReport
from retrain.head.overfitting import Measured

OF_THE_TEST = ("report", "test_before_fine_tuning")


@dataclass(frozen=True, kw_only=True, repr=False)
class RetrainResult:
    """Result of a run: what was found, and what was written.

    Attributes:
        labels: the label of each class, in class order.
        architecture: name of the network.
        note: says so if it is not the network that was asked for; else empty.
        n_images: number of images in each set, by `training`, `validation`, `testing`; skipped ones are not counted.
        skipped: reason for each image that could not be decoded, by path.
        n_bottlenecks_made, n_bottlenecks_read: how many bottlenecks were made, and how many were in the cache.
        train_accuracy, validation_accuracy: of the last evaluation, 0 to 1; None if there was none.
        history: the evaluations during the training of the head, in order.
        warnings: of overfitting, with what to do, as the log has them.
        report: the measures on the testing set, and the answer to each of its images; None if it has none.
        test_before_fine_tuning: the same before fine-tuning; None without fine-tuning or without test images.
        output_graph, output_labels, output_split: the files written; the last has the set of each image.
        output_report: the report; None if none was wanted.
        saved_model_dir: the SavedModel's folder, if one was asked for.
        conversions: reports of the files of `--export` and of the SavedModel, each compared with the graph on some photos.
        checkpoint_path: prefix of the checkpoint's files.
        n_trained_numbers: number of weights and biases of the head.
        summaries_dir, bottleneck_dir: folders of the summaries and of the cache.
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
    history: tuple[Measured, ...]
    warnings: tuple[str, ...]
    report: Report | None
    test_before_fine_tuning: Evaluation | MultiLabelEvaluation | None
    output_graph: str
    output_labels: str
    output_split: str
    output_report: str | None
    saved_model_dir: str | None
    conversions: tuple[ConversionReport, ...]
    checkpoint_path: str
    n_trained_numbers: int
    summaries_dir: str
    bottleneck_dir: str
    seconds: dict[str, float]

    def __repr__(self) -> str:
        shown: dict[str, Any] = {"architecture": self.architecture, "n_images": self.n_images}
        if self.test:
            shown["test_accuracy"] = round(self.test.accuracy, 4)
        shown |= {"validation_accuracy": self.validation_accuracy, "output_graph": self.output_graph}
        return f"RetrainResult({', '.join(f'{name}={value!r}' for name, value in shown.items())}, …)"

    @property
    def test(self) -> Evaluation | MultiLabelEvaluation | None:
        """Accuracy, cross entropy and confusion matrix on the testing set; None if it has no image."""
        return self.report.measures if self.report else None

    @property
    def files(self) -> dict[str, str]:
        """The files of the classifier, by what they are: graph, labels, split, and the formats of its conversions."""
        own = {"graph": self.output_graph, "labels": self.output_labels, "split": self.output_split}
        return own | {each.format: each.path for each in self.conversions}

    @property
    def labelling_command(self) -> str:
        """The command line that labels a photo with the classifier."""
        return shlex.join(["python", "-m", "label_image", "--graph", self.output_graph, "--image", "photo.jpg"])

    @property
    def misclassified(self) -> tuple[tuple[str, str], ...]:
        """Path and predicted label of each misclassified test image."""
        return tuple((each.path, each.prediction) for each in self.report.answers if not each.is_correct) if self.report else ()

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as values for JSON."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name not in OF_THE_TEST}
        values["history"] = [dataclasses.asdict(each) for each in self.history]
        values["conversions"] = [dataclasses.asdict(each) for each in self.conversions]
        values["test"] = self.report.to_dict() if self.report else None
        before = self.test_before_fine_tuning
        values["accuracy_before_fine_tuning"] = before.accuracy if before else None
        return values

    @property
    def test_accuracy(self) -> float | None:
        """Share of the test images that are classified correctly, 0 to 1; None without test images."""
        return self.test.accuracy if self.test else None
