"""Batches of the images that wait."""

import asyncio
import io
import threading
from collections.abc import Sequence

import numpy as np
import PIL.Image
import pytest

from label_image.classify import Classification
from label_image.opening import Classifier
from label_image.scoring import Scorer
from label_image.serve.batcher import Batcher, Outcome
from label_image.serve.refusal import RefusedError
from retrain.arrays import FloatArray
from retrain.data.decode import MAX_PIXELS
from retrain.engines.choice import Work
from retrain.errors import GraphError
from tests.support.serving import HANGS, colours_classifier, mean_colour


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (8, 8)) -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", size, colour).save(file, "PNG")
    return file.getvalue()


RED, GREEN, BLUE, DAMAGED = picture((255, 0, 0)), picture((0, 255, 0)), picture((0, 0, 255)), b"no image"


class Gate:
    """A network that waits until it is opened, and keeps the number of images in each batch."""

    def __init__(self) -> None:
        self.counts: list[int] = []
        self.reached, self.opened = threading.Event(), threading.Event()
        self.one_by_one = True  # Batches are not padded.

    def __call__(self, images: FloatArray) -> FloatArray:
        self.counts.append(len(images))
        self.reached.set()
        assert self.opened.wait(HANGS)
        return mean_colour(images)


def batcher_of(classifier: Classifier, most_waiting: int = 1000) -> Batcher:
    return Batcher(Scorer(classifier, Work()), most_waiting)


def best(outcomes: Sequence[Outcome]) -> list[str | None]:
    """Return the best labels; the reasons of images that cannot be decoded."""
    return [outcome.label if isinstance(outcome, Classification) else str(outcome) for outcome in outcomes]


def test_answers_are_in_the_order_of_the_images() -> None:
    outcomes = asyncio.run(batcher_of(colours_classifier()).label([RED, DAMAGED, BLUE, b"", GREEN]))
    assert best(outcomes) == ["red", "it is no image in a known format", "blue", "the file is empty", "green"]
    [first] = [outcomes[0]]
    assert isinstance(first, Classification)
    assert (first.labels, first.scores, first.path) == (("red", "green", "blue"), (1.0, 0.0, 0.0), None)


def test_what_waits_is_run_together() -> None:
    gate = Gate()
    batcher = batcher_of(colours_classifier(gate))

    async def clients() -> list[list[str | None]]:
        first = asyncio.create_task(batcher.label([RED]))
        while not gate.reached.is_set():
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(batcher.label(images)) for images in ([GREEN], [BLUE, RED], [DAMAGED, GREEN])]
        await asyncio.sleep(0)  # They wait now.
        gate.opened.set()
        return [best(await each) for each in (first, *others)]

    assert asyncio.run(clients()) == [["red"], ["green"], ["blue", "red"], ["it is no image in a known format", "green"]]
    assert gate.counts == [1, 4]


def test_no_batch_is_larger_than_suitable() -> None:
    gate = Gate()
    gate.opened.set()
    assert best(asyncio.run(batcher_of(colours_classifier(gate)).label([BLUE] * 500))) == ["blue"] * 500
    assert sum(gate.counts) == 500
    assert max(gate.counts) <= 64


