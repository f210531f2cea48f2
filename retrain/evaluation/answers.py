"""The answers of a classifier, image by image: its mistakes, the worst first, and what it confuses."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from retrain.arrays import FloatArray, Targets
from retrain.data.image_list import BETWEEN_LABELS
from retrain.errors import RetrainError, counted, shown
from retrain.evaluation.intervals import few_images_warning, wilson_interval
from retrain.evaluation.metrics import Evaluation, evaluate
from retrain.evaluation.multi_label import MultiLabelEvaluation, evaluate_labels, labels_table, percent

if TYPE_CHECKING:
    import pandas

WIDEST_MATRIX = 20  # Classes; of more, the pairs that are confused are listed.
MOST_PAIRS = 20
COLUMNS = ("path", "label", "prediction", "score", "correct")


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one image.

    Attributes:
        path: of the image.
        label: the true label; several are joined by `|`.
        prediction: the predicted label; several are joined by `|`, and there may be none.
        score: the probability of the predicted label; of several labels, of the one that is most wrong.
        wrongness: the score of a wrong prediction, 0 of a right one; of several labels, the largest difference between a
            probability and the truth, which is 0 or 1.
    """

    path: str
    label: str
    prediction: str
    score: float
    wrongness: float

    @property
    def is_correct(self) -> bool:
        """True if exactly the true labels are predicted."""
        return self.label == self.prediction


