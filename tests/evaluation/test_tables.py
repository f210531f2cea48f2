"""Markdown tables."""

import pytest

from retrain.evaluation.tables import markdown_table


def test_a_table() -> None:
    expected = "| phase | seconds |\n| --- | --- |\n| training | 1.50 |\n| export |  |"
    assert markdown_table(["phase", "seconds"], [["training", "1.50"], ["export", ""]]) == expected


def test_an_aligned_table() -> None:
    expected = "| l2    | seeds |\n| ----- | ----- |\n| 0     | 3     |\n| 0.001 | 12    |"
    assert markdown_table(["l2", "seeds"], [["0", "3"], ["0.001", "12"]], aligned=True) == expected


def test_an_aligned_column_is_as_narrow_as_its_widest_cell() -> None:
    assert markdown_table(["a", ""], [["b", ""]], aligned=True) == "| a |  |\n| - |  |\n| b |  |"


def test_a_table_without_rows() -> None:
    assert markdown_table(["phase"], []) == "| phase |\n| --- |"
    assert markdown_table(["phase"], [], aligned=True) == "| phase |\n| ----- |"


@pytest.mark.parametrize("aligned", [False, True])
def test_a_row_of_another_length_is_an_error(aligned: bool) -> None:
    with pytest.raises(ValueError):
        markdown_table(["a", "b"], [["1"]], aligned)
