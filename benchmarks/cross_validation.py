"""Benchmark of networks, of ways to resize, and of default learning rates: cross-validated accuracy of the head on all photos.

    python -m benchmarks.cross_validation --image_dir flower_photos --model_dir models --architecture efficientnet_lite0 \
        --resize squash,crop --shapes as_they_are,square,wide,tall --steps 500,4000

prints a Markdown table with a row for each combination. In each of several partitions, the photos are divided into five folds;
a head is trained on four of them and tested on the fifth, so that each photo is tested once. The head, its batches and its
optimizer are those of `python -m retrain`. A shape cuts the centre out of each photo: wide is 2:1, tall 1:2.
"""

import argparse
import itertools
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.common import machine, parser_with
from retrain.arrays import FloatArray, IndexArray
from retrain.data.sampling import Sampler
from retrain.evaluation.tables import markdown_table
from retrain.head.model import SoftmaxHead
from retrain.head.trainer import Trainer, train
from retrain.options.head import HeadOptions

N_FOLDS = 5
SHAPES = {"as_they_are": 0.0, "square": 1.0, "wide": 2.0, "tall": 0.5}  # Width divided by height.


@dataclass(frozen=True)
class Examples:
    """Bottlenecks, float32 [N, D], and classes, int64 [N], of all photos; and the network's scale of the learning rate."""

    values: FloatArray
    classes: IndexArray
    scale: float


def main() -> None:
    """Print the table."""
    parser = parser_with("image_dir", "model_dir", "architecture")
    parser.add_argument("--resize", default="", help="Ways of resizing, joined by commas; the network's own if left out.")
    parser.add_argument("--shapes", default="as_they_are", help=f"Shapes, joined by commas: {', '.join(SHAPES)}.")
    parser.add_argument("--learning_rate", default="", help="Learning rates, joined by commas; the default if left out.")
    parser.add_argument("--steps", default="4000", help="Numbers of training steps, joined by commas.")
    parser.add_argument("--partitions", type=int, default=5, help="Number of partitions of the photos into folds.")
    args = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as work, ProcessPoolExecutor() as workers:
        for shape, name, resize in itertools.product(*(_split(each) for each in (args.shapes, args.architecture, args.resize))):
            examples = _examples(args, shape, name, resize, work)
            for rate, steps in itertools.product(_split(args.learning_rate), _split(args.steps)):
                options = HeadOptions(learning_rate=float(rate) if rate else None, how_many_training_steps=int(steps))
                parts = range(args.partitions)
                found = list(workers.map(accuracy, [examples] * len(parts), [options] * len(parts), parts))
                used = options.learning_rate_for(examples.scale)
                rows.append([name, resize or "its own", shape, f"{used:g}", steps, f"{statistics.fmean(found):.1f}%"])
                rows[-1].append(f"{min(found):.1f} to {max(found):.1f}")
                print(*rows[-1], file=sys.stderr, flush=True)
    heads = ["network", "resize", "shape", "learning rate", "steps", "accuracy", "of the partitions"]
    print(f"{len(examples.classes)} photos, {N_FOLDS} folds, {args.partitions} partitions, {machine()}\n")
    print(markdown_table(heads, rows, aligned=True))


def accuracy(examples: Examples, options: HeadOptions, partition: int) -> float:
    """Return the accuracy in percent over all photos, each tested by a head that was trained without its fold."""
    rng = np.random.default_rng(partition)
    n_images, n_classes = len(examples.classes), int(examples.classes.max()) + 1
    fold = rng.permutation(np.arange(n_images) % N_FOLDS)
    suited = HeadOptions(
        learning_rate=options.learning_rate_for(examples.scale), how_many_training_steps=options.how_many_training_steps
    )
    n_right = 0
    for tested in range(N_FOLDS):
        training, testing = np.flatnonzero(fold != tested), np.flatnonzero(fold == tested)
        head = SoftmaxHead(examples.values.shape[1], n_classes, rng, ())
        counts = np.bincount(examples.classes[training], minlength=n_classes)
        trainer = Trainer(suited, [str(index) for index in range(n_classes)], counts, head, partition)
        train([trainer], _batches(examples, training, suited, rng), lambda *_: None)
        n_right += int((head.logits(examples.values[testing]).argmax(axis=1) == examples.classes[testing]).sum())
    return 100 * n_right / n_images


def _batches(
    examples: Examples, training: IndexArray, options: HeadOptions, rng: np.random.Generator
) -> Iterator[tuple[FloatArray, IndexArray]]:
    sampler = Sampler(examples.classes, training[np.argsort(examples.classes[training], kind="stable")], rng)
    for _ in range(options.how_many_training_steps):
        indices = sampler.draw(options.train_batch_size)
        yield examples.values[indices], examples.classes[indices]


def _examples(args: argparse.Namespace, shape: str, name: str, resize: str, work: str) -> Examples:
    from retrain.backbones.load import load_network
    from retrain.bottlenecks.extract import load_bottlenecks
    from retrain.data.image_lists import create_image_lists
    from retrain.options.bottlenecks import BottleneckOptions
    from retrain.options.images import ImageOptions
    from retrain.options.network import NetworkOptions

    images = create_image_lists(ImageOptions(image_dir=_shaped(args.image_dir, SHAPES[shape], os.path.join(work, shape))))
    backbone = load_network(NetworkOptions(architecture=name, model_dir=args.model_dir, resize=resize or None))
    options = BottleneckOptions(bottleneck_dir=os.path.join(work, f"bottlenecks_{shape}"))
    made = load_bottlenecks(options, images, backbone, range(len(images.images)))
    kept = [index for index in range(len(images.images)) if index not in made.failed]
    classes = np.array([images.images[index].class_index for index in kept])
    return Examples(made.values[kept], classes, backbone.architecture.learning_rate_scale)


def _shaped(image_dir: str, ratio: float, folder: str) -> str:
    """Return a folder with the centre of each photo in this ratio of width to height; the photos' own folder if it is 0."""
    if not ratio:
        return image_dir
    for path in Path(image_dir).glob("*/*.jpg"):
        target = Path(folder) / path.parent.name / path.name
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as photo:
            width, height = min(photo.width, round(photo.height * ratio)), min(photo.height, round(photo.width / ratio))
            left, top = (photo.width - width) // 2, (photo.height - height) // 2
            photo.convert("RGB").crop((left, top, left + width, top + height)).save(target, "JPEG", quality=95)
    return folder


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


if __name__ == "__main__":
    main()
