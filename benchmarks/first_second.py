"""Times of each part of making the first bottlenecks, in a process that has just loaded TensorFlow.

python -m benchmarks.first_second --image_dir flower_photos --model_dir models --architecture mobilenet_0.25_128
"""

import resource
import tempfile
import time
from collections.abc import Callable

from benchmarks.common import machine, parser_with
from retrain.arrays import BatchFunction, FloatArray
from retrain.data.image_folder import create_image_lists
from retrain.evaluation.tables import markdown_table
from retrain.process.tensorflow_loading import load_tensorflow


def main() -> None:
    """Print the table."""
    parser = parser_with("image_dir", "model_dir", "architecture")
    args = parser.parse_args()
    load_tensorflow()
    from retrain.backbones.load import load_network
    from retrain.bottlenecks.cache import BottleneckCache
    from retrain.bottlenecks.extract import Extractor
    from retrain.options.network import NetworkOptions

    images = create_image_lists(args.image_dir, 10, 10).images
    backbone = load_network(NetworkOptions(architecture=args.architecture, model_dir=args.model_dir))
    chosen = backbone.architecture
    marks = Marks()

    def network() -> BatchFunction:
        marks("decoding set up and started")
        run = backbone.run
        marks("network loaded")
        return marked(run, marks)

    with tempfile.TemporaryDirectory() as folder:
        cache = BottleneckCache(folder, chosen.name, chosen.bottleneck_size, backbone.fingerprint)
        Extractor(images, cache, network, chosen.input_spec).bottlenecks(range(len(images)))
    marks("last files written")
    print(f"{args.architecture}, {len(images)} photos, on {machine()}; seconds of wall and of processor time since the start.\n")
    print(markdown_table(["", "wall", "processor"], [[name, f"{wall:.3f}", f"{cpu:.3f}"] for name, wall, cpu in marks.rows]))


def marked(run: BatchFunction, mark: Callable[[str], None]) -> BatchFunction:
    """Return the same function, which marks the end of each batch."""
    count = 0

    def marking(images: FloatArray) -> FloatArray:
        nonlocal count
        outputs = run(images)
        count += 1
        mark(f"batch {count} through the network")
        return outputs

    return marking


class Marks:
    """Names of the parts that are done, each with the wall time and the processor time since the start, in seconds."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.perf_counter(), _cpu_seconds()
        self.rows: list[tuple[str, float, float]] = []

    def __call__(self, name: str) -> None:
        self.rows.append((name, time.perf_counter() - self._wall, _cpu_seconds() - self._cpu))


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
