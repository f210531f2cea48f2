"""Bottlenecks of images: read from the cache, or made and cached, while the next batch is decoded and run."""

import dataclasses
import hashlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import MappingProxyType

import numpy as np

from retrain.arrays import BatchFunction, FloatArray
from retrain.backbones.backbone import Backbone
from retrain.bottlenecks.cache import BottleneckCache, Bottlenecks, Stale
from retrain.bottlenecks.index import name_in_use
from retrain.bottlenecks.parallel_read import read_rows
from retrain.data.image_lists import ImageLists, LabelledImage
from retrain.data.loader import N_CORES, ImageLoader, run_network
from retrain.input_spec import APPLY, IGNORE, InputSpec
from retrain.options.bottlenecks import BottleneckOptions
from retrain.process.interruption import raise_if_interrupted
from retrain.process.precision import cache_name
from retrain.process.progress import advance
from retrain.process.terminal import STEP_LOG

logger = logging.getLogger("retrain")
step_logger = logging.getLogger(STEP_LOG)

LOG_EVERY = 100
MANY = 5000  # From this many bottlenecks on, reading them in several processes is faster.
SAMPLE = 16  # Number of bottlenecks without a record that are checked.
# Largest relative difference (L2) of a bottleneck from the one made here. Other versions of libraries and other machines change
# it by about 0.1%; two photos of the same kind of flower differ by about 50%.
LARGEST_DIFFERENCE = 0.1


def load_bottlenecks(
    options: BottleneckOptions, images: ImageLists, backbone: Backbone, indices: Sequence[int], turned: Collection[int] = ()
) -> Bottlenecks:
    """Read the bottlenecks of images from the cache; make and cache those that are missing or stale. Counts them as progress.

    Args:
        options: the cache's folder, and the batch size.
        images: all images.
        backbone: the network.
        indices: of the images that bottlenecks are wanted of.
        turned: indices of the images that are turned upright first. These have entries of their own in the cache; all others have
            the same ones whether the network ignores the EXIF orientation or applies it.

    Raises:
        OutputError: the cache's folder cannot be written to.
    """
    found = _load_alike(options, images, backbone, [index for index in indices if index not in turned], IGNORE)
    if chosen := [index for index in indices if index in turned]:
        also = _load_alike(options, images, backbone, chosen, APPLY)
        values = found.values.copy()
        values[chosen] = also.values[chosen]
        values.flags.writeable = False
        made, read = found.n_made + also.n_made, found.n_read + also.n_read
        failed, digests = {**found.failed, **also.failed}, {**found.digests, **also.digests}
        found = Bottlenecks(values, made, read, MappingProxyType(failed), MappingProxyType(digests))
    return found


def _load_alike(
    options: BottleneckOptions, images: ImageLists, backbone: Backbone, indices: Sequence[int], exif_orientation: str
) -> Bottlenecks:
    """Load the bottlenecks of images that are all turned upright, or none of them is."""
    chosen, fingerprint = backbone.architecture, backbone.fingerprint
    if exif_orientation == APPLY:  # Part of the cache format (docs/cache-format.md).
        fingerprint = hashlib.sha256(f"({fingerprint!r}, 'exif_orientation', 'apply')".encode()).hexdigest()
    spec = dataclasses.replace(chosen.input_spec, exif_orientation=exif_orientation)
    name = cache_name(chosen.name, backbone.precision, spec)
    if chosen.provenance is None:
        folders = dict.fromkeys(image.folder for image in images.images)
        name = name_in_use(options.bottleneck_dir, folders, name, fingerprint)
    cache = BottleneckCache(options.bottleneck_dir, name, chosen.bottleneck_size, fingerprint)
    extractor = Extractor(images.images, cache, lambda: backbone.run, spec, options.bottleneck_batch_size)
    return extractor.bottlenecks(indices)


def log_bottlenecks(bottlenecks: Bottlenecks, folder: str, seconds: float) -> None:
    """Log how many bottlenecks were made and read, and how fast."""
    rate = f", {bottlenecks.n_made / seconds:.0f} images/s" if bottlenecks.n_made else ""
    made, read = bottlenecks.n_made, bottlenecks.n_read
    step_logger.info("%d bottlenecks made, %d read from %s (%.1f s%s).", made, read, folder, seconds, rate)


