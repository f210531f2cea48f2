"""Bottlenecks of images: which are made, which are read, and what is logged about it."""

import dataclasses
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrain.arrays import BatchFunction, FloatArray
from retrain.backbones.backbone import Backbone, load_backbone
from retrain.backbones.catalog import find_architecture
from retrain.backbones.download import read_graph_file
from retrain.bottlenecks.cache import BottleneckCache, Bottlenecks
from retrain.bottlenecks.extract import Extractor, load_bottlenecks
from retrain.data.image_lists import ImageLists, LabelledImage
from retrain.errors import OutputError
from retrain.input_spec import InputSpec
from retrain.options.bottlenecks import BottleneckOptions
from retrain.process.progress import Progress, progress_to, progressing

SPEC = InputSpec(8, 8, 0.0, 1.0)
SIZE = 3
N_REFERENCES = 30  # In `reference/bottlenecks`, says its README.


def colour_of(i: int) -> tuple[int, int, int]:
    return i % 256, 255 - i % 256, 3 * i % 256


def write_images(folder: Path, count: int) -> list[LabelledImage]:
    """Write pictures of one colour each, in two class folders."""
    images = []
    for i in range(count):
        class_folder, name = ("even", "odd")[i % 2], f"{i:03d}.png"
        (folder / class_folder).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), colour_of(i)).save(folder / class_folder / name)
        images.append(LabelledImage(str(folder / class_folder / name), class_folder, name, i % 2, "training"))
    return images


def mean_colour(images: FloatArray) -> FloatArray:
    """Return each image's mean colour, float32 [B, 3]: a network."""
    return images.mean(axis=(1, 2))


def mean_colour_network() -> BatchFunction:
    return mean_colour


def no_network() -> BatchFunction:
    raise AssertionError("the network was made, though nothing has to go through it")


class Extraction:
    """Several runs over one image folder and one cache, like those of the command."""

    def __init__(self, folder: Path, count: int) -> None:
        self.images = write_images(folder / "photos", count)
        self.cache_dir = folder / "cache"

    def run(
        self,
        indices: Sequence[int] | None = None,
        network: Callable[[], BatchFunction] = mean_colour_network,
        fingerprint: str = "network 1",
    ) -> Bottlenecks:
        cache = BottleneckCache(str(self.cache_dir), "colours", SIZE, fingerprint)
        extractor = Extractor(self.images, cache, network, SPEC)
        chosen = range(len(self.images)) if indices is None else indices
        seen: list[Progress] = []
        with progress_to(seen.append), progressing("bottlenecks", len(chosen), "images"):
            found = extractor.bottlenecks(chosen)
        # Whatever was read, made again or failed: each image is counted once in the end.
        assert seen[-1] == Progress(phase="bottlenecks", done=len(chosen), total=len(chosen), unit="images")
        assert all(0 <= each.done <= len(chosen) for each in seen)
        return found

    def text_files(self) -> list[str]:
        return sorted(path.name for path in self.cache_dir.glob("*/*.txt"))

    def edit(self, index: int, colour: tuple[int, int, int]) -> None:
        path, status = self.images[index].path, os.stat(self.images[index].path)
        Image.new("RGB", (4, 4), colour).save(path)
        os.utime(path, ns=(status.st_mtime_ns + 10**9, status.st_mtime_ns + 10**9))


def colours(indices: Sequence[int]) -> FloatArray:
    return np.array([colour_of(i) for i in indices], np.float32)


def test_all_are_made_then_all_are_read_without_a_network(tmp_path: Path) -> None:
    extraction = Extraction(tmp_path, 10)
    made = extraction.run()
    assert (made.n_made, made.n_read, made.failed) == (10, 0, {})
    np.testing.assert_array_equal(made.values, colours(range(10)))
    read = extraction.run(network=no_network)
    assert (read.n_made, read.n_read, read.failed) == (0, 10, {})
    np.testing.assert_array_equal(read.values, made.values)


def test_only_what_is_missing_is_made(tmp_path: Path, logged: list[str]) -> None:
    extraction = Extraction(tmp_path, 10)
    extraction.run()
    for name in ("even/004.png", "odd/007.png"):
        os.unlink(extraction.cache_dir / f"{name}_colours.txt")
    logged.clear()
    result = extraction.run()
    assert (result.n_made, result.n_read) == (2, 8)
    np.testing.assert_array_equal(result.values, colours(range(10)))
    assert logged == [], "what was never made is not logged"


