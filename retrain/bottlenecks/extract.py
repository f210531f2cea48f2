"""Images → bottlenecks: read from the cache, or made and kept, while the next batch is decoded and run."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from retrain.arrays import BatchFunction, FloatArray
from retrain.bottlenecks.cache import BottleneckCache, Bottlenecks, Stale
from retrain.bottlenecks.parallel_read import read_rows
from retrain.data.image_folder import LabelledImage
from retrain.data.loader import N_CORES, run_network
from retrain.input_spec import InputSpec
from retrain.process.interruption import raise_if_interrupted

logger = logging.getLogger("retrain")


LOG_EVERY = 100
MANY = 5000  # Bottlenecks from which on it pays to start processes to read them.
SAMPLE = 16  # Of those that came without a record.
# Share of its length by which a bottleneck may differ from what is made here. Decoders and arithmetic of other years and machines
# make a thousandth; of two photos of one flower, half.
MISFIT = 0.1


def cached_bottlenecks(
    images: Sequence[LabelledImage],
    positions: Sequence[int],
    cache: BottleneckCache,
    network: Callable[[], BatchFunction],
    spec: InputSpec,
    bottleneck_size: int,
    batch_size: int | None = None,
) -> Bottlenecks:
    """Reads the bottlenecks at `positions` from the cache, and makes and keeps those that are missing or stale.

    Args:
        images: N images.
        positions: which of them are wanted.
        cache: where bottlenecks are kept.
        network: gives float32 [B, H, W, 3] → float32 [B, D]; called only if a bottleneck has to be made.
        spec: the network's input.
        bottleneck_size: D.
        batch_size: how many images go through the network together; None chooses.
    """
    result = Bottlenecks(np.empty((len(images), bottleneck_size), np.float32))
    stale = _read_all(images, positions, cache, result.values)
    unrecorded = [p for p in positions if p not in stale and not cache.is_recorded(images[p])]
    if unrecorded:  # Another run may have made them in these very moments: then their records are there by now.
        cache.forget_records()
        recorded = [p for p in unrecorded if cache.is_recorded(images[p])]
        stale.update(_read_all(images, recorded, cache, result.values))
        unrecorded = sorted(set(unrecorded).difference(recorded))
    if unrecorded and not _fit(images, unrecorded, cache, network, spec, batch_size, result.values):
        stale.update(dict.fromkeys(unrecorded, Stale.MISFIT))
    if stale:
        with cache.making() as waited:
            stale = _read_again(images, stale, waited, cache, result.values)
            _log_reasons(stale)
            if stale:
                _make(images, sorted(stale), cache, network, spec, batch_size, result)
    result.n_read = len(positions) - len(stale)
    return result


def _read_all(
    images: Sequence[LabelledImage], positions: Sequence[int], cache: BottleneckCache, values: FloatArray
) -> dict[int, Stale]:
    """Reads what is in the cache into `values`, float32 [N, D]; says why the rest is not."""
    stale = {}
    for position, found in _read(images, positions, cache, values):
        raise_if_interrupted()
        if found:
            stale[position] = found
    return stale


def _read_again(
    images: Sequence[LabelledImage], stale: dict[int, Stale], waited: bool, cache: BottleneckCache, values: FloatArray
) -> dict[int, Stale]:
    """What is still stale, now that no other run makes bottlenecks.

    What was missing may be there now; what another run made in the place of others only matters if this run waited for it.
    """

    def may_be_made(position: int, reason: Stale) -> bool:
        return reason is Stale.MISSING or (waited and cache.is_recorded(images[position]))

    again = [position for position, reason in stale.items() if may_be_made(position, reason)]
    still = _read_all(images, again, cache, values)
    unchanged = stale.keys() - set(again)
    return {position: stale[position] for position in unchanged} | still


def _log_reasons(stale: dict[int, Stale]) -> None:
    for reason, count in Counter(stale.values()).items():
        if reason is not Stale.MISSING:
            logger.info("%d bottlenecks are made again: %s.", count, reason.value)


def _fit(
    images: Sequence[LabelledImage],
    unrecorded: Sequence[int],
    cache: BottleneckCache,
    network: Callable[[], BatchFunction],
    spec: InputSpec,
    batch_size: int | None,
    values: FloatArray,
) -> bool:
    """Whether a sample of bottlenecks that nothing is known of, such as the original's, is what their images give.

    If so, all are adopted, and not checked again.
    """
    there = [position for position in unrecorded if os.path.exists(images[position].path)]
    sample = [there[place] for place in np.linspace(0, len(there) - 1, min(SAMPLE, len(there))).astype(int)]
    checked = n_misfits = 0
    paths = [images[position].path for position in sample]
    for places, made in run_network(paths, network, spec, {}, batch_size) if sample else ():
        difference = np.linalg.norm(made - values[[sample[place] for place in places]], axis=1)
        n_misfits += int((difference > MISFIT * np.linalg.norm(made, axis=1)).sum())
        checked += len(places)
    if n_misfits:
        logger.warning("%d of %d bottlenecks that came without a record do not fit their images.", n_misfits, checked)
        return False
    if checked:
        text = "%d of %d bottlenecks that came without a record were checked against their images: all fit."
        logger.info(text, checked, len(unrecorded))
        cache.adopt(images[position] for position in there)
    return True


def _read(
    images: Sequence[LabelledImage], positions: Sequence[int], cache: BottleneckCache, values: FloatArray
) -> Iterator[tuple[int, Stale | None]]:
    """Fills `values`, float32 [N, D], at each position that has a usable bottleneck, and says why another has none."""
    unread = list(positions)
    if len(positions) >= MANY:
        unread = []
        for start, rows in read_rows([cache.path(images[p]) for p in positions], values.shape[1], N_CORES):
            chosen = positions[start : start + len(rows)]
            values[chosen] = rows
            whole = np.isfinite(rows).all(axis=1)
            for position, is_whole in zip(chosen, whole.astype(bool).tolist(), strict=True):
                if is_whole:
                    yield position, cache.check_record(images[position])
                else:
                    unread.append(position)
    for position in unread:
        found = cache.read(images[position])
        if isinstance(found, Stale):
            yield position, found
        else:
            values[position] = found
            yield position, None


def _make(
    images: Sequence[LabelledImage],
    positions: list[int],
    cache: BottleneckCache,
    network: Callable[[], BatchFunction],
    spec: InputSpec,
    batch_size: int | None,
    result: Bottlenecks,
) -> None:
    """Fills `result` at `positions`, and keeps each bottleneck as soon as its batch is through the network."""
    mtimes_ns = [_mtime_ns(images[position].path) for position in positions]

    def keep(chosen: Sequence[int], values: FloatArray) -> None:
        cache.keep([images[positions[place]] for place in chosen], values, [mtimes_ns[place] for place in chosen])

    with ThreadPoolExecutor(max_workers=1) as writer:
        written: Future[None] | None = None
        for chosen, outputs in run_network([images[p].path for p in positions], network, spec, result.failed, batch_size):
            if written:
                written.result()  # One batch may wait to be written, no more: memory stays bounded, errors show early.
            written = writer.submit(keep, chosen, outputs)
            result.values[[positions[place] for place in chosen]] = outputs
            before, result.n_made = result.n_made, result.n_made + len(chosen)
            if result.n_made // LOG_EVERY > before // LOG_EVERY:
                logger.info("%d of %d bottlenecks made.", result.n_made, len(positions))
        if written:
            written.result()
    result.failed = {positions[place]: reason for place, reason in result.failed.items()}


def _mtime_ns(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return -1
