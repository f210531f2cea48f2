"""Missing packages, and the commands that install them."""

import importlib.util

OWN_PACKAGES = ("retrain", "label_image", "scripts")
# Packages whose names in the registry differ from those of their modules.
NAMES = {
    "PIL": "pillow",
    "ai_edge_litert": "ai-edge-litert",
    "google.protobuf": "protobuf",
    "google_crc32c": "google-crc32c",
    "pkg_resources": "setuptools<82",  # Later ones do not have it.
    "sklearn": "scikit-learn",
    "tensorflow_hub": "tensorflow-hub",
}


def missing_package(error: ImportError) -> str | None:
    """Return a sentence about a package that is not installed, or not as a whole; None if the error is of another kind."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    top = error.name.partition(".")[0]
    if top in OWN_PACKAGES:
        return None
    module = next((each for each in NAMES if f"{error.name}.".startswith(f"{each}.")), top)
    package = NAMES.get(module, module)
    name, command = package.partition("<")[0], f"'{package}'" if "<" in package else package
    if module != error.name and _is_installed(module):
        return f"The package {name} has no module {error.name}. Install it again: pip install --force-reinstall {command}"
    return f"The package {name} is missing. Install it: pip install {command}"


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
