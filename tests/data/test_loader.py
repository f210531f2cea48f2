"""Loading of image files in batches: none lost, none mixed up, none changed by its batch except in the last bits."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrain.arrays import BatchFunction, FloatArray
from retrain.backbones.backbone import Backbone, load_backbone
from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.backbones.published import BUNDLED
from retrain.data.loader import (
    BATCH_BYTES,
    MAX_BATCH_SIZE,
    N_CORES,
    ImageLoader,
    decoded_batches,
    run_network,
    suitable_batch_size,
)
from retrain.input_spec import InputSpec
from tests.conftest import ROOT
from tests.support.tolerance import assert_same_bottlenecks

SMALL = InputSpec(8, 8, 0.0, 1.0)


def write_plain_pictures(folder: Path, count: int) -> list[str]:
    """Write PNGs of one colour each; picture i has the red of `red_of(i)`. Return their paths."""
    for i in range(count):
        Image.new("RGB", (5, 4), (red_of(i), 30, 60)).save(folder / f"{i:03d}.png")
    return [str(folder / f"{i:03d}.png") for i in range(count)]


def red_of(i: int) -> int:
    return i * 37 % 251  # 251 is prime: the first 251 pictures all differ


def mean_red(images: FloatArray) -> FloatArray:
    """Return each image's mean red, float32 [B, 1]: a network."""
    return images[..., 0].mean(axis=(1, 2))[:, np.newaxis]


class RecordingNetwork:
    """`mean_red`, with a record of the size of each batch, and of how often it was made."""

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
    files: Mapping[int, str] | Sequence[str], network: Callable[[], BatchFunction], spec: InputSpec, batch_size: int | None = None
) -> tuple[list[int], FloatArray, dict[int, str]]:
    """Return the indices and outputs of all batches together, and the failures. The indices of a sequence count from 0."""
    loader = ImageLoader(files if isinstance(files, Mapping) else dict(enumerate(files)), spec, batch_size)
    indices: list[int] = []
    rows: list[FloatArray] = []
    for batch, values in run_network(loader, network):
        assert batch.dtype == np.int64
        assert len(batch) == len(values)
        indices += batch.tolist()
        rows.extend(values)
    return indices, np.array(rows), loader.failed


def test_all_images_are_seen_once_in_order_with_their_own_output(tmp_path: Path) -> None:
    network, count = RecordingNetwork(), 150
    indices, values, failed = outputs_of(write_plain_pictures(tmp_path, count), network.make, SMALL)
    assert indices == list(range(count))
    assert values[:, 0].tolist() == [red_of(i) for i in range(count)]
    assert failed == {}
    assert network.n_made == 1
    assert network.batch_sizes == [64, 64, 64], "the last batch is padded, so that the runtime always takes the same path"


@pytest.mark.parametrize(("batch_size", "batches"), [(1, [1] * 7), (3, [3, 3, 3]), (100, [100])])
def test_the_size_of_batches_can_be_chosen(batch_size: int, batches: list[int], tmp_path: Path) -> None:
    network = RecordingNetwork()
    indices, values, failed = outputs_of(write_plain_pictures(tmp_path, 7), network.make, SMALL, batch_size)
    assert indices == list(range(7))
    assert values[:, 0].tolist() == [red_of(i) for i in range(7)]
    assert failed == {}
    assert network.batch_sizes == batches


@pytest.mark.parametrize("batch_size", [None, 1, 2])
def test_indices_are_the_callers_own_also_for_failures(batch_size: int | None, tmp_path: Path) -> None:
    """Indices with gaps, in no order: PNGs, TIFFs, and two files that are no images."""
    paths = write_plain_pictures(tmp_path, 7)
    files = dict(zip([90, 7, 31, 2, 1000, 55, 8], paths, strict=True))
    for index in (31, 55):
        Image.new("RGB", (5, 4), (222 + index % 10, 30, 60)).save(files[index], "TIFF")
    for index in (7, 1000):
        Path(files[index]).write_bytes(b"some text")
    loader = ImageLoader(files, SMALL, batch_size)
    reds: dict[int, float] = {}
    for indices, images in loader:
        assert indices.dtype == np.int64
        assert images.shape == (len(indices), 8, 8, 3)
        reds.update(zip(indices.tolist(), mean_red(images)[:, 0].tolist(), strict=True))
    assert list(reds) == [90, 31, 2, 55, 8], "in the caller's order"
    assert reds == {90: red_of(0), 2: red_of(3), 8: red_of(6), 31: 223, 55: 227}
    assert loader.failed == dict.fromkeys([7, 1000], "it is no image in a known format")
    seen, values, failed = outputs_of(files, lambda: mean_red, SMALL, batch_size)
    assert dict(zip(seen, values[:, 0].tolist(), strict=True)) == reds
    assert failed == loader.failed


