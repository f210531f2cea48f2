"""Imports run one way: a module imports only modules that stand before it in the order below."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

# From what knows nothing to what knows all. A new module has to be given its place here.
ORDER = [
    # What every stage may use.
    "retrain.errors",
    "retrain.files",
    "retrain.options.flags",
    "retrain.process.interruption",
    "retrain.process.command",
    "retrain.arrays",
    "retrain.input_spec",
    "retrain.graphdef.description",
    "retrain.backbones.catalog",
    "retrain.backbones.overrides",
    "retrain.process.precision",
    "retrain.process.device",
    "retrain.options.training",
    "retrain.process.timing",
    "retrain.options.export_formats",
    "retrain.config",
    # image folder → split → decode, resize → network → bottleneck cache
    "retrain.data.image_folder",
    "retrain.data.decode",
    "retrain.data.loader",
    "retrain.data.augment",
    "retrain.backbones.download",
    "retrain.graphdef.rewrite",
    "retrain.graphdef.subgraph",
    "retrain.fine_tuning.variables",
    "retrain.backbones.backbone",
    "retrain.backbones.pixels",
    "retrain.graphdef.input_settings",
    "retrain.graphdef.find_layers",
    "retrain.backbones.local_graph",
    "retrain.backbones.hub.files",
    "retrain.backbones.hub.freeze",
    "retrain.backbones.hub.module",
    "retrain.backbones.load",
    "retrain.bottlenecks.cache",
    "retrain.bottlenecks.parallel_read",
    "retrain.bottlenecks.extract",
    # → training of the head → evaluation
    "retrain.data.sampling",
    "retrain.head.dataset",
    "retrain.head.batches",
    "retrain.head.model",
    "retrain.head.optimizers",
    "retrain.head.trainer",
    "retrain.evaluation.metrics",
    "retrain.evaluation.tensorboard",
    "retrain.head.monitor",
    # → training of the network
    "retrain.fine_tuning.session",
    "retrain.fine_tuning.images",
    "retrain.fine_tuning.monitor",
    "retrain.fine_tuning.loop",
    # → export
    "retrain.export.frozen_graph",
    "retrain.export.saved_model",
    "retrain.head.checkpoint",
    "retrain.graphdef.inference_graph",
    "retrain.export.tflite",
    "retrain.export.onnx",
    "retrain.runtimes.model",
    "retrain.runtimes.tflite",
    "retrain.runtimes.onnx",
    "retrain.runtimes.saved_model",
    "retrain.export.verify",
    "retrain.export.conversions",
    "retrain.export.classifier",
    "retrain.process.output_paths",
    "retrain.head.resume",
    # All of it.
    "retrain.pipeline",
    "retrain.preflight",
    "retrain.head.loop",
    "retrain.pipeline",
    "retrain.__main__",
    "retrain.sweep.plan",
    "retrain.sweep.report",
    "retrain.sweep.train_many",
    "retrain.sweep.workers",
    "retrain.sweep.__main__",
    # → labelling
    "label_image.config",
    "label_image.opening",
    "label_image.imagenet",
    "label_image.classify",
    "label_image.report",
    "label_image.__main__",
    # Programs around the two packages.
    "scripts.environment",
    "scripts.check",
    "scripts.demo",
    "scripts.retrain",
    "scripts.label_image",
    "scripts.make_flowers",
    "scripts.make_digits",
    "scripts.show_image",
    "scripts.count_ops",
    "scripts.graph_pb2tb",
    "scripts.evaluate",
    "scripts.compare_timings",
    "scripts.sweep",
    "scripts.write_docs",
]
# Packages say what they hold; they import nothing that would make importing one of their modules heavy.
PACKAGES = ["retrain", "retrain.backbones", "retrain.export", "retrain.runtimes", "label_image", "scripts"]
# How the bundled network was trained, kept beside it as a record; no part of a package.
NO_MODULES = [ROOT / "retrain/backbones/tiny_resnet_128/train.py"]

MAY_SEE_THE_WHOLE_CONFIG = {
    "retrain.config": {"retrain.preflight", "retrain.head.loop", "retrain.pipeline", "retrain.__main__"},
    "label_image.config": {"label_image.opening", "label_image.imagenet", "label_image.__main__"},
}
# These answer --help, or run before anything heavy is needed: the standard library is all they use.
PURE_PYTHON = [
    "errors",
    "files",
    "flags",
    "command",
    "backbones.catalog",
    "backbones.network_flags",
    "backbones.precision",
    "description",
    "device",
    "training_options",
    "export.formats",
    "timing",
    "interruption",
    "config",
    "input_spec",
    "image_lists",
    "outputs",
    "cli",
    "__main__",
]


def modules() -> dict[str, Path]:
    """Every module and package of the project, by its dotted name."""
    found = {}
    for top in ("retrain", "label_image", "scripts"):
        for path in sorted((ROOT / top).rglob("*.py")):
            if path not in NO_MODULES:
                parts = path.relative_to(ROOT).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported(source: str) -> Iterator[str]:
    """Dotted names of what a module's text imports, wherever in the text, but for type checkers only."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports are written out in full here"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            waiting.extend(ast.iter_child_nodes(node))


