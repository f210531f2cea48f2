"""The Projector's files: read as TensorBoard's plugin reads them, and bounded whatever the number of images."""

import csv
import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.plugins.projector import projector_plugin
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from retrain.arrays import FloatArray
from retrain.bottlenecks.cache import Bottlenecks
from retrain.data.image_lists import ImageLists, LabelledImage
from retrain.evaluation.answers import make_report, measure
from retrain.tensorboard.projector import KEPT, MOST_POINTS, SIDE, Points, evenly_chosen, metadata, vectors, write_projector

HOSTILE = '<script>alert(1)</script> & "x"'
LARGEST_SPRITE = 8192  # Pixels, that the Projector takes.
COLOURS = ("red", "lime", "blue")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for colour in COLOURS:
        PIL.Image.new("RGB", (200, 100), colour).save(folder / f"{colour}.png")
    return folder


def points_of(photos: Path, labels: tuple[str, ...] = ("warm", "cold"), n_numbers: int = 4, **changed: object) -> Points:
    """Return the three photos as points: one of the first class, and two of the second."""
    images = tuple(
        LabelledImage(str(photos / f"{colour}.png"), "folder", f"{colour}.png", min(number, 1), split)
        for number, (colour, split) in enumerate(zip(COLOURS, ("training", "validation", "testing"), strict=True))
    )
    values = np.random.default_rng(0).normal(size=(3, n_numbers)).astype(np.float32)
    bottlenecks = Bottlenecks(values, digests={index: f"digest {index}" for index in range(3)})
    return Points(ImageLists(labels, labels, images), bottlenecks, **{"indices": (0, 1, 2), **changed})  # type: ignore[arg-type]


def config_in(folder: Path) -> ProjectorConfig:
    return text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())


