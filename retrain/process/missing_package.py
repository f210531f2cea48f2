"""Missing packages, and the commands that install them."""

import importlib.util

OWN_PACKAGES = ("retrain", "label_image", "scripts")
# The packages of setup.py, and those that come with TensorFlow, by the modules they have. Of other modules no command is given:
# the registry may have another package of that name.
PACKAGES = {
    "PIL": "pillow",
    "ai_edge_litert": "ai-edge-litert",
    "flatbuffers": "flatbuffers",
    "google.protobuf": "protobuf",
    "google": "protobuf",
    "google_crc32c": "google-crc32c",
    "h11": "h11",
    "h5py": "h5py",
    "jinja2": "jinja2",
    "keras": "keras",
    "numpy": "numpy",
    "pandas": "pandas",
    "onnx": "onnx",
    "onnxruntime": "onnxruntime",
    "orjson": "orjson",
    "pillow_heif": "pillow-heif",
    "pkg_resources": "setuptools",
    "platformdirs": "platformdirs",
    "python_multipart": "python-multipart",
    "scipy": "scipy",
    "simplejpeg": "simplejpeg",
    "sklearn": "scikit-learn",
    "starlette": "starlette",
    "tensorboard": "tensorboard",
    "tensorflow": "tensorflow",
    "tensorflow_hub": "tensorflow-hub",
    "tf2onnx": "tf2onnx",
    "threadpoolctl": "threadpoolctl",
    "tqdm": "tqdm",
    "uvicorn": "uvicorn",
}

SERVE = "'.[serve]'"  # The extra of this project, which has all that a server needs.
# As a shell takes them, where not every version will do, or where one package alone does not help.
REQUIREMENTS = {"setuptools": "'setuptools<82'", "starlette": SERVE, "uvicorn": SERVE, "python-multipart": SERVE, "h11": SERVE}


def missing_package(error: ImportError) -> str | None:
    """Return a sentence about a package that is not installed, or not as a whole; None if the error is of another kind."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    if not name or name.partition(".")[0] in OWN_PACKAGES:
        return None
    module = next((each for each in PACKAGES if f"{name}.".startswith(f"{each}.")), None)
    if module is None:
        return f"The module {name} is missing, which an installed package needs. Install this project again: pip install ."
    package = PACKAGES[module]
    requirement = REQUIREMENTS.get(package, package)
    if module != name and importlib.util.find_spec(module):
        return f"The package {package} has no module {name}. Install it again: pip install --force-reinstall {requirement}"
    return f"The package {package} is missing. Install it: pip install {requirement}"
