"""Stand-in for the archive of Inception of 2015: the same files in the real size, with random weights.

python -m benchmarks.inception_stand_in FOLDER
"""

import sys
from pathlib import Path

from tests.support.stand_ins import full_size_inception_graph, write_inception_archive

if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    print(write_inception_archive(folder, full_size_inception_graph()))