def test_a_bad_image_does_not_cost_its_batch(tmp_path: Path) -> None:
    paths = write_plain_pictures(tmp_path, 12)
    Path(paths[3]).write_bytes(b"some text")
    Path(paths[7]).write_bytes(b"")
    os.unlink(paths[11])
    indices, values, failed = outputs_of(paths, lambda: mean_red, SMALL)
    assert indices == [0, 1, 2, 4, 5, 6, 8, 9, 10]
    assert values[:, 0].tolist() == [red_of(i) for i in indices]
    assert failed == {3: "it is no image in a known format", 7: "the file is empty", 11: "No such file or directory"}


def test_an_image_that_only_pillow_reads_is_used(tmp_path: Path) -> None:
    paths = write_plain_pictures(tmp_path, 5)
    Image.new("RGB", (5, 4), (222, 30, 60)).save(paths[1], "TIFF")
    indices, values, failed = outputs_of(paths, lambda: mean_red, SMALL)
    assert sorted(indices) == [0, 1, 2, 3, 4]
    assert values[indices.index(1), 0] == 222
    assert failed == {}


def test_only_bad_images(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(b"some text")
    indices, _, failed = outputs_of([str(tmp_path / "text.jpg")], lambda: mean_red, SMALL)
    assert indices == []
    assert list(failed) == [0]


def test_all_loaders_share_the_threads(tmp_path: Path) -> None:
    """One for each core, however many loaders there are at once."""
    paths = {index: str(tmp_path / f"{index}.png") for index in range(4)}
    for path in paths.values():
        Image.new("RGB", (8, 8)).save(path)
    loaders = [ImageLoader(paths, SMALL, batch_size=2) for _ in range(5)]
    assert [[indices.tolist() for indices, _ in loader] for loader in loaders] == [[[0, 1], [2, 3]]] * 5
    assert 1 <= sum(thread.name.startswith("decoder") for thread in threading.enumerate()) <= N_CORES


FORKED = """
import os
import numpy as np
from retrain.data.loader import ImageLoader
from retrain.input_spec import InputSpec

def decode(index):
    [(indices, _)] = ImageLoader({index: np.zeros((8, 8, 3), np.uint8)}, InputSpec(8, 8, 0.0, 1.0))
    return int(indices[0])

decode(3)
number = os.fork()
if number == 0:
    os._exit(decode(7))
print(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_has_threads_of_its_own() -> None:
    """Those of its parent do not exist there."""
    command = [sys.executable, "-c", FORKED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert (done.stdout, done.stderr) == ("7\n", "")


def test_images_that_nobody_waits_for_any_more_are_not_decoded() -> None:
    drawn: list[int] = []
    decoding, free = threading.Event(), threading.Event()

    def decode(number: int) -> FloatArray:
        drawn.append(number)
        if number >= 2:  # The first batch is whole.
            decoding.set()
            assert free.wait(60)
        return np.zeros((8, 8, 3), np.float32)

    batches = decoded_batches(range(1000), decode, SMALL, 2)
    next(batches)
    assert decoding.wait(60)
    batches.close()  # type: ignore[attr-defined]
    free.set()
    list(ImageLoader({0: np.zeros((8, 8, 3), np.uint8)}, SMALL))  # It comes after all that was not cancelled.
    assert len(drawn) <= 2 + N_CORES


def test_no_images_return_nothing() -> None:
    loader = ImageLoader({}, SMALL)
    assert list(run_network(loader, lambda: mean_red)) == []
    assert loader.failed == {}


def test_names_that_are_no_unicode_are_found(tmp_path: Path) -> None:
    [path] = write_plain_pictures(tmp_path, 1)
    odd = os.path.join(str(tmp_path), os.fsdecode(b"caf\xe9 \xff.png"))
    os.rename(path, odd)
    indices, values, failed = outputs_of([odd], lambda: mean_red, SMALL)
    assert (indices, values.tolist(), failed) == ([0], [[red_of(0)]], {})


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


@pytest.mark.slow
def test_partners_in_the_batch_do_not_matter_to_the_bundled_network(small_photos: Path) -> None:
    check_that_partners_do_not_matter(bundled(), sorted(map(str, small_photos.glob("*/*.jpg"))))


@pytest.mark.slow
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
def test_the_batch_size_suits_the_processors_caches(pixels: int, size: int) -> None:
    spec = InputSpec(pixels, pixels, 0.0, 1.0)
    assert suitable_batch_size(spec) == size
    assert 1 <= size <= MAX_BATCH_SIZE
    assert size == 1 or size * pixels * pixels * 3 * 4 <= BATCH_BYTES
