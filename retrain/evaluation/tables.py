"""Markdown tables."""

from collections.abc import Sequence


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
