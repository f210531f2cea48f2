"""Writes the parts of the documentation that are made from the code: `python -m scripts.write_docs`."""

import sys
from pathlib import Path

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from label_image.config import LabelConfig
from retrain.config import RetrainConfig
from retrain.options.flags import default_text, flags_of, range_text

FLAGS_FILE = Path(__file__).resolve().parents[1] / "docs" / "flags.md"
INTRODUCTION = """# Every flag

Made from the code by `python -m scripts.write_docs`; a test fails where this page is out of date.

A wrong value ends the command at once, with exit code 2 and a line for each wrong flag, such as
`error: --validation_percentage must be an integer in [0, 100). Got 120.`
From Python, the same names are the fields of `retrain.RetrainConfig`.
"""


def flags_page() -> str:
    """The text of docs/flags.md."""
    tables = [_table("python -m retrain", RetrainConfig), _table("python -m label_image", LabelConfig)]
    return "\n".join([INTRODUCTION, *tables])


def _table(command: str, config_class: type) -> str:
    rows = []
    for name, flag in flags_of(config_class).items():
        cells = [flag.help, range_text(config_class, name), default_text(config_class, name)]
        rows.append(f"| `--{name}` | {' | '.join(_plain(cell) for cell in cells)} |")
    return "\n".join([f"## `{command}`", "", "| flag | meaning | value | default |", "|---|---|---|---|", *rows, ""])


def _plain(text: str) -> str:
    """Brackets and bars would be read as markup."""
    return text.replace("|", "\\|").replace("[", "\\[").replace("True or False", "a switch")


def main() -> int:
    """Writes the pages; returns 0."""
    FLAGS_FILE.write_text(flags_page(), encoding="utf-8")
    print(FLAGS_FILE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
