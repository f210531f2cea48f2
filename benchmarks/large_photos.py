"""Benchmark of `--decode_scale auto` on photos of 12 megapixels: speed, drift of the bottlenecks, and accuracy of heads on them.

    python -m benchmarks.large_photos --image_dir flower_photos --model_dir models --architecture mobilenet_0.25_128

There are no photos of that size beside the project: each one is enlarged to 4,000 × 3,000 pixels, or 3,000 × 4,000, by bicubic
interpolation, so that its finest details are those of the small photo. Real ones have more, and larger files.
"""

import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.common import machine, parser_with, spread
from benchmarks.cross_validation import Examples, accuracy
from retrain.arrays import FloatArray
from retrain.backbones.load import load_network
from retrain.data.image_lists import create_image_lists
from retrain.data.loader import ImageLoader, run_network
from retrain.evaluation.tables import markdown_table
from retrain.input_spec import DECODE_SCALES, FULL
from retrain.options.head import HeadOptions
from retrain.options.images import ImageOptions
from retrain.options.network import NetworkOptions

LONG_SIDE, SHORT_SIDE = 4000, 3000
QUALITY = 90
STEPS = 500
PARTITIONS = 3


def main() -> None:
    """Print the tables."""
    parser = parser_with("image_dir", "model_dir", "architecture")
    parser.add_argument("--photos", type=int, default=200, help="Number of photos, evenly from all classes.")
    parser.add_argument("--runs", type=int, default=3, help="Number of runs of each way, in turn.")
    args = parser.parse_args()
    images = create_image_lists(ImageOptions(image_dir=args.image_dir)).images
    chosen = [images[index] for index in np.linspace(0, len(images), args.photos, endpoint=False).astype(int)]
    classes = np.array([image.class_index for image in chosen])
    with tempfile.TemporaryDirectory() as folder:
        with ProcessPoolExecutor() as workers:
            paths = list(workers.map(enlarge, [image.path for image in chosen], [folder] * len(chosen), range(len(chosen))))
        megabytes = sum(Path(path).stat().st_size for path in paths) / 1e6 / len(paths)
        seconds: dict[str, list[float]] = {scale: [] for scale in DECODE_SCALES}
        values: dict[str, FloatArray] = {}
        for _ in range(args.runs):
            for scale in DECODE_SCALES:
                duration, values[scale] = _bottlenecks(args.architecture, args.model_dir, paths, scale)
                seconds[scale].append(duration)
    network = load_network(NetworkOptions(architecture=args.architecture, model_dir=args.model_dir))
    options = HeadOptions(how_many_training_steps=STEPS)
    rows = []
    with ProcessPoolExecutor() as workers:
        for scale in DECODE_SCALES:
            examples = Examples(values[scale], classes, network.architecture.learning_rate_scale)
            found = list(workers.map(accuracy, [examples] * PARTITIONS, [options] * PARTITIONS, range(PARTITIONS)))
            drift = np.linalg.norm(values[scale] - values[FULL], axis=1) / np.linalg.norm(values[FULL], axis=1)
            faster = [whole / part for whole, part in zip(seconds[FULL], seconds[scale], strict=True)]
            rate = spread([len(paths) / duration for duration in seconds[scale]])
            rows.append([scale, rate, spread(faster, 2), f"{drift.mean():.1%}", f"{statistics.fmean(found):.1f}%"])
    what = f"{len(paths)} photos of {LONG_SIDE * SHORT_SIDE / 1e6:.0f} megapixels and {megabytes:.1f} MB"
    print(f"{args.architecture}, {what}, {machine()}; {args.runs} runs of each in turn.\n")
    heads = ["--decode_scale", "photos/s", "times as fast", "drift of a bottleneck", f"accuracy, {STEPS} steps, cross-validated"]
    print(markdown_table(heads, rows))


def enlarge(path: str, folder: str, number: int) -> str:
    """Write an enlarged copy of a photo; return its path."""
    target = f"{folder}/{number}.jpg"
    with Image.open(path) as image:
        size = (LONG_SIDE, SHORT_SIDE) if image.width >= image.height else (SHORT_SIDE, LONG_SIDE)
        image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(target, quality=QUALITY)
    return target


def _bottlenecks(architecture: str, model_dir: str, paths: Sequence[str], scale: str) -> tuple[float, FloatArray]:
    """Return the seconds and the bottlenecks, float32 [N, D], made of the photos; the network is loaded before."""
    options = NetworkOptions(architecture=architecture, model_dir=model_dir, decode_scale=scale)
    backbone = load_network(options).with_work(paths[:1])
    network, spec = backbone.run, backbone.architecture.input_spec
    values = np.empty((len(paths), backbone.architecture.bottleneck_size), np.float32)
    start = time.perf_counter()
    for indices, rows in run_network(ImageLoader(dict(enumerate(paths)), spec), lambda: network):
        values[indices] = rows
    return time.perf_counter() - start, values


if __name__ == "__main__":
    main()
