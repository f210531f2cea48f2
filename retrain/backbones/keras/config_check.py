"""Check of a Keras model's configuration: only classes and functions that are built into the installed Keras.

Keras builds a model by looking up the class names in its configuration. Some classes run code from the file (Lambda), call other
frameworks or open files; older versions of Keras even imported any module that the file named (CVE-2025-1550). So nothing reaches
Keras that is not on the list made here, from the public namespaces of the installed Keras.
"""

import functools
import importlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from retrain.errors import GraphError

NAMESPACES = ("layers", "initializers", "regularizers", "constraints", "dtype_policies")
MODELS = ("Functional", "Sequential", "Model")
POLICIES = ("DTypePolicy", "FloatDTypePolicy")
# What Keras writes for values that JSON lacks; none of them looks up a class.
VALUES = ("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__", "__tuple__", "TensorShape")
RUN_CODE = ("Lambda", "__lambda__", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "TFSMLayer", "__typespec__", "TypeSpec")
OPEN_FILES = ("StringLookup", "IntegerLookup", "IndexLookup", "TextVectorization")
# Operations that call a function, which a network of layers does not need.
CALLING_OPS = (
    "Map", "Scan", "AssociativeScan", "Switch", "WhileLoop", "ForiLoop", "Cond", "VectorizedMap", "Vectorize", "JVP",
)  # fmt: skip
FUNCTION_MODULES = (None, "builtins", "keras.activations")
CURE = "If you trust it, load it in Keras, write it with model.export(FOLDER), and name that folder."


@dataclass(frozen=True)
class Allowed:
    """The classes and functions that a configuration may name.

    Attributes:
        paths: full names of classes, such as `keras.layers.Dense`.
        names: their last parts; files in the format of HDF5 name no modules.
        functions: names of activation functions.
    """

    paths: frozenset[str]
    names: frozenset[str]
    functions: frozenset[str]


def checked_config(config: Any) -> Any:
    """Return a copy of a model's configuration, parsed from JSON, without the settings of its training.

    Raises:
        GraphError: it names a class or a function that is not built into Keras, or that runs code or opens files.
    """
    try:
        return _checked(config, allowed())
    except RecursionError as error:
        raise GraphError("Its configuration is nested too deeply for a network.") from error


def _checked(value: Any, known: Allowed) -> Any:
    if isinstance(value, list):
        return [_checked(each, known) for each in value]
    if not isinstance(value, dict):
        return value
    if "class_name" not in value:
        return {key: _checked(each, known) for key, each in value.items()}
    _check_object(value, known)
    # Of an optimizer, losses and metrics: nothing here trains with them.
    return {key: _checked(each, known) for key, each in value.items() if key != "compile_config"}


def _check_object(value: Mapping[str, Any], known: Allowed) -> None:
    """Raise GraphError if the object that is configured is not on the list."""
    name, module, registered = value["class_name"], value.get("module"), value.get("registered_name")
    if not isinstance(name, str) or not isinstance(module, str | None) or not isinstance(registered, str | None):
        raise GraphError("Its configuration has a class whose name is no text. Get a new copy.")
    last = name.rsplit(">", 1)[-1].rsplit(".", 1)[-1]
    if last in RUN_CODE:
        raise GraphError(f"Its configuration uses {last}, which can run code from the file, and is not loaded. {CURE}")
    if last in OPEN_FILES:
        raise GraphError(f"Its configuration uses {last}, which can open files, and is not loaded. {CURE}")
    if name == "function":
        function = value.get("config")
        if not isinstance(function, str) or function not in known.functions or not _is_module(module, FUNCTION_MODULES):
            raise GraphError(f"Its configuration calls the function {_full(module, function)}, which is no activation. {CURE}")
        built_in = registered in (None, "function", function)
    elif module is None:
        built_in = name in VALUES or name in known.names
    else:
        built_in = f"{module}.{name}" in known.paths
    if not built_in or registered not in (None, name, value.get("config")):
        raise GraphError(f"Its configuration uses {_full(module, registered or name)}, which is not built into Keras. {CURE}")


def _is_module(module: str | None, modules: tuple[str | None, ...]) -> bool:
    return module in modules or (module is not None and module.startswith("keras.src.activations"))


def _full(module: str | None, name: Any) -> str:
    return f"{module}.{name}" if module else str(name)


@functools.cache
def allowed() -> Allowed:
    """Return the list for the installed Keras."""
    paths, names = set(), set()
    for path, kind in _classes():
        last = path.rsplit(".", 1)[-1]
        if last not in (*RUN_CODE, *OPEN_FILES, *CALLING_OPS):
            paths |= {path, f"{kind.__module__}.{kind.__qualname__}"}
            names.add(last)
    functions = {name for name, each in vars(_module("activations")).items() if callable(each) and not isinstance(each, type)}
    return Allowed(frozenset(paths), frozenset(names), frozenset(functions - {"get", "deserialize", "serialize"}))


def _classes() -> Iterator[tuple[str, type]]:
    """Yield the classes, with full names, that are public or that `keras.applications` and `keras.ops` make models of."""
    import keras

    for namespace in NAMESPACES:
        for name, kind in vars(_module(namespace)).items():
            if isinstance(kind, type):
                yield f"keras.{namespace}.{name}", kind
    for name in (*MODELS, *POLICIES):
        for module in ("", "models."):
            kind = getattr(_module("models") if module else keras, name, None)
            if isinstance(kind, type):
                yield f"keras.{module}{name}", kind
    functional = type(keras.Model(image := keras.Input((1,)), image))
    yield f"{functional.__module__}.{functional.__qualname__}", functional
    sources = {each.__module__ for each in vars(keras.ops).values() if callable(each) and not isinstance(each, type)}
    sources |= {each.__module__ for each in vars(keras.applications).values() if callable(each)}
    for source in sorted(each for each in sources if each.startswith(("keras.src.ops.", "keras.src.applications."))):
        for name, kind in vars(sys.modules[source]).items():
            if isinstance(kind, type) and issubclass(kind, keras.Operation) and kind.__module__ == source:
                yield f"{source}.{name}", kind


def _module(namespace: str) -> Any:
    return importlib.import_module(f"keras.{namespace}")
