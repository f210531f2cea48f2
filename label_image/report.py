"""Reports of classifications: text, JSON or CSV."""

import csv
import io
import json
from collections.abc import Sequence

from label_image.classify import Classification
from retrain.errors import shown


def as_text(answers: Sequence[Classification]) -> str:
    """Return the original's lines for one image; for several, the same lines below the path of each image."""
    if len(answers) == 1:
        return "\n".join([f"Evaluation time (1-image): {answers[0].seconds:.3f}s", "", *_label_lines(answers[0])]) + "\n"
    parts = ["\n".join([shown(answer.path or ""), *_label_lines(answer)]) for answer in answers]
    if answers:
        mean = sum(answer.seconds for answer in answers) / len(answers)
        parts.append(f"Evaluation time (1-image): {mean:.3f}s")
    return "\n\n".join(parts) + "\n"


def as_json(answers: Sequence[Classification]) -> str:
    """Return a list with an object for each image: `image`, and `predictions`, a list of `label` and `score`."""
    return json.dumps([answer.to_dict() for answer in answers], indent=2) + "\n"


def as_csv(answers: Sequence[Classification]) -> str:
    """Return a line for each image and label, with the columns image, rank (from 1), label, score."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["image", "rank", "label", "score"])
    for answer in answers:
        for rank, (label, score) in enumerate(zip(answer.labels, answer.scores, strict=True), start=1):
            writer.writerow([answer.path, rank, label, f"{score:.7f}"])
    return table.getvalue()


NO_LABEL = "no label is above its threshold"
FORMATS = {"text": as_text, "json": as_json, "csv": as_csv}


def _label_lines(answer: Classification) -> list[str]:
    lines = [f"{label} (score={score:.5f})" for label, score in zip(answer.labels, answer.scores, strict=True)]
    return lines or [NO_LABEL]
