"""Image files through a network, in batches: none lost, none mixed up, none changed by its neighbours but in the last bits."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrain.arrays import BatchFunction, FloatArray
from retrain.backbones.backbone import Backbone, load_backbone
from retrain.backbones.catalog import BUNDLED, find_architecture
from retrain.backbones.download import read_graph_file
from retrain.data.loader import BATCH_BYTES, MAX_BATCH_SIZE, run_network, suitable_batch_size
from retrain.input_spec import InputSpec
from tests.support.tolerance import assert_same_bottlenecks

SMALL = InputSpec(8, 8, 0.0, 1.0)


def write_plain_pictures(folder: Path, count: int) -> list[str]:
    """PNGs of one colour each; picture i has the red of `red_of(i)`."""
    for i in range(count):
        Image.new("RGB", (5, 4), (red_of(i), 30, 60)).save(folder / f"{i:03d}.png")
    return [str(folder / f"{i:03d}.png") for i in range(count)]


def red_of(i: int) -> int:
    return i * 37 % 251  # 251 is prime: the first 251 pictures all differ


def mean_red(images: FloatArray) -> FloatArray:
    """A network whose only output is the image's mean red, float32 [B, 1]."""
    return images[..., 0].mean(axis=(1, 2))[:, np.newaxis]


class RecordingNetwork:
    """`mean_red`, which remembers the size of each batch, and how often it was asked for."""

    def __init__(self) -> None:
        self.n_made = 0
        self.batch_sizes: list[int] = []

    def make(self) -> BatchFunction:
        self.n_made += 1
        return self.run

    def run(self, images: FloatArray) -> FloatArray:
        self.batch_sizes.append(len(images))
        return mean_red(images)


def outputs_of(
    paths: Sequence[str], network: Callable[[], BatchFunction], spec: InputSpec
) -> tuple[list[int], FloatArray, dict[int, str]]:
    """The positions and outputs of all batches together, and the failures."""
    failed: dict[int, str] = {}
    positions: list[int] = []
    rows: list[FloatArray] = []
    for places, values in run_network(paths, network, spec, failed):
        assert len(places) == len(values)
        positions += places
        rows.extend(values)
    return positions, np.array(rows), failed


def test_all_images_are_seen_once_in_order_with_their_own_output(tmp_path: Path) -> None:
    network, count = RecordingNetwork(), 150
    positions, values, failed = outputs_of(write_plain_pictures(tmp_path, count), network.make, SMALL)
    assert positions == list(range(count))
    assert values[:, 0].tolist() == [red_of(i) for i in range(count)]
    assert failed == {}
    assert network.n_made == 1
    assert network.batch_sizes == [64, 64, 64], "the last batch is filled up, so that the runtime always takes the same path"


@pytest.mark.parametrize(("batch_size", "batches"), [(1, [1] * 7), (3, [3, 3, 3]), (100, [100])])
def test_the_size_of_batches_can_be_chosen(batch_size: int, batches: list[int], tmp_path: Path) -> None:
    network, failed = RecordingNetwork(), dict[int, str]()
    found = list(run_network(write_plain_pictures(tmp_path, 7), network.make, SMALL, failed, batch_size))
    assert [place for places, _ in found for place in places] == list(range(7))
    assert [value for _, values in found for value in values[:, 0].tolist()] == [red_of(i) for i in range(7)]
    assert network.batch_sizes == batches


def test_a_bad_image_does_not_cost_its_batch(tmp_path: Path) -> None:
    paths = write_plain_pictures(tmp_path, 12)
    Path(paths[3]).write_bytes(b"some text")
    Path(paths[7]).write_bytes(b"")
    os.unlink(paths[11])
    positions, values, failed = outputs_of(paths, lambda: mean_red, SMALL)
    assert positions == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert values[:, 0].tolist() == [red_of(i) for i in positions]
    assert failed == {3: "it is no image in a known format", 7: "the file is empty", 11: "No such file or directory"}


def test_an_image_that_only_pillow_reads_is_used(tmp_path: Path) -> None:
    paths = write_plain_pictures(tmp_path, 5)
    Image.new("RGB", (5, 4), (222, 30, 60)).save(paths[1], "TIFF")
    positions, values, failed = outputs_of(paths, lambda: mean_red, SMALL)
    assert sorted(positions) == [0, 1, 2, 3, 4]
    assert values[positions.index(1), 0] == 222
    assert failed == {}


def test_only_bad_images(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"some text")
    positions, _, failed = outputs_of([str(tmp_path / "text.jpg")], lambda: mean_red, SMALL)
    assert positions == []
    assert list(failed) == [0]


def test_no_images_give_nothing() -> None:
    assert list(run_network([], lambda: mean_red, SMALL, {})) == []


def test_names_that_are_no_unicode_are_found(tmp_path: Path) -> None:
    [path] = write_plain_pictures(tmp_path, 1)
    odd = os.path.join(str(tmp_path), os.fsdecode(b"caf\xe9 \xff.png"))
    os.rename(path, odd)
    positions, values, failed = outputs_of([odd], lambda: mean_red, SMALL)
    assert (positions, values.tolist(), failed) == ([0], [[red_of(0)]], {})


def bundled() -> Backbone:
    architecture = find_architecture(BUNDLED)
    return load_backbone(architecture, read_graph_file(architecture, ""))


def mobilenet(model_dir: Path) -> Backbone:
    architecture = find_architecture("mobilenet_0.25_128")
    return load_backbone(architecture, read_graph_file(architecture, str(model_dir)))


def check_that_partners_do_not_matter(backbone: Backbone, paths: list[str]) -> None:
    spec = backbone.architecture.input_spec
    _, together, _ = outputs_of(paths, lambda: backbone.run, spec)
    _, backwards, _ = outputs_of(paths[::-1], lambda: backbone.run, spec)
    alone = np.concatenate([outputs_of([path], lambda: backbone.run, spec)[1] for path in paths[:3]])
    assert_same_bottlenecks(backwards[::-1], together)
    assert_same_bottlenecks(alone, together[:3])


def test_partners_in_the_batch_do_not_matter_to_the_bundled_network(small_photos: Path) -> None:
    check_that_partners_do_not_matter(bundled(), sorted(map(str, small_photos.glob("*/*.jpg"))))


def test_partners_in_the_batch_do_not_matter_to_mobilenet(mobilenet_model_dir: Path, flower_photos: Path) -> None:
    photos = sorted(map(str, flower_photos.glob("*/*.jpg")))[::9]
    assert len(photos) == 67  # of 600: a full batch and three more
    check_that_partners_do_not_matter(mobilenet(mobilenet_model_dir), photos)


@pytest.mark.parametrize(
    ("pixels", "size"),
    [
        (128, 64),  # 16 MiB / (128 · 128 · 3 · 4 bytes) = 85, but never more than 64
        (192, 37),
        (224, 27),
        (299, 15),
        (1182, 1),  # one image is just below 16 MiB
        (1183, 1),  # and here a little above
        (20_000, 1),
        (1, 64),
    ],
)
def test_batches_are_as_large_as_the_processors_caches_like(pixels: int, size: int) -> None:
    spec = InputSpec(pixels, pixels, 0.0, 1.0)
    assert suitable_batch_size(spec) == size
    assert 1 <= size <= MAX_BATCH_SIZE
    assert size == 1 or size * pixels * pixels * 3 * 4 <= BATCH_BYTES