def test_the_files_are_those_that_the_plugin_reads(photos: Path, tmp_path: Path) -> None:
    points = points_of(photos)
    write_projector(str(tmp_path), points, None, str(photos), str(tmp_path / "no cache"))
    [embedding] = config_in(tmp_path).embeddings
    assert embedding.tensor_name == "bottlenecks"
    tensor = projector_plugin._read_tensor_tsv_file(str(tmp_path / embedding.tensor_path))
    np.testing.assert_allclose(tensor, points.bottlenecks.values, atol=1e-3)
    assert (tmp_path / embedding.metadata_path).read_text() == (
        "label\tprediction\tset\tphoto\n"
        "warm\tnot tested\ttraining\tred.png\n"
        "cold\tnot tested\tvalidation\tlime.png\n"
        "cold\tnot tested\ttesting\tblue.png\n"
    )
    assert list(embedding.sprite.single_image_dim) == [SIDE, SIDE]
    sprite = np.asarray(PIL.Image.open(tmp_path / embedding.sprite.image_path))
    assert sprite.shape == (2 * SIDE, 2 * SIDE, 3)
    middles = [sprite[SIDE // 2 + y * SIDE, SIDE // 2 + x * SIDE] for x, y in ((0, 0), (1, 0), (0, 1), (1, 1))]
    expected = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
    np.testing.assert_allclose(middles, expected, atol=12)


def test_images_without_a_bottleneck_are_left_out(photos: Path, tmp_path: Path) -> None:
    write_projector(str(tmp_path), points_of(photos, indices=(2,)), None, str(photos), str(tmp_path))
    assert [line.split("\t")[3] for line in (tmp_path / "metadata.tsv").read_text().splitlines()[1:]] == ["blue.png"]
    empty = tmp_path / "empty"
    empty.mkdir()
    write_projector(str(empty), points_of(photos, indices=()), None, str(photos), str(tmp_path))
    assert list(empty.iterdir()) == []


def test_predictions_are_those_of_the_test(photos: Path, tmp_path: Path) -> None:
    points = points_of(photos, ("warm", HOSTILE))
    logits = np.array([[2.0, 1.0]], np.float32)
    report = make_report(
        points.images.labels, [points.images.images[2].path], measure(logits, np.array([1])), logits, np.array([1])
    )
    write_projector(str(tmp_path), points, report, str(photos), str(tmp_path))
    rows = [line.split("\t") for line in (tmp_path / "metadata.tsv").read_text().splitlines()]
    assert [row[:2] for row in rows[1:]] == [["warm", "not tested"], [HOSTILE, "not tested"], [HOSTILE, "warm"]]


def test_the_sprite_is_kept_while_the_photos_are_the_same(photos: Path, tmp_path: Path) -> None:
    for name in ("first", "second", "third", "cache"):
        (tmp_path / name).mkdir()
    write_projector(str(tmp_path / "first"), points_of(photos), None, str(photos), str(tmp_path / "cache"))
    kept = (tmp_path / "cache" / KEPT).read_bytes()
    for path in photos.iterdir():
        path.unlink()
    write_projector(str(tmp_path / "second"), points_of(photos), None, str(photos), str(tmp_path / "cache"))
    assert kept == (tmp_path / "first" / "sprite.jpg").read_bytes() == (tmp_path / "second" / "sprite.jpg").read_bytes()
    write_projector(str(tmp_path / "third"), points_of(photos, indices=(0, 1)), None, str(photos), str(tmp_path / "cache"))
    sprite = np.asarray(PIL.Image.open(tmp_path / "third" / "sprite.jpg"))
    assert sprite.shape == (SIDE, 2 * SIDE, 3)
    np.testing.assert_allclose(sprite[10, 10], 225, atol=3)  # Photos that are gone are grey.
    assert (tmp_path / "cache" / KEPT).read_bytes() == kept


def test_photos_whose_content_is_not_known_are_drawn_each_time(photos: Path, tmp_path: Path) -> None:
    points = points_of(photos)
    unknown = Points(points.images, Bottlenecks(points.bottlenecks.values, digests={0: "digest 0"}), points.indices)
    write_projector(str(tmp_path), unknown, None, str(photos), str(tmp_path))
    assert (tmp_path / "sprite.jpg").exists() and not (tmp_path / KEPT).exists()


def test_tabs_and_line_breaks_are_escaped() -> None:
    text = metadata([("a\tb", "c\nd", "e\r", "\x1b\udcff\u2028"), (HOSTILE, "花", "", '"')]).decode()
    rows = list(csv.reader(io.StringIO(text), delimiter="\t", quoting=csv.QUOTE_NONE))
    assert rows[1:] == [["a\\tb", "c\\nd", "e\\r", "\\x1b\\udcff\\u2028"], [HOSTILE, "花", "", '"']]


@given(st.lists(st.integers(0, 5), max_size=60), st.integers(1, 80))
def test_classes_have_as_many_points_as_there_can_be(classes: list[int], most: int) -> None:
    chosen = evenly_chosen(np.array(classes, np.int64), most)
    assert sorted(set(chosen.tolist())) == chosen.tolist() and len(chosen) == min(most, len(classes))
    counts, all_of_them = (
        np.bincount(part, minlength=6) for part in (np.array(classes, np.int64)[chosen], np.array(classes, np.int64))
    )
    for own, there in zip(counts, all_of_them, strict=True):
        assert own == there or own >= counts.max() - 1


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e6, 1e30])
def test_numbers_are_rounded_at_their_scale(scale: float) -> None:
    values = (np.random.default_rng(0).normal(size=(50, 20)) * scale).astype(np.float32)
    found = read_back(vectors(values))
    np.testing.assert_allclose(found, values, atol=2e-3 * scale if scale > 1e-20 else 1e-29)
    assert len(vectors(values)) < 1000 * 14


def test_numbers_that_are_not_finite_are_zero() -> None:
    values = np.array([[np.nan, 1.0], [np.inf, -np.inf]], np.float32)
    assert read_back(vectors(values)).tolist() == [[0, 1], [0, 0]]
    assert read_back(vectors(np.zeros((2, 2), np.float32))).tolist() == [[0, 0], [0, 0]]


def read_back(data: bytes) -> FloatArray:
    return np.array([[float(number) for number in line.split(b"\t")] for line in data.splitlines()], np.float32)


@pytest.mark.parametrize("n_numbers", [3, 2048])
def test_all_is_bounded_whatever_the_number_of_images(n_numbers: int, photos: Path, tmp_path: Path) -> None:
    few, n_images = points_of(photos), 20_000
    images = ImageLists(few.images.labels, few.images.labels, few.images.images * (n_images // 3))
    values = np.broadcast_to(np.random.default_rng(0).random(n_numbers, np.float32), (len(images.images), n_numbers))
    points = Points(images, Bottlenecks(values), range(len(images.images)))
    write_projector(str(tmp_path), points, None, str(photos), str(tmp_path))
    lines = (tmp_path / "metadata.tsv").read_text().splitlines()[1:]
    assert len(lines) == (MOST_POINTS if n_numbers == 3 else 2_000_000 // 2048)
    assert abs(sum(line.startswith("warm") for line in lines) - len(lines) / 2) <= 1
    assert max(PIL.Image.open(tmp_path / "sprite.jpg").size) <= LARGEST_SPRITE
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir() if path.is_file()}
    assert sum(sizes.values()) < 20_000_000