@dataclass(frozen=True)
class Report:
    """The measures of a classifier on some images, and its answers.

    Attributes:
        labels: C labels.
        measures: accuracy and the like.
        answers: one for each image.
        scores: probability of each label for each image, in the same order, float32 [N, C].
    """

    labels: tuple[str, ...]
    measures: Evaluation | MultiLabelEvaluation
    answers: tuple[Answer, ...]
    scores: FloatArray

    @property
    def mistakes(self) -> tuple[Answer, ...]:
        """The wrong answers, the worst first."""
        return tuple(sorted((each for each in self.answers if not each.is_correct), key=lambda each: -each.wrongness))

    @property
    def most_confident(self) -> tuple[Answer, ...]:
        """The correct answers, the most confident first: those whose probabilities are closest to the truth."""
        correct = [each for each in self.answers if each.is_correct]
        return tuple(sorted(correct, key=lambda each: (each.wrongness, -each.score)))

    @property
    def few_images_warning(self) -> str:
        """A warning if the images are too few to tell much, as `intervals.few_images_warning`; empty for several labels."""
        if isinstance(self.measures, MultiLabelEvaluation):
            return ""
        return few_images_warning(self.labels, self.measures.n_images, self.measures.n_correct, self.measures.count)

    def to_text(self) -> str:
        """Return all of it as text, without a line break at the end."""
        parts = [f"{self._head()}\nCross entropy = {self.measures.cross_entropy:.6f}", self.class_table()]
        if isinstance(self.measures, Evaluation):
            parts.append(_confusion_text(self.labels, self.measures))
        if mistakes := self.mistakes_text():
            parts.append(mistakes)
        return "\n\n".join(parts)

    def mistakes_text(self, most: int | None = None) -> str:
        """Return a line for each mistake, or for the first `most`, below the number of all; an empty text if there are none."""
        mistakes = self.mistakes
        if not mistakes:
            return ""
        rows = [("label", "prediction", "score", "image")]
        rows += [(each.label, each.prediction or "-", f"{each.score:.5f}", shown(each.path)) for each in mistakes[:most]]
        widths = [max(len(row[column]) for row in rows) for column in range(3)] + [0]
        lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)) for row in rows]
        has_several = isinstance(self.measures, MultiLabelEvaluation)
        one, several = ("image with wrong labels", "images with wrong labels") if has_several else ("mistake", "mistakes")
        order = "" if len(mistakes) == 1 else ", the worst first"
        return "\n".join([f"{counted(len(mistakes), one, several)}{order}:", *lines])

    def class_table(self) -> str:
        """Return a line for each class: its number of images, recall and precision; of several labels, F1 and AP too."""
        if isinstance(self.measures, MultiLabelEvaluation):
            return labels_table(self.labels, self.measures)
        width, found = max(map(len, self.labels)), self.measures
        columns = found.n_images.tolist(), found.recall.tolist(), found.precision.tolist()
        lines = [
            f"{label:{width}}  {count:6d}  {percent(recall):>6}  {percent(precision):>9}"
            for label, count, recall, precision in zip(self.labels, *columns, strict=True)
        ]
        return "\n".join([f"{'':{width}}  images  recall  precision", *lines])

    def class_rows(self, most: int | None = None) -> list[dict[str, Any]]:
        """Return label, number of images, recall and precision of each class, by name; of several labels, F1 and AP too.

        Of more than `most` classes, it is those with the lowest recall, the lowest first. A share of nothing is None.
        """
        found = self.measures
        columns = {"images": found.n_images, "recall": found.recall, "precision": found.precision}
        if isinstance(found, MultiLabelEvaluation):
            columns |= {"f1": found.f1, "average_precision": found.average_precision}
        table = {name: column.tolist() for name, column in columns.items()}
        rows = [
            {"label": label, **{name: _number(column[index]) for name, column in table.items()}}
            for index, label in enumerate(self.labels)
        ]
        if most is None or len(rows) <= most:
            return rows
        return sorted(rows, key=lambda row: math.inf if row["recall"] is None else row["recall"])[:most]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as values for JSON. A share of nothing, such as the recall of a class without images, is None."""
        found = self.measures
        values: dict[str, Any] = {"accuracy": found.accuracy, "cross_entropy": found.cross_entropy, "count": found.count}
        if isinstance(found, Evaluation):
            values["accuracy_interval"] = list(wilson_interval(found.n_correct, found.count))
        else:
            values["mean_average_precision"] = _number(found.mean_average_precision)
        values["classes"] = self.class_rows()
        if isinstance(found, Evaluation):
            values["confusion"] = found.confusion.tolist()
        values["images"] = [_values(each) for each in self.answers]
        values["mistakes"] = [_values(each) for each in self.mistakes]
        return values

    def to_csv(self) -> str:
        """Return a line for each image: path, label, prediction, score, correct; the mistakes first, the worst of them first."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for each in (*self.mistakes, *(answer for answer in self.answers if answer.is_correct)):
            writer.writerow([each.path, each.label, each.prediction, f"{each.score:.5f}", str(each.is_correct).lower()])
        return text.getvalue()

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a row for each image: path, label, prediction, score, correct, and the score of each label as `score_<label>`.

        Raises:
            RetrainError: pandas is not installed.
        """
        frame = _pandas().DataFrame([_values(each) for each in self.answers], columns=COLUMNS)
        for index, label in enumerate(self.labels):
            frame[f"score_{label}"] = self.scores[:, index]
        return frame

    def classes_to_pandas(self) -> "pandas.DataFrame":
        """Return a row for each class, by its label, with the columns of `class_table`.

        Raises:
            RetrainError: pandas is not installed.
        """
        return _pandas().DataFrame(self.to_dict()["classes"]).set_index("label")

    def _head(self) -> str:
        if isinstance(self.measures, MultiLabelEvaluation):
            return f"mAP = {percent(self.measures.mean_average_precision)} (N={self.measures.count})"
        return f"Accuracy = {self.measures.accuracy:.1%} (N={self.measures.count})"


def measure(logits: FloatArray, targets: Targets, thresholds: Sequence[float] = ()) -> Evaluation | MultiLabelEvaluation:
    """Compare logits, float32 [N, C], with classes, int64 [N], or with the targets of several labels, float32 [N, C]; N > 0."""
    return evaluate_labels(logits, targets, thresholds) if targets.ndim == 2 else evaluate(logits, targets)


def make_report(
    labels: Sequence[str], paths: Sequence[str], measures: Evaluation | MultiLabelEvaluation, scores: FloatArray, targets: Targets
) -> Report:
    """Return the report on N images.

    Args:
        labels: C labels.
        paths: of the images.
        measures: of the same images, in the same order.
        scores: probabilities, float32 [N, C].
        targets: the classes, int64 [N]; of several labels float32 [N, C], 1 for each label that an image has.
    """
    if isinstance(measures, MultiLabelEvaluation):
        wrong = np.abs(scores - targets)
        worst = wrong.argmax(axis=1)
        rows = zip(paths, targets > 0, measures.predicted, worst.tolist(), strict=True)
        answers = tuple(
            Answer(path, _joined(labels, true), _joined(labels, found), float(scores[n, label]), float(wrong[n, label]))
            for n, (path, true, found, label) in enumerate(rows)
        )
        return Report(tuple(labels), measures, answers, scores)
    numbers = zip(paths, targets.tolist(), measures.predicted.tolist(), scores, strict=True)
    answers = tuple(
        Answer(path, labels[true], labels[found], float(row[found]), 0.0 if found == true else float(row[found]))
        for path, true, found, row in numbers
    )
    return Report(tuple(labels), measures, answers, scores)


def _confusion_text(labels: Sequence[str], found: Evaluation) -> str:
    """Return the confusion matrix; of many classes, the pairs that are confused most."""
    if len(labels) <= WIDEST_MATRIX:
        width = max(map(len, labels))
        widths = [max(len(label), len(str(found.confusion[:, column].max()))) for column, label in enumerate(labels)]
        heads = "  ".join(f"{label:>{size}}" for label, size in zip(labels, widths, strict=True))
        lines = [
            f"{label:{width}}  " + "  ".join(f"{count:{size}d}" for count, size in zip(row, widths, strict=True))
            for label, row in zip(labels, found.confusion.tolist(), strict=True)
        ]
        return "\n".join(
            ["Confusion matrix: a row for each label, a column for each prediction", f"{'':{width}}  {heads}", *lines]
        )
    lines = [
        f"{count:6d}  {labels[row]} predicted as {labels[column]}" for row, column, count in found.confused_pairs[:MOST_PAIRS]
    ]
    return "\n".join(["Most confused:", *lines]) if lines else "Nothing is confused."


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise RetrainError("Data frames need pandas. Install it with this project: pip install '.[pandas]'") from error
    return pandas


def _joined(labels: Sequence[str], marks: Any) -> str:
    return BETWEEN_LABELS.join(label for label, mark in zip(labels, marks, strict=True) if mark)


def _values(answer: Answer) -> dict[str, Any]:
    names = COLUMNS[:-1]
    return {**{name: getattr(answer, name) for name in names}, "correct": answer.is_correct}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