def test_only_what_was_asked_for_is_made(tmp_path: Path) -> None:
    extraction = Extraction(tmp_path, 10)
    result = extraction.run([7, 2, 5])
    assert (result.n_made, result.n_read) == (3, 0)
    assert result.values.shape == (10, SIZE)
    np.testing.assert_array_equal(result.values[[2, 5, 7]], colours([2, 5, 7]))
    assert extraction.text_files() == ["002.png_colours.txt", "005.png_colours.txt", "007.png_colours.txt"]


def test_nothing_asked_for_makes_nothing(tmp_path: Path) -> None:
    extraction = Extraction(tmp_path, 2)
    result = extraction.run([], network=no_network)
    assert (result.n_made, result.n_read, result.failed) == (0, 0, {})


def test_images_that_fail_are_named_by_their_index_and_not_kept(tmp_path: Path) -> None:
    extraction = Extraction(tmp_path, 10)
    extraction.run([0, 1, 2])  # So that indices among all images and among those to be made differ.
    Path(extraction.images[4].path).write_bytes(b"some text")
    Path(extraction.images[9].path).write_bytes(b"")
    result = extraction.run()
    assert result.failed == {4: "it is no image in a known format", 9: "the file is empty"}
    assert (result.n_made, result.n_read) == (5, 3)
    good = [0, 1, 2, 3, 5, 6, 7, 8]
    np.testing.assert_array_equal(result.values[good], colours(good))
    assert len(extraction.text_files()) == len(good)


def test_a_failed_image_is_tried_again_by_the_next_run(tmp_path: Path) -> None:
    extraction = Extraction(tmp_path, 3)
    Path(extraction.images[1].path).write_bytes(b"some text")
    assert list(extraction.run().failed) == [1]
    extraction.edit(1, (9, 8, 7))
    mended = extraction.run()
    assert (mended.n_made, mended.n_read, mended.failed) == (1, 2, {})
    assert mended.values[1].tolist() == [9, 8, 7]


def test_bottlenecks_cannot_be_changed_in_place(tmp_path: Path) -> None:
    extraction = Extraction(tmp_path, 3)
    for result in (extraction.run(), extraction.run(network=no_network)):
        with pytest.raises(ValueError, match="read-only"):
            result.values[0] = 1
        with pytest.raises(ValueError, match="read-only"):
            np.add(result.values, 1, out=result.values)
        for field in dataclasses.fields(result):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(result, field.name, None)
        np.testing.assert_array_equal(result.values, colours(range(3)))


