"""Finder of an editable install (`pip install -e`), which setup.py copies into the environment as `_retrain_editable`.

setuptools' own finder is asked after all folders of sys.path. A script beside a clone named `retrain` then imports the clone's
folder: without an `__init__.py`, Python takes it for a namespace package. Here the clone becomes an entry of sys.path, since
a package in any entry comes before a namespace package. Only the project's two packages are found in this entry: `scripts` and
`tests` of the clone must not come before a user's folders of these names.
"""

import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, ModuleSpec, SourceFileLoader
from types import ModuleType

PACKAGES = ("retrain", "label_image")


class CloneFinder:
    """Finder of the project's packages in one clone."""

    def __init__(self, clone: str) -> None:
        self._finder = FileFinder(clone, (SourceFileLoader, SOURCE_SUFFIXES))

    def find_spec(self, name: str, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return where a package is; None if it is none of this project's."""
        return self._finder.find_spec(name) if name in PACKAGES else None

    def invalidate_caches(self) -> None:
        """Forget the files that were there."""
        self._finder.invalidate_caches()


def install(clone: str) -> None:
    """Append the clone to sys.path, for its packages alone."""
    entry = f"<editable install of {clone}>"

    def hook(path: str) -> CloneFinder:
        if path != entry:
            raise ImportError
        return CloneFinder(clone)

    if entry not in sys.path:
        sys.path_hooks.append(hook)
        sys.path.append(entry)
