"""Stand-in for the archive of Inception of 2015: the same files in the real size, with random weights.

python -m benchmarks.inception_stand_in FOLDER
"""

import argparse
from pathlib import Path

from tests.support.stand_ins import full_size_inception_graph, write_inception_archive


def main() -> None:
    """Write the archive and print its path."""
    parser = argparse.ArgumentParser(description="Write a stand-in for the archive of Inception v3, with random weights.")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="Where to write it.")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    print(write_inception_archive(folder, full_size_inception_graph()))


if __name__ == "__main__":
    main()
