"""Photo viewer that prints the credit: `python -m scripts.show_image PHOTO`."""

import sys
from collections.abc import Sequence
from pathlib import Path

if not __package__:  # Run as a file: this folder comes first then, and has files with the names of the packages.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from retrain.errors import ImageError
from retrain.options.command_line import Parser
from retrain.process.command import run_command


def main(argv: Sequence[str] | None = None) -> int:
    """Print the photo's format, size and credit, and open it in the desktop's viewer."""

    def command() -> int:
        parser = Parser(prog="python -m scripts.show_image", description="Show a photo and its credit.")
        parser.add_argument("photo", type=lambda text: Path(text).expanduser(), help="The image file.")
        parser.add_argument("--print_only", action="store_true", help="Open no window.")
        args = parser.parse_args(argv)
        import PIL.Image

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
    """Return the line of the photo collection's LICENSE.txt that names the photo; empty if there is none."""
    licence = photo.parent.parent / "LICENSE.txt"
    if not licence.is_file():
        return ""
    lines = licence.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line.strip() for line in lines if f"{photo.parent.name}/{photo.name}" in line), "")


if __name__ == "__main__":
    sys.exit(main())
