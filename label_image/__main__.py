"""`python -m label_image`."""

import sys

from label_image.cli import main

if __name__ == "__main__":
    sys.exit(main())