def imports_of(module: str) -> set[str]:
    return set(imported(MODULES[module].read_text(encoding="utf-8")))


def wrong_imports(module: str, source: str) -> list[str]:
    """What of the project the module imports although it stands at the same place or after it."""
    allowed = {*ORDER[: ORDER.index(module)], *PACKAGES}
    return sorted(name for name in set(imported(source)) if name in MODULES and name not in allowed)


def test_every_module_has_its_place() -> None:
    assert len(ORDER) == len(set(ORDER))
    assert {*ORDER, *PACKAGES} == set(MODULES), "give a new module its place in ORDER; take out one that is gone"
    assert len(MODULES) > 45  # 50 modules and packages when this was written: an empty search must not pass


def test_what_is_left_out_exists() -> None:
    assert all(path.is_file() and not (path.parent / "__init__.py").exists() for path in NO_MODULES)


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_what_stands_before_it(module: str) -> None:
    assert wrong_imports(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("import retrain.pipeline", ["retrain.pipeline"]),
        ("from retrain.pipeline import run", ["retrain.pipeline"]),
        ("from retrain import pipeline", ["retrain.pipeline"]),
        ("def later():\n    from retrain.head.model import train", ["retrain.head.model"]),
        ("try:\n    import label_image.opening\nexcept ImportError: pass", ["label_image.opening"]),
        ("from retrain.errors import RetrainError\nimport os, numpy", []),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from retrain.pipeline import run", []),
    ],
)
def test_a_wrong_import_would_be_found(source: str, wrong: list[str]) -> None:
    assert wrong_imports("retrain.data.sampling", source) == wrong


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_none_of_its_modules(package: str) -> None:
    assert [name for name in imports_of(package) if name in MODULES] == []


def test_training_knows_nothing_of_labelling_and_neither_of_scripts() -> None:
    for module in MODULES:
        tops = {name.partition(".")[0] for name in imports_of(module)}
        if module.startswith("retrain"):
            assert not tops & {"label_image", "scripts"}, module
        if module.startswith("label_image"):
            assert "scripts" not in tops, module


@pytest.mark.parametrize("config", MAY_SEE_THE_WHOLE_CONFIG)
def test_stages_take_plain_values(config: str) -> None:
    users = {module for module in MODULES if not module.startswith("scripts") and config in imports_of(module)}
    assert users == MAY_SEE_THE_WHOLE_CONFIG[config]


def test_nobody_imports_the_tests() -> None:
    assert [module for module in MODULES if any(name.partition(".")[0] == "tests" for name in imports_of(module))] == []


@pytest.mark.parametrize("name", PURE_PYTHON)
def test_what_answers_first_needs_only_the_standard_library(name: str) -> None:
    """TensorFlow is loaded by `command.load_tensorflow`, when it is called; the pipeline by `cli`, after the flags are read."""
    text = MODULES[f"retrain.{name}"].read_text(encoding="utf-8")
    at_the_top = [node for node in ast.parse(text).body if isinstance(node, ast.Import | ast.ImportFrom)]
    needed = set(imported("\n".join(map(ast.unparse, at_the_top))))
    tops = {top for top in (name.partition(".")[0] for name in needed) if top not in sys.stdlib_module_names}
    assert tops <= {"retrain"}
    assert {name.partition(".")[2] for name in needed if name.startswith("retrain.")} <= set(PURE_PYTHON)
