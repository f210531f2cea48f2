"""The architecture: imports run one way through the packages, stages see their own options, modules and functions stay small."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

# The order of the packages, as the data flows. A module imports from its own package and from those before it.
ORDER = [
    "retrain.errors",
    "retrain.files",
    "retrain.arrays",
    "retrain.input_spec",
    "retrain.process",
    "retrain.options",
    "retrain.graphdef",
    "retrain.data",
    "retrain.engines",
    "retrain.backbones",
    "retrain.config",
    "retrain.bottlenecks",
    "retrain.evaluation",
    "retrain.tensorboard",
    "retrain.head",
    "retrain.fine_tuning",
    "retrain.runtimes",
    "retrain.export",
    "retrain.runs",
    "retrain.result",
    "retrain.summary",
    "retrain.report",
    "retrain.preflight",
    "retrain.pipeline",
    "retrain.api",
    "retrain.listing",
    "retrain.__main__",
    "retrain.sweep",
    "label_image",
    "scripts",
]
# The record of how the bundled network was trained, which lies beside it; not part of a package.
NO_MODULES = [ROOT / "retrain/backbones/tiny_resnet_128/train.py"]
KNOW_THE_WHOLE_CONFIG = (
    "retrain.runs",
    "retrain.report",  # It shows all settings.
    "retrain.preflight",
    "retrain.tensorboard.pages",
    "retrain.report",
    "retrain.pipeline",
    "retrain.api",
    "retrain.__main__",
    "retrain.sweep",
    "scripts",
)
# Programs and modules that answer --help and wrong flags: all that they import at once is the standard library and each other.
ANSWER_FIRST = ["retrain", "retrain.config", "retrain.__main__", "label_image", "label_image.config", "label_image.__main__"]
MOST_LINES = 300
MOST_PARAMETERS = 5
# At most five, each with its reason.
LONG_MODULES: dict[str, str] = {}
MANY_PARAMETERS: dict[str, str] = {}


def modules() -> dict[str, Path]:
    """Return every module and package of the project, by its dotted name."""
    found = {}
    for top in ("retrain", "label_image", "scripts"):
        for path in sorted((ROOT / top).rglob("*.py")):
            if path not in NO_MODULES:
                parts = path.relative_to(ROOT).with_suffix("").parts
                found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()
PACKAGES = [name for name, path in MODULES.items() if path.name == "__init__.py"]


def parsed(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def imported(nodes: list[ast.AST], everywhere: bool = True) -> Iterator[str]:
    """Yield the dotted names of imports, except those for type checkers; `everywhere` includes those inside functions."""
    waiting = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, "imports are absolute in this project"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        elif everywhere or not isinstance(node, ast.FunctionDef | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))


def imports_of(module: str) -> set[str]:
    return {name for name in imported([parsed(module)]) if name in MODULES}


def rank(module: str) -> int | None:
    """Return the index in ORDER of the module's package; None for the package `retrain` itself."""
    found = [index for index, name in enumerate(ORDER) if module == name or module.startswith(f"{name}.")]
    return found[0] if found else None


def wrong_imports(module: str, source: str) -> list[str]:
    """Return the imports of a module's text from packages after its own."""
    own = rank(module)
    assert own is not None
    names = {name for name in imported([ast.parse(source)]) if name in MODULES}
    return sorted(name for name in names if (other := rank(name)) is not None and other > own)


def test_every_module_has_its_place_in_the_order() -> None:
    assert [name for name in MODULES if rank(name) is None] == ["retrain"]
    assert all(any(rank(name) == index for name in MODULES) for index in range(len(ORDER)))
    assert len(MODULES) > 90  # An empty search must not pass.
    assert all(path.is_file() and not (path.parent / "__init__.py").exists() for path in NO_MODULES)


def test_imports_run_one_way() -> None:
    wrong = {name: wrong_imports(name, MODULES[name].read_text(encoding="utf-8")) for name in MODULES if name != "retrain"}
    assert {name: found for name, found in wrong.items() if found} == {}


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        ("import retrain.pipeline", ["retrain.pipeline"]),
        ("from retrain.pipeline import run", ["retrain.pipeline"]),
        ("from retrain import pipeline", ["retrain.pipeline"]),
        ("def later():\n    from retrain.head.trainer import train", ["retrain.head.trainer"]),
        ("try:\n    import label_image.opening\nexcept ImportError: pass", ["label_image.opening"]),
        ("from retrain.errors import RetrainError\nfrom retrain.data.decode import decode\nimport os, numpy", []),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from retrain.pipeline import run", []),
    ],
)
def test_a_wrong_import_would_be_found(source: str, wrong: list[str]) -> None:
    assert wrong_imports("retrain.data.sampling", source) == wrong


def test_no_module_imports_itself_through_others() -> None:
    waiting = {name: imports_of(name) - {name} for name in MODULES}
    while ready := [name for name, needed in waiting.items() if not needed & waiting.keys()]:
        for name in ready:
            del waiting[name]
    assert waiting == {}, "these import each other in a circle"


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_a_package_imports_none_of_its_modules(package: str) -> None:
    assert [name for name in imported([parsed(package)], everywhere=False) if name in MODULES] == []


def test_stages_see_their_own_options() -> None:
    users = {name for name in MODULES if "retrain.config" in imports_of(name)}
    assert users, "an empty search must not pass"
    assert {name for name in users if not name.startswith(KNOW_THE_WHOLE_CONFIG)} == set()


def test_nobody_imports_the_tests() -> None:
    tops = {name: {each.partition(".")[0] for each in imported([parsed(name)])} for name in MODULES}
    assert [name for name, found in tops.items() if found & {"tests", "benchmarks"}] == []


def test_what_answers_first_needs_only_the_standard_library() -> None:
    """TensorFlow is loaded by `process.command.load_tensorflow`, after the flags are parsed."""
    needed, waiting = set(ANSWER_FIRST), list(ANSWER_FIRST)
    while waiting:
        for name in imported([parsed(waiting.pop())], everywhere=False):
            if name in MODULES and name not in needed:
                needed.add(name)
                waiting.append(name)
            tops = (name.partition(".")[0],)
            assert name in MODULES or tops[0] in sys.stdlib_module_names, f"{name} is not in the standard library"
    assert {"retrain.options.flags", "retrain.process.command"} <= needed


def test_no_module_is_long() -> None:
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name for name, count in lines.items() if count > MOST_LINES} == set(LONG_MODULES)
    assert len(LONG_MODULES) <= 5


def parameters(function: ast.FunctionDef) -> list[str]:
    """Return the names of all parameters except `self` and `cls`."""
    found = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [argument.arg for argument in found if argument.arg not in ("self", "cls")]


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for module in MODULES:
        for node in ast.walk(parsed(module)):
            if isinstance(node, ast.FunctionDef):
                yield f"{module}.{node.name}", node


def test_functions_have_at_most_five_parameters() -> None:
    counts = {name: len(parameters(node)) for name, node in functions()}
    assert {name for name, count in counts.items() if count > MOST_PARAMETERS} == set(MANY_PARAMETERS)
    assert len(MANY_PARAMETERS) <= 5
    assert max(counts.values()) >= MOST_PARAMETERS, "an empty search must not pass"


def test_only_tests_are_called_test() -> None:
    found = [(name, node) for name, node in functions() if node.name.startswith("test_")]
    assert [name for name, node in found if "property" not in map(ast.unparse, node.decorator_list)] == []
