"""Shows a photo, and whose it is: `python -m scripts.show_image PHOTO`."""

import sys
from collections.abc import Sequence
from pathlib import Path

import PIL.Image

from retrain.errors import ImageError
from retrain.options.flags import Parser
from retrain.process.command import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the photo's format, size and credit, and opens it in the desktop's viewer."""

    def command() -> int:
        parser = Parser(prog="python -m scripts.show_image", description="Shows a photo, and whose it is.")
        parser.add_argument("photo", type=Path, help="The image file.")
        parser.add_argument("--print_only", action="store_true", help="Open no window.")
        args = parser.parse_args(argv)
        try:
            with PIL.Image.open(args.photo) as image:
                print(f"{args.photo}: {image.format}, {image.width} × {image.height} pixels, {image.mode}")
                if credit := credit_of(args.photo):
                    print(credit)
                if not args.print_only:
                    image.show()
        except PIL.UnidentifiedImageError as error:
            raise ImageError(f"{args.photo} is no image in a known format.") from error
        return 0

    return run_command(command)


def credit_of(photo: Path) -> str:
    """The line of the photo collection's LICENSE.txt that names the photo, as the flower photos have it; empty if none."""
    licence = photo.parent.parent / "LICENSE.txt"
    if not licence.is_file():
        return ""
    lines = licence.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip() for line in lines if f"{photo.parent.name}/{photo.name}" in line), "")


if __name__ == "__main__":
    sys.exit(main())
