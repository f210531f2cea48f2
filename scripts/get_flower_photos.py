"""Download of the flower photos of the original's tutorial: 3,670 photos in five classes, or the 600 of this project's documents.

    python -m scripts.get_flower_photos --photos 600

The photos have Creative Commons licences with attribution; the file LICENSE.txt, which comes with them, names the photographers.
"""

import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retrain.errors import OutputError, RetrainError, listing
from retrain.files import temporary_beside
from retrain.options.command_line import parse_args
from retrain.options.flags import Options, flag
from retrain.process.command import log_to_stderr, run_command

URL = "http://download.tensorflow.org/example_images/flower_photos.tgz"
ARCHIVE = "flower_photos.tgz"
# A line for each photo, such as daisy/10437929963_bc13eebe0c.jpg: the first 120 of each class.
NAMES_FILE = Path(__file__).resolve().parent / "flower_photos_600.txt"
ALL, DOCUMENTED = "all", "600"
LICENCE = "LICENSE.txt"
MEMBER = re.compile(r"flower_photos/(\w+/[\w-]+\.jpg|LICENSE\.txt)", re.ASCII)


class PhotosUnavailableError(RetrainError):
    """The photos cannot be downloaded, or the archive lacks some."""


@dataclass(frozen=True, kw_only=True)
class FlowerPhotosConfig(Options):
    """Options of the download. Raises FlagError with one line for each field whose value is not allowed."""

    output_dir: str = flag("Folder to make, with a folder of photos for each class.", "flower_photos", path="FOLDER")
    photos: str = flag("Photos to keep; 600 are those of this project's documents.", ALL, choices=(ALL, DOCUMENTED))
    url: str = flag("Address of the archive: that of a mirror, or file:///… for an archive on this machine.", URL)


def get_flower_photos(config: FlowerPhotosConfig) -> list[str]:
    """Download and unpack the photos; return their paths in the folder. It appears only when all of them are there.

    Raises:
        OutputError: the folder exists, or cannot be written.
        PhotosUnavailableError: the archive cannot be downloaded, is damaged, or lacks photos; the message names the cure.
    """
    if os.path.lexists(config.output_dir):
        raise OutputError(f"--output_dir {config.output_dir} exists already. Delete it, or name another folder.")
    temporary = temporary_beside(config.output_dir)
    try:
        archive, photos = os.path.join(temporary, ARCHIVE), os.path.join(temporary, "photos")
        os.makedirs(photos)
        _download(config, archive)
        names = _unpack(config, archive, photos)
        os.rename(photos, config.output_dir)
    except OSError as error:
        raise OutputError(f"--output_dir {config.output_dir} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return names


def _download(config: FlowerPhotosConfig, archive: str) -> None:
    """Download the archive. Raises PhotosUnavailableError, or OSError if it cannot be written."""
    from retrain.backbones.download import FETCH_ERRORS, fetch_archive, fetch_reason

    try:
        fetch_archive(config.url, archive)
    except FETCH_ERRORS as error:
        if isinstance(error, OSError) and error.filename == archive:
            raise
        raise PhotosUnavailableError(
            f"The photos cannot be downloaded from {config.url} ({fetch_reason(error)}). Get {ARCHIVE} by hand, and run again "
            f"with --url file:///PATH/TO/{ARCHIVE}."
        ) from error


def _unpack(config: FlowerPhotosConfig, archive: str, folder: str) -> list[str]:
    """Unpack the wanted photos, and the file of the licences; return the photos' names. Members of other names are skipped."""
    from retrain.backbones.download import UNPACK_ERRORS, archive_members

    documented = set(NAMES_FILE.read_text(encoding="ascii").split())
    found = set()
    members = archive_members(archive)
    while True:
        try:
            member = next(members, None)
            match = MEMBER.fullmatch(member.path) if member else None
            is_wanted = match and (config.photos == ALL or match[1] in documented or match[1] == LICENCE)
            data = member.read() if member and is_wanted else b""
        except UNPACK_ERRORS as error:
            raise PhotosUnavailableError(f"The archive from {config.url} cannot be unpacked ({error}).") from error
        if member is None:
            break
        if match and is_wanted:
            path = os.path.join(folder, match[1])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)
            found.add(match[1])
    if missing := sorted({*documented, LICENCE} - found):
        raise PhotosUnavailableError(f"The archive from {config.url} holds no {listing(missing)}. Is it that of {URL}?")
    return sorted(found - {LICENCE})


def main(argv: Sequence[str] | None = None) -> int:
    """Get the photos; return 0, 1 if they are not available, or 2 for a wrong flag."""

    def command() -> int:
        texts = {"prog": "python -m scripts.get_flower_photos", "description": "Download the tutorial's flower photos."}
        config = parse_args(FlowerPhotosConfig, argv, **texts)
        log_to_stderr("INFO")
        names = get_flower_photos(config)
        classes = {os.path.dirname(name) for name in names}
        print(f"{len(names)} photos in {len(classes)} classes: {config.output_dir}. {LICENCE} there names the photographers.")
        return 0

    return run_command(command)


if __name__ == "__main__":
    sys.exit(main())
