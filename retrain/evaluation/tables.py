"""Tables: of Markdown, and of the measures of each label."""

import math
from collections.abc import Sequence

from retrain.evaluation.multi_label import MultiLabelEvaluation


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]], aligned: bool = False) -> str:
    """Return a Markdown table, without a newline at the end. Cells are written as they are.

    Args:
        heads: one text per column.
        rows: each one text per column.
        aligned: pad the cells, so that the columns also line up on a terminal.
    """
    widths = [max(map(len, column)) if aligned else 0 for column in zip(heads, *rows, strict=True)]
    rule = ["-" * (width if aligned else 3) for width in widths]
    return "\n".join(_line(cells, widths) for cells in (heads, rule, *rows))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def percent(share: float) -> str:
    """Return a percentage; a dash for the share of nothing, such as the recall of a class without images."""
    return "-" if math.isnan(share) else f"{share:.1%}"


def labels_table(labels: Sequence[str], found: MultiLabelEvaluation) -> str:
    """Return a line for each label: its number of images, precision, recall, F1 and average precision."""
    measures = (found.precision, found.recall, found.f1, found.average_precision)
    width = max(len(label) for label in labels)
    lines = [f"{'':{width}}  images  precision  recall      F1  average precision"]
    for index, label in enumerate(labels):
        precision, recall, f1, average = (percent(measure[index]) for measure in measures)
        lines.append(f"{label:{width}}  {found.n_images[index]:6d}  {precision:>9}  {recall:>6}  {f1:>6}  {average:>17}")
    return "\n".join(lines)