def test_images_of_many_pixels_are_decoded_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that their pixels fit into the memory: 64 of them would fill more than 100 gigabytes."""
    monkeypatch.setattr("label_image.serve.batcher.MAX_PIXELS", 200)  # Three images of 8 × 8, or one of 14 × 14.
    gate = Gate()
    gate.opened.set()
    large, larger = picture((0, 0, 255), (14, 14)), picture((0, 255, 0), (50, 50))
    images = [RED, RED, large, RED, larger, larger, RED, RED, RED, RED]
    outcomes = asyncio.run(batcher_of(colours_classifier(gate)).label(images))
    assert best(outcomes) == ["red", "red", "blue", "red", "green", "green", "red", "red", "red", "red"]
    assert gate.counts == [2, 1, 1, 1, 1, 3, 1]


def test_images_of_too_many_pixels_do_not_hold_up_others() -> None:
    file = io.BytesIO()
    PIL.Image.new("1", (MAX_PIXELS // 10_000 + 1, 10_000)).save(file, "PNG")
    outcomes = asyncio.run(batcher_of(colours_classifier()).label([file.getvalue(), GREEN]))
    assert best(outcomes) == ["it has more than 178,956,970 pixels", "green"]


def test_too_many_that_wait_are_refused() -> None:
    gate = Gate()
    batcher = batcher_of(colours_classifier(gate), most_waiting=3)

    async def clients() -> tuple[str, list[str | None]]:
        first = asyncio.create_task(batcher.label([RED]))
        while not gate.reached.is_set():
            await asyncio.sleep(0.001)
        second = asyncio.create_task(batcher.label([GREEN, BLUE]))
        await asyncio.sleep(0)
        with pytest.raises(RefusedError) as caught:
            await batcher.label([RED, RED])
        third = asyncio.create_task(batcher.label([RED]))
        await asyncio.sleep(0)
        gate.opened.set()
        assert caught.value.status == 503
        return caught.value.sentence, [label for each in (first, second, third) for label in best(await each)]

    sentence, labels = asyncio.run(clients())
    assert sentence == "2 images wait for the network already. Try again in a second."
    assert labels == ["red", "green", "blue", "red"]


def test_an_error_of_the_network_is_that_of_all_images_and_the_next_ones_are_labelled() -> None:
    failures = [ValueError("negative dimension")]

    def network(images: FloatArray) -> FloatArray:
        if failures:
            raise failures.pop()
        return mean_colour(images)

    batcher = batcher_of(colours_classifier(network))
    outcomes = asyncio.run(batcher.label([RED, GREEN]))
    assert [(type(each), str(each)) for each in outcomes] == [
        (GraphError, "The graph does not run with the input input:0: negative dimension")
    ] * 2
    assert best(asyncio.run(batcher.label([RED, GREEN]))) == ["red", "green"]


def test_a_fault_is_logged_and_the_next_images_are_labelled(logged: list[str]) -> None:
    failures = [KeyError("a fault")]

    def network(images: FloatArray) -> FloatArray:
        if failures:
            raise failures.pop()
        return mean_colour(images)

    batcher = batcher_of(colours_classifier(network))
    [outcome] = asyncio.run(batcher.label([RED]))
    assert isinstance(outcome, KeyError)
    [line] = logged
    assert line.startswith("ERROR: Images could not be labelled:\nTraceback (most recent call last):\n")
    assert line.endswith("KeyError: 'a fault'\n")
    assert best(asyncio.run(batcher.label([BLUE]))) == ["blue"]


def test_clients_that_are_gone_do_not_disturb_others() -> None:
    gate = Gate()
    batcher = batcher_of(colours_classifier(gate))

    async def leave() -> None:
        task = asyncio.create_task(batcher.label([RED]))
        while not gate.reached.is_set():
            await asyncio.sleep(0.001)
        task.cancel()

    async def stay() -> list[str | None]:
        await leave()
        gate.opened.set()
        return best(await batcher.label([GREEN]))

    asyncio.run(leave())  # Its loop is closed before there is an answer.
    gate.reached.clear()
    gate.opened.set()
    assert asyncio.run(stay()) == ["green"]


def test_a_graph_that_decodes_files_itself() -> None:
    def network(content: bytes) -> FloatArray:
        with PIL.Image.open(io.BytesIO(content)) as image:
            return np.asarray(image, np.float32).mean(axis=(0, 1))[np.newaxis] / 255

    classifier = Classifier(colours_classifier().description, network=lambda work: mean_colour, file_network=lambda: network)
    assert best(asyncio.run(batcher_of(classifier).label([RED, BLUE]))) == ["red", "blue"]
