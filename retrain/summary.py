"""The summary of a run on a terminal: how good the classifier is, what it confuses, what was written, and what to do next."""

import shlex
from collections.abc import Iterator

import numpy as np

from retrain.errors import shown
from retrain.evaluation.answers import Report
from retrain.evaluation.intervals import wilson_interval
from retrain.evaluation.metrics import Evaluation
from retrain.result import RetrainResult

MOST_NAMED = 5  # Mistakes and skipped images.
MOST_CLASSES = 20
MOST_PAIRS = 3


def summary_text(result: RetrainResult) -> str:
    """Return the summary, without a line break at the end."""
    parts = [*(_test(result.report) if result.report else ["There are no test images: the accuracy is not measured."])]
    if result.skipped:
        count = len(result.skipped)
        lines = [f"  {shown(path)}: {reason}" for path, reason in list(result.skipped.items())[:MOST_NAMED]]
        parts.append("\n".join([f"Skipped, since they cannot be decoded: {count}", *lines, *_rest(count)]))
    written = result.files
    if result.output_report:
        written["report"] = result.output_report
    width = max(map(len, written))
    parts.append("\n".join(["Written:", *(f"  {name:{width}}  {shown(path)}" for name, path in written.items())]))
    commands = [result.labelling_command, shlex.join(["tensorboard", "--logdir", result.summaries_dir])]
    parts.append("\n".join(["Next:", *(f"  {command}" for command in commands)]))
    return "\n\n".join(parts)


def _test(report: Report) -> Iterator[str]:
    measures = report.measures
    if isinstance(measures, Evaluation):
        low, high = wilson_interval(measures.n_correct, measures.count)
        yield (
            f"Test accuracy: {measures.accuracy:.1%} of {measures.count} images; of others, between {low:.1%} and {high:.1%} "
            "(95% interval)"
        )
    else:
        yield f"Test mAP: {measures.mean_average_precision:.1%} of {measures.count} images"
    heads, *rows = report.class_table().splitlines()
    if len(rows) > MOST_CLASSES:
        lowest = np.argsort(measures.recall, kind="stable")[:MOST_CLASSES]  # NaN, of classes without images, comes last.
        rows = [*(rows[index] for index in lowest), f"and {len(rows) - MOST_CLASSES} more classes, with a higher recall"]
    yield "\n".join([heads, *rows])
    if isinstance(measures, Evaluation) and (text := _most_confused(report.labels, measures)):
        yield text
    if mistakes := report.mistakes:
        has_one = isinstance(measures, Evaluation)  # Of several labels, one score does not tell which of them it is of.
        lines = [
            f"  {shown(each.path)}: {each.label or 'no label'}, but {each.prediction or 'no label'} was predicted"
            + (f" ({each.score:.2f})" if has_one else "")
            for each in mistakes[:MOST_NAMED]
        ]
        yield "\n".join([f"Mistakes: {len(mistakes)}, the worst first", *lines, *_rest(len(mistakes))])


def _most_confused(labels: tuple[str, ...], measures: Evaluation) -> str:
    """Return a sentence about the classes that are confused most often, the most frequent first; empty if none are."""
    parts = [
        f"{count} of {measures.n_images[true]} {labels[true]} predicted as {labels[found]}"
        for true, found, count in measures.confused_pairs[:MOST_PAIRS]
    ]
    return f"Most often confused: {', '.join(parts)}" if parts else ""


def _rest(count: int) -> list[str]:
    return [f"  and {count - MOST_NAMED} more"] if count > MOST_NAMED else []
