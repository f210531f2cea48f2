"""Generator of the documentation that is made from the code: `python -m scripts.write_docs`.

It writes docs/flags.md, and the table of networks in docs/networks.md.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from label_image.config import LabelConfig
from retrain.config import RetrainConfig
from retrain.evaluation.tables import markdown_table
from retrain.listing import as_table
from retrain.options.command_line import grouped
from retrain.options.flags import default_text, flags_of, range_text
from retrain.sweep.config import SweepConfig

FLAGS_FILE = Path(__file__).resolve().parents[1] / "docs" / "flags.md"
NETWORKS_FILE = FLAGS_FILE.with_name("networks.md")
# The table of networks stands between these two comments.
TABLE = re.compile("(<!-- Made by python -m scripts.write_docs -->).*(<!-- End of that -->)", re.DOTALL)
INTRODUCTION = """# Every flag

This page is generated from the code by `python -m scripts.write_docs`; a test fails if it is out of date.

A wrong value ends the command at once, with exit code 2 and a line for each wrong flag, such as
`error: --validation_percentage must be an integer in [0, 100). Got 120.`

In Python, the same names are the fields of `retrain.RetrainConfig`, and their values are Python values: `hidden_units=(128, 64)`,
`class_weights={"daisy": 2}`, and `None` for a flag that is not given.
"""


# Each command, its configuration, and what is to be said besides.
COMMANDS = (
    ("python -m retrain", RetrainConfig, ""),
    (
        "python -m retrain.sweep",
        SweepConfig,
        "Besides these, a sweep takes the flags of `python -m retrain`, except those for output files, each with several values\n"
        "joined by commas: [heads.md](heads.md#sweeps).\n",
    ),
    ("python -m label_image", LabelConfig, ""),
)


def flags_page() -> str:
    """Return the text of docs/flags.md."""
    parts = [INTRODUCTION]
    for command, config_class, remark in COMMANDS:
        parts += [f"## `{command}`\n", *([remark] if remark else []), *_sections(config_class)]
    return "\n".join(parts)


def _sections(config_class: type) -> Iterator[str]:
    """Yield a table for each group of a configuration's flags, below the heading that `--help` has too; of one group without."""
    groups = grouped(config_class, flags_of(config_class))
    for heading, names in groups.items():
        head = f"### {heading[:1].upper()}{heading[1:]}\n\n" if len(groups) > 1 else ""
        yield f"{head}{_table(config_class, names)}\n"


def _table(config_class: type, names: list[str]) -> str:
    rows = []
    for name in names:
        cells = [flags_of(config_class)[name].help, range_text(config_class, name), default_text(config_class, name)]
        rows.append([f"`--{name}`", *map(_escaped, cells)])
    return markdown_table(["flag", "meaning", "value", "default"], rows)


def _escaped(text: str) -> str:
    """Return the text without characters that Markdown would interpret; a switch has no value on the command line."""
    return text.replace("|", "\\|").replace("[", "\\[").replace("True or False", "a switch")


def networks_page(text: str) -> str:
    """Return the text of docs/networks.md with the table of networks as the code has it."""
    return TABLE.sub(lambda match: f"{match[1]}\n\n{as_table()}\n\n{match[2]}", text)


def main() -> int:
    """Write the pages; return 0."""
    FLAGS_FILE.write_text(flags_page(), encoding="utf-8")
    NETWORKS_FILE.write_text(networks_page(NETWORKS_FILE.read_text(encoding="utf-8")), encoding="utf-8")
    print(FLAGS_FILE, NETWORKS_FILE, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
