"""TensorBoard's pages of a finished run, read back with TensorBoard's own reader."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.metadata import parse_session_start_info_plugin_data

from retrain.bottlenecks.cache import Bottlenecks
from retrain.config import RetrainConfig
from retrain.data.image_lists import ImageLists, LabelledImage
from retrain.errors import OutputError
from retrain.evaluation.answers import Report, make_report, measure
from retrain.evaluation.metrics import sigmoid
from retrain.tensorboard.events import PROJECTOR_FILES, clear_summaries_dir
from retrain.tensorboard.pages import MOST_CLASSES, Run, class_measures, hyper_parameters, write_pages
from retrain.tensorboard.projector import Points

HOSTILE = '<script>alert(1)</script> & "x"'
N_IMAGES = 40
TEST_SCALARS = ["accuracy_1", "cross_entropy_1", "validation_accuracy"]


@pytest.fixture
def points(tmp_path: Path) -> Points:
    PIL.Image.new("RGB", (100, 100), "red").save(tmp_path / "photo.jpg")
    images = tuple(
        LabelledImage(str(tmp_path / "photo.jpg"), "cup", "photo.jpg", number % 2, "testing") for number in range(N_IMAGES)
    )
    values = np.random.default_rng(0).normal(size=(N_IMAGES, 4)).astype(np.float32)
    labels = (HOSTILE, "mug")
    return Points(ImageLists(labels, labels, images), Bottlenecks(values), range(N_IMAGES))


def report_of(points: Points, share_correct: float = 0.7) -> Report:
    classes = np.array([image.class_index for image in points.images.images])
    n_correct = round(N_IMAGES * share_correct)
    predicted = np.where(np.arange(N_IMAGES) < n_correct, classes, 1 - classes)
    logits = np.eye(2, dtype=np.float32)[predicted] * 3
    paths = [image.path for image in points.images.images]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return make_report(points.images.labels, paths, measure(logits, classes), scores, classes)


def run_in(folder: Path, report: Report | None, **options: object) -> Run:
    given = RetrainConfig(image_dir=str(folder), summaries_dir=str(folder / "logs"), bottleneck_dir=str(folder), **options)  # type: ignore[arg-type]
    return Run(given, given.suited_to(39.0), "pixels_8", 99, report, {"validation_accuracy": 0.5})


def events_in(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"images": 0, "tensors": 0, "scalars": 0}).Reload()


def test_the_test_is_shown(points: Points, tmp_path: Path) -> None:
    write_pages(run_in(tmp_path, report_of(points)), points)
    events = events_in(tmp_path / "logs" / "test")
    assert events.Tags()["images"] == ["test/confusion_matrix", "test/mistakes", "test/most_confident"]
    for tag, kind in (("test/confusion_matrix", "PNG"), ("test/mistakes", "JPEG"), ("test/most_confident", "JPEG")):
        [shown] = events.Images(tag)
        picture = PIL.Image.open(io.BytesIO(shown.encoded_image_string))
        assert (picture.format, picture.size, shown.step) == (kind, (shown.width, shown.height), 99)
    assert events.Tags()["scalars"] == TEST_SCALARS
    assert [events.Scalars(tag)[0].step for tag in TEST_SCALARS] == [99, 99, 99]
    assert events.Scalars("accuracy_1")[0].value == pytest.approx(0.7)
    texts = {tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in ("options", "classes")}
    assert texts["options"].startswith("python &#45;m retrain &#45;&#45;image&#95;dir")
    assert "| mug | 20 | 70.0% | 70.0% |" in texts["classes"] and "<" not in texts["classes"]


def test_each_class_has_its_scalars(points: Points, tmp_path: Path) -> None:
    write_pages(run_in(tmp_path, report_of(points)), points)
    events = events_in(tmp_path / "logs" / "test_classes")
    found = {tag: events.Scalars(tag)[0].value for tag in events.Tags()["scalars"]}
    tags = [f"{name}/{label}" for label in (HOSTILE, "mug") for name in ("recall", "precision")]
    assert found == pytest.approx(dict.fromkeys(tags, 0.7))


def test_scalars_of_many_classes_are_bounded() -> None:
    classes = np.arange(500)
    logits = np.eye(500, dtype=np.float32)[np.minimum(classes, 400)]
    labels = tuple(f"class {number}" for number in range(500))
    found = class_measures(make_report(labels, ["a.jpg"] * 500, measure(logits, classes), logits, classes))
    assert [tag for tag in found if tag.startswith("recall/")] == [f"recall/class {n}" for n in range(401, 401 + MOST_CLASSES)]


def test_images_with_several_labels(points: Points, tmp_path: Path) -> None:
    targets = np.array([[1, 0], [1, 1]] * (N_IMAGES // 2), np.float32)
    logits = np.array([[5, -5]], np.float32).repeat(N_IMAGES, axis=0)
    paths = [image.path for image in points.images.images]
    report = make_report(points.images.labels, paths, measure(logits, targets), sigmoid(logits), targets)
    write_pages(run_in(tmp_path, report, multi_label=True), points)
    events = events_in(tmp_path / "logs" / "test")
    assert events.Tags()["images"] == ["test/mistakes", "test/most_confident"]
    assert events.Tags()["scalars"] == ["accuracy_1", "cross_entropy_1", "mean_average_precision", "validation_accuracy"]
    names = {tag.partition("/")[0] for tag in events_in(tmp_path / "logs" / "test_classes").Tags()["scalars"]}
    assert names == {"recall", "precision", "f1", "average_precision"}


def test_without_mistakes_there_is_no_sheet_of_them(points: Points, tmp_path: Path) -> None:
    write_pages(run_in(tmp_path, report_of(points, 1.0)), points)
    assert events_in(tmp_path / "logs" / "test").Tags()["images"] == ["test/confusion_matrix", "test/most_confident"]


def test_without_test_images_there_are_options_and_points(points: Points, tmp_path: Path) -> None:
    write_pages(run_in(tmp_path, None), points)
    tags = events_in(tmp_path / "logs" / "test").Tags()
    assert (tags["images"], tags["scalars"]) == ([], ["validation_accuracy"]) and "options" in tags["tensors"]
    assert not (tmp_path / "logs" / "test_classes").exists()
    assert (tmp_path / "logs" / "test" / "vectors.tsv").exists()


def test_a_second_run_replaces_all(points: Points, tmp_path: Path) -> None:
    for share in (0.7, 0.2):
        write_pages(run_in(tmp_path, report_of(points, share)), points)
    names = sorted(path.name.partition(".tfevents")[0] for path in (tmp_path / "logs").rglob("*") if path.is_file())
    assert names == sorted(["events.out", "events.out", *PROJECTOR_FILES])
    assert events_in(tmp_path / "logs" / "test").Scalars("accuracy_1")[0].value == pytest.approx(0.2)
    clear_summaries_dir(str(tmp_path / "logs"))
    assert [path for path in (tmp_path / "logs").rglob("*") if path.is_file()] == []


def test_a_folder_that_cannot_be_written_is_an_error(points: Points, tmp_path: Path) -> None:
    (tmp_path / "logs").write_bytes(b"")
    with pytest.raises(OutputError, match=f"^--summaries_dir {tmp_path}/logs/test cannot be emptied and made "):
        write_pages(run_in(tmp_path, None), points)


def test_hparams_are_those_that_were_given_and_the_most_important_ones(points: Points, tmp_path: Path) -> None:
    run = run_in(tmp_path, report_of(points), hidden_units=(64, 32), class_weights={HOSTILE: 2.0}, flip_left_right=True)
    expected = {
        "architecture": "pixels_8",
        "how_many_training_steps": 4000.0,
        "learning_rate": 0.39,
        "optimizer": "gradient_descent",
        "train_batch_size": 100.0,
        "hidden_units": "64,32",
        "class_weights": f"{HOSTILE}=2.0",
        "flip_left_right": "True",
    }
    assert hyper_parameters(run) == expected
    write_pages(run, points)
    events = events_in(tmp_path / "logs" / "test")
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    values = parse_session_start_info_plugin_data(content).hparams
    assert {name: value.number_value or value.string_value for name, value in values.items()} == expected


def test_values_of_hparams_are_bounded(points: Points, tmp_path: Path) -> None:
    run = run_in(tmp_path, None, class_weights={f"class {number}": 2.0 for number in range(1000)})
    assert len(str(hyper_parameters(run)["class_weights"])) == 200


def test_event_files_are_bounded_whatever_the_number_of_images(points: Points, tmp_path: Path) -> None:
    report = report_of(points)
    many = dataclasses.replace(report, answers=report.answers * 500)
    write_pages(run_in(tmp_path, many), points)
    assert sum(path.stat().st_size for path in (tmp_path / "logs").rglob("events*")) < 1_000_000
