"""The images that fine-tuning trains on and is evaluated on. Bottlenecks are of no use here: the network changes at each step."""

import logging
from collections.abc import Iterator, Sequence

import numpy as np

from retrain.arrays import FloatArray, IndexArray
from retrain.backbones.backbone import Backbone
from retrain.data.augment import Distortion, distorted_bottlenecks
from retrain.data.image_folder import ImageLists
from retrain.data.loader import how_to_decode, run_network
from retrain.data.sampling import Sampler
from retrain.errors import ImageFolderError, shown
from retrain.input_spec import InputSpec

logger = logging.getLogger("retrain")

# Decoded training images up to this size are kept in memory: 5,461 of 128 × 128 pixels, 1,001 of 299 × 299.
KEPT_BYTES = 1 << 30
# And as many validation images as this holds: 1,365 and 250.
VALIDATION_BYTES = 1 << 28


def image_batches(
    paths: Sequence[str],
    class_of: IndexArray,
    members: IndexArray,
    distortion: Distortion | None,
    rng: np.random.Generator,
    spec: InputSpec,
    batch_size: int,
    kept_bytes: int = KEPT_BYTES,
) -> Iterator[tuple[FloatArray, IndexArray]]:
    """Draws batches without end, a class at random and then one of its images.

    Args:
        paths: N image files.
        class_of: int64 [N].
        members: positions of the training images.
        distortion: how much they are changed; None leaves them as they are.
        rng: the source of randomness.
        spec: the network's input.
        batch_size: B.
        kept_bytes: images without distortion are decoded once, and kept, if they take up at most so many bytes.

    Yields:
        Images, float32 [B, H, W, 3], and classes, int64 [B].

    Raises:
        ImageFolderError: none of the images can be decoded any more.
    """
    sampler = Sampler(class_of, members.tolist(), rng)
    if distortion is None and len(members) <= _n_images(kept_bytes, spec):
        kept, images = decoded_images(paths, members, spec)
        sampler = Sampler(class_of, kept.tolist(), rng)
        row_of = np.zeros(len(paths), np.int64)
        row_of[kept] = np.arange(len(kept))
        while True:
            positions = sampler.draw(batch_size)
            yield images[row_of[positions]], class_of[positions]
    for_pillow, _ = how_to_decode([paths[position] for position in members])
    unchanged = Distortion(flip_left_right=False, random_crop=0, random_scale=0, random_brightness=0)
    batches = distorted_bottlenecks(
        paths,
        members[for_pillow].tolist(),
        lambda: sampler.draw(batch_size),
        distortion or unchanged,
        rng,
        _as_it_is,  # In the network's place: what is wanted here is what would go into it.
        spec,
        batch_size,
    )
    for positions, images in batches:
        yield images, class_of[positions]


def decoded_images(paths: Sequence[str], positions: IndexArray, spec: InputSpec) -> tuple[IndexArray, FloatArray]:
    """Those of `positions` whose files can (still) be decoded, int64 [n], and their images, float32 [n, H, W, 3].

    Raises:
        ImageFolderError: none can be.
    """
    if not len(positions):
        return positions, np.empty((0, spec.height, spec.width, 3), np.float32)
    images = np.empty((len(positions), spec.height, spec.width, 3), np.float32)
    failed: dict[int, str] = {}
    for places, pixels in run_network([paths[position] for position in positions], lambda: _as_it_is, spec, failed):
        images[places] = pixels
    if failed and len(failed) == len(positions):
        raise ImageFolderError("The images can no longer be decoded. Is their folder still there?")
    left = np.setdiff1d(np.arange(len(positions)), list(failed))
    return positions[left], images[left] if failed else images


def validation_images(
    paths: Sequence[str], class_of: IndexArray, members: IndexArray, spec: InputSpec
) -> tuple[FloatArray, IndexArray]:
    """The validation images, float32 [n, H, W, 3], and their classes, int64 [n]; of very many some, evenly from all classes.

    Args:
        paths: N image files.
        class_of: int64 [N].
        members: positions of the validation images, class by class, as `Sampler.draw(-1)` gives them.
        spec: the network's input.
    """
    n_chosen = min(len(members), _n_images(VALIDATION_BYTES, spec))
    chosen = members[np.linspace(0, len(members), n_chosen, endpoint=False).astype(np.int64)]
    kept, images = decoded_images(paths, chosen, spec)
    return images, class_of[kept]


def new_bottlenecks(images: ImageLists, positions: IndexArray, backbone: Backbone) -> tuple[IndexArray, FloatArray]:
    """What a network that is no longer the cache's gives for some of N images; nothing of it is kept on disk.

    Args:
        images: N images.
        positions: of the images that are wanted, int64 [n]; may name one more than once.
        backbone: the network.

    Returns:
        The positions of those that can (still) be decoded, and bottlenecks, float32 [N, D], with rows for them alone.
    """
    values = np.full((len(images.images), backbone.architecture.bottleneck_size), np.nan, np.float32)
    wanted = np.unique(positions)
    failed: dict[int, str] = {}
    paths = [images.images[position].path for position in wanted]
    for places, made in run_network(paths, lambda: backbone.run, backbone.architecture.input_spec, failed):
        values[wanted[places]] = made
    for place, reason in failed.items():
        logger.warning("%s is left out of the test: %s", shown(paths[place]), reason)
    return positions[~np.isin(positions, wanted[list(failed)])], values


def _n_images(n_bytes: int, spec: InputSpec) -> int:
    return n_bytes // (spec.height * spec.width * 3 * 4)


def _as_it_is(images: FloatArray) -> FloatArray:
    return images
