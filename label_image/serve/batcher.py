"""Batches of the images that wait: whatever waits when the network is free is decoded and run together."""

import asyncio
import collections
import contextlib
import dataclasses
import itertools
import logging
import threading
import traceback
from collections.abc import Sequence
from typing import TypeAlias

from label_image.classify import Classification, classify_each
from label_image.scoring import Images, Scorer
from label_image.serve.refusal import RefusedError
from retrain.data.decode import MAX_PIXELS, declared_pixels
from retrain.data.loader import N_CORES, suitable_batch_size
from retrain.errors import RetrainError

logger = logging.getLogger("retrain")

# All labels of an image, the best first; or the reason why it cannot be decoded; or an error of the network.
Outcome: TypeAlias = Classification | str | Exception
# In a batch, at most: enough to keep all cores busy, and few enough for other clients to be answered meanwhile.
MOST_FOR_EACH_CORE = 8


@dataclasses.dataclass(frozen=True)
class _Waiting:
    image: bytes
    outcome: "asyncio.Future[Outcome]"


class Batcher:
    """Thread that labels the images of all requests in batches."""

    def __init__(self, scorer: Scorer, most_waiting: int) -> None:
        """Start the thread. It ends with the process."""
        description = scorer.classifier.description
        self._scorer, self._n_labels = scorer, len(description.labels)
        self._batch_size = min(suitable_batch_size(description.input_spec), MOST_FOR_EACH_CORE * N_CORES)
        self._most_waiting = most_waiting
        self._queue: collections.deque[_Waiting] = collections.deque()
        self._changed = threading.Condition()
        threading.Thread(target=self._work, name="batcher", daemon=True).start()

    async def label(self, images: Sequence[bytes]) -> list[Outcome]:
        """Label images; return what becomes of each, in their order. Raises RefusedError if too many wait already."""
        loop = asyncio.get_running_loop()
        waiting = [_Waiting(image, loop.create_future()) for image in images]
        with self._changed:
            if len(self._queue) + len(waiting) > self._most_waiting:
                raise RefusedError(503, f"{len(self._queue)} images wait for the network already. Try again in a second.")
            self._queue.extend(waiting)
            self._changed.notify()
        return [await each.outcome for each in waiting]

    def _work(self) -> None:
        while True:
            batch = self._next_batch()
            outcomes = self._outcomes([each.image for each in batch])
            by_loop = collections.defaultdict(list)
            for each, outcome in zip(batch, outcomes, strict=True):
                by_loop[each.outcome.get_loop()].append((each.outcome, outcome))
            for loop, pairs in by_loop.items():
                with contextlib.suppress(RuntimeError):  # The loop is closed: the server ends.
                    loop.call_soon_threadsafe(_deliver, pairs)

    def _next_batch(self) -> list[_Waiting]:
        with self._changed:
            while not self._queue:
                self._changed.wait()
            first = list(itertools.islice(self._queue, self._batch_size))
        count = _n_together([each.image for each in first])
        with self._changed:
            return [self._queue.popleft() for _ in range(count)]

    def _outcomes(self, contents: list[bytes]) -> list[Outcome]:
        images = Images(contents, len(contents))
        try:
            found = dict(classify_each(self._scorer, images, self._n_labels))
        except RetrainError as error:
            return [error] * len(contents)
        except Exception as error:
            logger.exception("Images could not be labelled:\n%s", traceback.format_exc())
            return [error] * len(contents)
        return [found[index] if index in found else images.failed[index] for index in range(len(contents))]


def _n_together(images: Sequence[bytes]) -> int:
    """Return how many of the images, the first ones, are decoded together: their pixels have to fit into the memory."""
    pixels = itertools.accumulate(map(declared_pixels, images))
    return max(1, sum(1 for _ in itertools.takewhile(lambda total: total <= MAX_PIXELS, pixels)))


def _deliver(pairs: "list[tuple[asyncio.Future[Outcome], Outcome]]") -> None:
    for future, outcome in pairs:
        if not future.done():  # A client that is gone does not wait any more.
            future.set_result(outcome)
