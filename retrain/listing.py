"""List of the networks by name: `python -m retrain --list_architectures`, and the table in docs/networks.md."""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from retrain.backbones.architecture import Architecture
from retrain.backbones.catalog import architecture_names, find_architecture
from retrain.errors import FlagError
from retrain.evaluation.tables import markdown_table

FORMS = TABLE, JSON = "table", "json"
HEADS = ("--architecture", "input", "bottleneck", "million parameters", "ImageNet top-1", "weights", "licence")


class ListArchitectures(argparse.Action):
    """Option that prints the list and ends the program, as `--help` does."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, option_string: str | None = None
    ) -> None:
        if values not in FORMS:
            raise FlagError(f"--list_architectures must be one of {', '.join(FORMS)}. Got {values}.")
        print(as_json() if values == JSON else as_table(aligned=True))
        parser.exit()


def add_list_option(parser: argparse.ArgumentParser) -> None:
    """Add `--list_architectures [table|json]` to a parser."""
    parser.add_argument(
        "--list_architectures",
        action=ListArchitectures,
        nargs="?",
        const=TABLE,
        metavar="FORMAT",
        help="Print all networks by name, with what is known of each, as a table or as json, and exit.",
    )


def as_table(aligned: bool = False) -> str:
    """Return a Markdown table of all networks."""
    return markdown_table(HEADS, [_cells(each) for each in _architectures()], aligned)


def as_json() -> str:
    """Return a JSON list of all networks: the fields of `Architecture`, of its input and of its provenance."""
    return json.dumps([_values(each) for each in _architectures()], indent=2, ensure_ascii=False)


def _architectures() -> Sequence[Architecture]:
    return [find_architecture(name) for name in architecture_names()]


def _cells(architecture: Architecture) -> list[str]:
    spec, provenance = architecture.input_spec, architecture.provenance
    known = ["", "", "", ""]
    if provenance:
        parameters = "" if provenance.parameters is None else f"{provenance.parameters:g}"
        top_1 = "" if provenance.top_1 is None else f"{provenance.top_1:.1f}%"
        known = [parameters, top_1, provenance.source, provenance.licence]
    return [architecture.name, f"{spec.height} × {spec.width}, {spec.resize}", str(architecture.bottleneck_size), *known]


def _values(architecture: Architecture) -> dict[str, Any]:
    values = dataclasses.asdict(architecture)
    del values["graph_file"]  # A path on this machine, for the bundled network.
    return values