class Extractor:
    """Source of the bottlenecks of N images: the cache, and a network for those that are not in it."""

    def __init__(
        self,
        images: Sequence[LabelledImage],
        cache: BottleneckCache,
        network: Callable[[], BatchFunction],
        spec: InputSpec,
        batch_size: int | None = None,
    ) -> None:
        """Make an extractor; nothing is read yet.

        Args:
            images: N images.
            cache: where bottlenecks are kept.
            network: returns the function float32 [B, H, W, 3] → float32 [B, D]; called only if a bottleneck is made or checked.
            spec: the network's input.
            batch_size: number of images that go through the network together; None selects a suitable one.
        """
        self._images, self._cache, self._network = images, cache, network
        self._spec, self._batch_size = spec, batch_size
        self._values = np.empty((len(images), cache.bottleneck_size), np.float32)
        self._failed: dict[int, str] = {}
        self._n_made = 0

    def bottlenecks(self, indices: Sequence[int]) -> Bottlenecks:
        """Read the bottlenecks at `indices`, or make and cache them. To be called once.

        Raises:
            OutputError: the cache's folder cannot be written to.
        """
        stale = self._read(indices)
        unrecorded = [i for i in indices if i not in stale and not self._cache.is_recorded(self._images[i])]
        if unrecorded:  # Another run may have made them a moment ago: then their records are there by now.
            self._cache.forget_records()
            recorded = [i for i in unrecorded if self._cache.is_recorded(self._images[i])]
            advance(-len(recorded))  # They are counted again.
            stale.update(self._read(recorded))
            unrecorded = sorted(set(unrecorded).difference(recorded))
        if unrecorded and not self._match(unrecorded):
            advance(-len(unrecorded))
            stale.update(dict.fromkeys(unrecorded, Stale.MISMATCH))
        if stale:
            with self._cache.making() as waited:
                stale = self._read_again(stale, waited)
                _log_reasons(stale)
                if stale:
                    self._make(sorted(stale))
        self._values.flags.writeable = False
        digests = self._cache.digests({index: self._images[index] for index in indices if index not in self._failed})
        n_read, failed = len(indices) - len(stale), MappingProxyType(self._failed)
        return Bottlenecks(self._values, self._n_made, n_read, failed, MappingProxyType(digests))

    def _read(self, indices: Sequence[int]) -> dict[int, Stale]:
        """Fill in the rows that are in the cache; return why the others are not."""
        stale = {}
        for index, reason in self._reasons(indices):
            raise_if_interrupted()
            if reason:
                stale[index] = reason
            else:
                advance()
        return stale

    def _reasons(self, indices: Sequence[int]) -> Iterator[tuple[int, Stale | None]]:
        """Fill in the row of each usable bottleneck. Yield each index, with the reason if it has none."""
        unread = list(indices)
        if len(indices) >= MANY:
            unread = []
            paths = [self._cache.path(self._images[index]) for index in indices]
            for start, rows in read_rows(paths, self._cache.bottleneck_size, N_CORES):
                chosen = indices[start : start + len(rows)]
                self._values[chosen] = rows
                whole = np.isfinite(rows).all(axis=1)
                for index, is_whole in zip(chosen, whole.astype(bool).tolist(), strict=True):
                    if is_whole:
                        yield index, self._cache.check_record(self._images[index])
                    else:
                        unread.append(index)
        for index in unread:
            found = self._cache.read(self._images[index])
            if isinstance(found, Stale):
                yield index, found
            else:
                self._values[index] = found
                yield index, None

    def _read_again(self, stale: dict[int, Stale], waited: bool) -> dict[int, Stale]:
        """Return what is still stale, now that no other run makes bottlenecks.

        Another run may have made missing bottlenecks by now. It can only have replaced stale ones if this run waited for it.
        """

        def may_be_made(index: int, reason: Stale) -> bool:
            return reason is Stale.MISSING or (waited and self._cache.is_recorded(self._images[index]))

        again = [index for index, reason in stale.items() if may_be_made(index, reason)]
        still = self._read(again)
        unchanged = stale.keys() - set(again)
        return {index: stale[index] for index in unchanged} | still

    def _match(self, unrecorded: Sequence[int]) -> bool:
        """Compare a sample of the bottlenecks without records, such as those written by the original, with their images.

        If all of them match, the bottlenecks get records and are not checked again. Return False if one does not match.
        """
        there = [index for index in unrecorded if os.path.exists(self._images[index].path)]
        sample = [there[i] for i in np.linspace(0, len(there) - 1, min(SAMPLE, len(there))).astype(int)]
        n_checked = n_mismatches = 0
        for indices, made in run_network(self._loader(sample), self._network) if sample else ():
            difference = np.linalg.norm(made - self._values[indices], axis=1)
            n_mismatches += int((difference > LARGEST_DIFFERENCE * np.linalg.norm(made, axis=1)).sum())
            n_checked += len(indices)
        if n_mismatches:
            logger.warning("%d of %d bottlenecks that came without a record do not fit their images.", n_mismatches, n_checked)
            return False
        if n_checked:
            text = "%d of %d bottlenecks that came without a record were checked against their images: all fit."
            logger.info(text, n_checked, len(unrecorded))
            self._cache.adopt(self._images[index] for index in there)
        return True

    def _make(self, indices: Sequence[int]) -> None:
        """Make the bottlenecks at `indices`, and cache each as soon as its batch has gone through the network."""
        mtimes_ns = {index: _mtime_ns(self._images[index].path) for index in indices}

        def keep(chosen: Sequence[int], values: FloatArray) -> None:
            self._cache.keep([self._images[i] for i in chosen], values, [mtimes_ns[i] for i in chosen])

        loader = self._loader(indices)
        with ThreadPoolExecutor(max_workers=1) as writer:
            written: Future[None] | None = None
            for chosen, outputs in run_network(loader, self._network):
                if written:
                    written.result()  # At most one batch waits to be written: memory stays bounded, errors show early.
                written = writer.submit(keep, chosen.tolist(), outputs)
                self._values[chosen] = outputs
                before, self._n_made = self._n_made, self._n_made + len(chosen)
                advance(len(chosen))
                if self._n_made // LOG_EVERY > before // LOG_EVERY:
                    step_logger.info("%d of %d bottlenecks made.", self._n_made, len(indices))
            if written:
                written.result()
        self._failed = loader.failed
        advance(len(loader.failed))
        loader.remarks.warn_of_nearly_black({index: self._images[index].path for index in indices})

    def _loader(self, indices: Sequence[int]) -> ImageLoader:
        return ImageLoader({index: self._images[index].path for index in indices}, self._spec, self._batch_size)


def _log_reasons(stale: dict[int, Stale]) -> None:
    for reason, count in Counter(stale.values()).items():
        if reason is not Stale.MISSING:
            logger.info("%d bottlenecks are made again: %s.", count, reason.value)


def _mtime_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return -1
