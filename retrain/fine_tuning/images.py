"""Images of fine-tuning: those it trains on and those it is evaluated on, and the bottlenecks of the fine-tuned network.

Cached bottlenecks are of no use here: the network changes at each step.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from retrain.arrays import FloatArray, IndexArray
from retrain.backbones.backbone import Backbone
from retrain.data.augment import DistortedLoader
from retrain.data.image_lists import ImageLists
from retrain.data.loader import ImageLoader, run_network
from retrain.data.sampling import Sampler
from retrain.errors import ImageFolderError, shown
from retrain.head.dataset import Dataset, Examples
from retrain.input_spec import InputSpec
from retrain.options.fine_tuning import FineTuningOptions
from retrain.process.progress import advance, progressing

logger = logging.getLogger("retrain")

# Decoded training images up to this size are kept in memory: 5,461 of 128 × 128 pixels, 1,001 of 299 × 299.
KEPT_BYTES = 1 << 30
# And as many validation images as fit into this: 1,365 and 250.
VALIDATION_BYTES = 1 << 28


ImageBatch: TypeAlias = tuple[FloatArray, IndexArray]  # Images, float32 [B, H, W, 3], and classes, int64 [B].


@dataclass(frozen=True)
class FineTuningImages:
    """Images of fine-tuning.

    Attributes:
        batches: training batches, without end.
        validation: validation images; there may be none.
    """

    batches: Iterator[ImageBatch]
    validation: ImageBatch


def load_images(
    options: FineTuningOptions, images: ImageLists, data: Dataset, spec: InputSpec, rng: np.random.Generator
) -> FineTuningImages:
    """Return the images of fine-tuning; the parameters are those of `training_batches`."""
    batches = training_batches(options, images, data, spec, rng)
    return FineTuningImages(batches, validation_images(images, data, spec))


def training_batches(
    options: FineTuningOptions, images: ImageLists, data: Dataset, spec: InputSpec, rng: np.random.Generator
) -> Iterator[ImageBatch]:
    """Draw batches without end: a class uniformly, then one of its training images.

    Images without distortion are decoded once and kept, if they take up at most KEPT_BYTES.

    Args:
        options: the batch size and the distortions.
        images: N images.
        data: their classes, and which ones are training images.
        spec: the network's input.
        rng: the source of randomness.

    Yields:
        Images, float32 [B, H, W, 3], and classes, int64 [B].

    Raises:
        ImageFolderError: none of the images can be decoded any more.
    """
    members, batch_size = data.members["training"], options.fine_tune_batch_size
    if not options.distorts and len(members) <= _n_images(KEPT_BYTES, spec):
        kept, pixels = decoded_images(_files(images, members), spec)
        sampler = Sampler(data.classes, kept, rng)
        row_of = np.zeros(len(data.classes), np.int64)
        row_of[kept] = np.arange(len(kept))
        while True:
            indices = sampler.draw(batch_size)
            yield pixels[row_of[indices]], data.classes[indices]
    sampler = Sampler(data.classes, members, rng)
    loader = DistortedLoader(_files(images, members), options, rng, spec, batch_size)
    for indices, pixels in loader.batches(lambda: sampler.draw(batch_size)):
        yield pixels, data.classes[indices]


def decoded_images(files: Mapping[int, str], spec: InputSpec) -> tuple[IndexArray, FloatArray]:
    """Decode image files, by index. Return the indices of those that can be decoded, int64 [n], and float32 [n, H, W, 3].

    Raises:
        ImageFolderError: there are files, and none can be decoded.
    """
    pixels = np.empty((len(files), spec.height, spec.width, 3), np.float32)
    indices = np.fromiter(files, np.int64, len(files))
    if not files:
        return indices, pixels
    row_of = {index: row for row, index in enumerate(files)}
    loader = ImageLoader(files, spec)
    for batch, images in loader:
        pixels[[row_of[index] for index in batch.tolist()]] = images
    if len(loader.failed) == len(files):
        raise ImageFolderError("The images can no longer be decoded. Is their folder still there?")
    decoded = ~np.isin(indices, list(loader.failed))
    return indices[decoded], pixels[decoded] if loader.failed else pixels


def validation_images(images: ImageLists, data: Dataset, spec: InputSpec) -> ImageBatch:
    """Return the validation images, float32 [n, H, W, 3], and their classes, int64 [n].

    If they take up more than VALIDATION_BYTES, some are chosen, evenly from all classes.
    """
    members = data.members["validation"]
    n_chosen = min(len(members), _n_images(VALIDATION_BYTES, spec))
    chosen = members[np.linspace(0, len(members), n_chosen, endpoint=False).astype(np.int64)]
    kept, pixels = decoded_images(_files(images, chosen), spec)
    return pixels, data.classes[kept]


def new_bottlenecks(images: ImageLists, tested: Examples, backbone: Backbone) -> Examples:
    """Return the same examples with their bottlenecks from a fine-tuned network. Nothing is cached.

    An image that can no longer be decoded is left out, with a warning. Counts the images as progress.
    """
    files = _files(images, np.unique(tested.indices))
    loader = ImageLoader(files, backbone.architecture.input_spec)
    made: dict[int, FloatArray] = {}
    with progressing("evaluation", len(files), "images"):
        for indices, bottlenecks in run_network(loader, lambda: backbone.run):
            made.update(zip(indices.tolist(), bottlenecks, strict=True))
            advance(len(indices))
        advance(len(loader.failed))
    for index, reason in loader.failed.items():
        logger.warning("%s is left out of the test: %s", shown(images.images[index].path), reason)
    rows = [row for row, index in enumerate(tested.indices.tolist()) if index in made]
    values = [made[index] for index in tested.indices[rows].tolist()]
    shape = (len(rows), backbone.architecture.bottleneck_size)
    return Examples(tested.indices[rows], np.array(values, np.float32).reshape(shape), tested.classes[rows])


def _files(images: ImageLists, indices: IndexArray) -> dict[int, str]:
    return {index: images.images[index].path for index in indices.tolist()}


def _n_images(n_bytes: int, spec: InputSpec) -> int:
    return n_bytes // (spec.height * spec.width * 3 * 4)