@pytest.mark.parametrize("batch_size", [None, 1, 4])
def test_images_that_only_pillow_reads_have_their_own_bottlenecks(batch_size: int | None, tmp_path: Path) -> None:
    """They come after all others, and some are in the cache already: no row is mixed up."""
    extraction = Extraction(tmp_path, 12)
    extraction.run([0, 5, 6])
    for i in (1, 4, 11):
        Image.new("RGB", (4, 4), colour_of(i)).save(extraction.images[i].path, "BMP")
    Path(extraction.images[2].path).write_bytes(b"some text")
    cache = BottleneckCache(str(extraction.cache_dir), "colours", SIZE, "network 1")
    indices = [11, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
    result = Extractor(extraction.images, cache, mean_colour_network, SPEC, batch_size).bottlenecks(indices)
    good = [index for index in indices if index != 2]
    np.testing.assert_array_equal(result.values[good], colours(good))
    assert (result.n_made, result.n_read, list(result.failed)) == (7, 3, [2])
    np.testing.assert_array_equal(extraction.run(good, no_network).values[good], colours(good))


def test_edited_images_are_made_again_and_the_log_says_why(tmp_path: Path, logged: list[str]) -> None:
    extraction = Extraction(tmp_path, 6)
    extraction.run()
    extraction.edit(2, (100, 50, 25))
    extraction.edit(3, (1, 2, 3))
    logged.clear()
    result = extraction.run()
    assert (result.n_made, result.n_read) == (2, 4)
    assert result.values[[2, 3]].tolist() == [[100, 50, 25], [1, 2, 3]]
    assert logged == ["INFO: 2 bottlenecks are made again: the image has changed."]
    logged.clear()
    assert extraction.run(network=no_network).values[3].tolist() == [1, 2, 3]
    assert logged == []


def test_another_network_makes_all_again_and_the_log_says_why(tmp_path: Path, logged: list[str]) -> None:
    extraction = Extraction(tmp_path, 4)
    extraction.run()
    logged.clear()
    result = extraction.run(network=lambda: lambda images: mean_colour(images) + 1, fingerprint="network 2")
    assert (result.n_made, result.n_read) == (4, 0)
    np.testing.assert_array_equal(result.values, colours(range(4)) + 1)
    assert logged == ["INFO: 4 bottlenecks are made again: made by another network."]


def test_a_damaged_file_is_made_again_with_two_lines_in_the_log(tmp_path: Path, logged: list[str]) -> None:
    extraction = Extraction(tmp_path, 4)
    extraction.run()
    damaged = extraction.cache_dir / "even" / "002.png_colours.txt"
    damaged.write_bytes(damaged.read_bytes()[:3])
    logged.clear()
    result = extraction.run()
    assert (result.n_made, result.n_read) == (1, 3)
    np.testing.assert_array_equal(result.values, colours(range(4)))
    assert logged == [
        f"WARNING: The bottleneck {damaged} does not hold 3 numbers; it is made again.",
        "INFO: 1 bottlenecks are made again: unreadable.",
    ]


def test_the_log_counts_in_hundreds(tmp_path: Path, logged: list[str]) -> None:
    assert Extraction(tmp_path, 230).run().n_made == 230
    # Batches are of 64 images: the first counts beyond 100 and beyond 200 are 128 and, at the end, 230.
    assert logged == ["INFO: 128 of 230 bottlenecks made.", "INFO: 230 of 230 bottlenecks made."]


def test_a_cache_that_cannot_be_written_ends_the_run_and_says_so(tmp_path: Path) -> None:
    extraction = Extraction(tmp_path, 3)
    extraction.cache_dir.mkdir()
    (extraction.cache_dir / "odd").write_bytes(b"")
    with pytest.raises(OutputError) as caught:
        extraction.run()
    assert str(caught.value).startswith(
        f"In the bottleneck cache, {extraction.cache_dir}/odd cannot be written (File exists). What was made before is kept"
    )


# Bottlenecks that came without a record


def without_records(extraction: Extraction) -> None:
    for index in extraction.cache_dir.glob("*/.index_*"):
        index.unlink()


def test_those_that_fit_are_adopted_and_not_checked_again(tmp_path: Path, logged: list[str]) -> None:
    extraction = Extraction(tmp_path, 40)
    extraction.run()
    without_records(extraction)
    logged.clear()
    result = extraction.run()
    assert (result.n_made, result.n_read) == (0, 40)
    assert logged == ["INFO: 16 of 40 bottlenecks that came without a record were checked against their images: all fit."]
    logged.clear()
    assert extraction.run(network=no_network).n_read == 40
    assert logged == []


def test_of_an_adopted_one_an_edited_image_is_noticed(tmp_path: Path) -> None:
    extraction = Extraction(tmp_path, 3)
    extraction.run()
    without_records(extraction)
    extraction.run()
    extraction.edit(1, (9, 8, 7))
    result = extraction.run()
    assert (result.n_made, result.n_read) == (1, 2)
    assert result.values[1].tolist() == [9, 8, 7]


def test_if_some_do_not_fit_all_are_made_again(tmp_path: Path, logged: list[str]) -> None:
    extraction = Extraction(tmp_path, 40)
    extraction.run()
    without_records(extraction)
    extraction.edit(0, (200, 1, 1))  # The first and the last are always in the sample.
    extraction.edit(39, (200, 1, 1))
    logged.clear()
    result = extraction.run()
    assert (result.n_made, result.n_read) == (40, 0)
    assert result.values[[0, 39]].tolist() == [[200, 1, 1]] * 2
    assert logged == [
        "WARNING: 2 of 16 bottlenecks that came without a record do not fit their images.",
        "INFO: 40 bottlenecks are made again: they came without a record, and some do not fit their images.",
    ]
    assert extraction.run(network=no_network).n_read == 40


def test_what_the_decoders_of_other_years_make_fits(tmp_path: Path) -> None:
    extraction = Extraction(tmp_path, 20)
    extraction.run()
    without_records(extraction)
    assert extraction.run(network=lambda: lambda images: mean_colour(images) * np.float32(1.01)).n_read == 20


# Two runs at once


def test_a_second_run_waits_and_reads_what_the_first_made(tmp_path: Path, logged: list[str]) -> None:
    extraction = Extraction(tmp_path, 10)
    begun, finish = threading.Event(), threading.Event()

    def slow_network() -> BatchFunction:
        begun.set()
        assert finish.wait(60)
        return mean_colour

    with ThreadPoolExecutor() as pool:
        first = pool.submit(extraction.run, network=slow_network)
        assert begun.wait(60)
        second = pool.submit(extraction.run, network=no_network)
        waiting = f"INFO: Another run is making bottlenecks in {extraction.cache_dir}; waiting for it."
        while waiting not in logged:
            time.sleep(0.01)
        finish.set()
        assert (first.result().n_made, first.result().n_read) == (10, 0)
        assert (second.result().n_made, second.result().n_read) == (0, 10)
    np.testing.assert_array_equal(second.result().values, colours(range(10)))
    assert logged.count(waiting) == 1


def mobilenet(model_dir: Path) -> Backbone:
    architecture = find_architecture("mobilenet_0.25_128")
    return load_backbone(architecture, read_graph_file(architecture, str(model_dir)))


def reference_images(reference_dir: Path, photos: Path) -> tuple[list[LabelledImage], FloatArray]:
    """Return the photos whose bottlenecks the original wrote, and these, float32 [30, 1001]."""
    paths = sorted((reference_dir / "bottlenecks").glob("*/*_mobilenet_0.25_128.txt"))
    images, rows = [], []
    for path in paths:
        name = path.name.removesuffix("_mobilenet_0.25_128.txt")
        images.append(LabelledImage(str(photos / path.parent.name / name), path.parent.name, name, 0, "training"))
        rows.append([float(number) for number in path.read_text().split(",")])
    assert len(images) == N_REFERENCES
    return images, np.array(rows, np.float32)


def test_mobilenets_bottlenecks_are_the_originals(
    reference_dir: Path, flower_photos: Path, mobilenet_model_dir: Path, tmp_path: Path
) -> None:
    images, expected = reference_images(reference_dir, flower_photos)
    backbone = mobilenet(mobilenet_model_dir)
    architecture = backbone.architecture
    cache = BottleneckCache(str(tmp_path), architecture.name, architecture.bottleneck_size, backbone.fingerprint)
    result = Extractor(images, cache, lambda: backbone.run, architecture.input_spec).bottlenecks(range(len(images)))
    assert (result.n_made, result.failed) == (N_REFERENCES, {})
    np.testing.assert_allclose(result.values, expected, rtol=0, atol=1e-4)


def test_a_cache_of_the_originals_is_used_as_it_is(reference_dir: Path, flower_photos: Path, tmp_path: Path) -> None:
    images, expected = reference_images(reference_dir, flower_photos)
    shutil.copytree(reference_dir / "bottlenecks", tmp_path / "cache")
    cache = BottleneckCache(str(tmp_path / "cache"), "mobilenet_0.25_128", 1001, "any")
    moved = [dataclasses.replace(image, path=str(tmp_path / "moved.jpg")) for image in images]  # The photos need not be there.
    result = Extractor(moved, cache, no_network, InputSpec(128, 128, 127.5, 127.5)).bottlenecks(range(len(images)))
    assert (result.n_made, result.n_read) == (0, N_REFERENCES)
    np.testing.assert_array_equal(result.values, expected)


def test_the_options_name_the_cache_and_the_backbone_its_files(
    reference_dir: Path, flower_photos: Path, mobilenet_model_dir: Path, tmp_path: Path
) -> None:
    images, expected = reference_images(reference_dir, flower_photos)
    lists, wanted = ImageLists(("daisy",), ("daisy",), tuple(images)), [4, 1, 20]
    options, backbone = BottleneckOptions(bottleneck_dir=str(tmp_path / "cache")), mobilenet(mobilenet_model_dir)
    made = load_bottlenecks(options, lists, backbone, wanted)
    read = load_bottlenecks(options, lists, backbone, wanted)
    assert [(each.n_made, each.n_read, each.failed) for each in (made, read)] == [(3, 0, {}), (0, 3, {})]
    np.testing.assert_array_equal(read.values[wanted], made.values[wanted])
    np.testing.assert_allclose(made.values[wanted], expected[wanted], rtol=0, atol=1e-4)
    files = sorted(f"{path.parent.name}/{path.name}" for path in (tmp_path / "cache").glob("*/*.txt"))
    assert files == sorted(f"{images[i].folder}/{images[i].file_name}_mobilenet_0.25_128.txt" for i in wanted)
