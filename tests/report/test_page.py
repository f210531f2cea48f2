"""The report of results that are made up: what is shown, what is bounded, and that hostile names harm nothing."""

import csv
import dataclasses
import html.parser
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retrain.backbones.catalog import find_architecture
from retrain.config import RetrainConfig
from retrain.errors import OutputError
from retrain.evaluation.answers import Report, make_report
from retrain.evaluation.metrics import evaluate
from retrain.evaluation.multi_label import evaluate_labels
from retrain.head.overfitting import Measured
from retrain.report.page import lists_folder, page, write_report
from retrain.report.sections import MOST_MISTAKES, sections_of, title_of
from retrain.result import RetrainResult

HOSTILE = '<script>alert(1)</script> & "x"'
LARGEST_PAGE = 3_000_000  # Bytes.


class Page(html.parser.HTMLParser):
    """The tags of a page, and its text.

    Attributes:
        tags: name and attributes of each.
        text: all text outside of the style sheet.
    """

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._open = "", ""
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += " "
        self._open = tag

    def handle_data(self, data: str) -> None:
        if self._open != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def report_of(labels: tuple[str, ...], paths: list[str], predicted: list[int], classes: list[int]) -> Report:
    scores = np.full((len(paths), len(labels)), 0.1 / len(labels), np.float32)
    scores[np.arange(len(paths)), predicted] += 0.9
    targets = np.array(classes, np.int64)
    return make_report(labels, paths, evaluate(np.log(scores), targets), scores, targets)


def result_of(report: Report | None, **changed: Any) -> RetrainResult:
    values: dict[str, Any] = {
        "labels": report.labels if report else ("a", "b"),
        "architecture": "tiny_resnet_128",
        "note": "",
        "n_images": {"training": 80, "validation": 10, "testing": report.measures.count if report else 0},
        "skipped": {},
        "n_bottlenecks_made": 0,
        "n_bottlenecks_read": 0,
        "train_accuracy": 1.0,
        "validation_accuracy": None,
        "history": (),
        "warnings": (),
        "report": report,
        "test_before_fine_tuning": None,
        "output_graph": "graph.pb",
        "output_labels": "labels.txt",
        "output_split": "split.csv",
        "output_report": "report.html",
        "saved_model_dir": None,
        "conversions": (),
        "checkpoint_path": "checkpoint",
        "n_trained_numbers": 100,
        "summaries_dir": "logs",
        "bottleneck_dir": "cache",
        "seconds": {"training": 1.0},
    }
    return RetrainResult(**(values | changed))


def page_of(result: RetrainResult, **options: Any) -> str:
    config = RetrainConfig(image_dir=options.pop("image_dir", "photos"), architecture="tiny_resnet_128", **options)
    return page("Title", sections_of(config, result, find_architecture("tiny_resnet_128")), "report")


@pytest.fixture
def photo(tmp_path: Path) -> str:
    Image.new("RGB", (300, 200), "red").save(tmp_path / "photo.jpg")
    return str(tmp_path / "photo.jpg")


def test_numbers_of_a_small_test(photo: str) -> None:
    found = Page(page_of(result_of(report_of(("cup", "mug"), [photo] * 4, [0, 0, 1, 0], [0, 0, 1, 1]))))
    text = " ".join(found.text.split())
    assert "75.0% of 4 test images, which were not used in training, are classified correctly." in text
    assert "Of other images like these it is between 30.1% and 95.4% (95% interval)." in text
    assert "1 of 4 test images. The worst come first" in text
    assert "label mug predicted cup (0.95)" in text
    [picture] = found.all("img")
    assert str(picture["alt"]).startswith("Labelled mug, predicted cup with score 0.95: ")
    assert str(picture["src"]).startswith("data:image/jpeg;base64,")
    cells = [attributes["class"] for attributes in found.all("td") if "class" in attributes]
    assert cells == ["right", "wrong", "wrong", "right"]


def test_warnings_are_shown_whole(photo: str) -> None:
    labels = tuple(f"a class with a long name, number {number}" for number in range(9))
    report = report_of(labels, [photo] * 9, list(range(9)), list(range(9)))
    advice = "The head fits its training images far better than its validation images. " + "More images help. " * 20
    text = " ".join(Page(page_of(result_of(report, warnings=(advice.strip(),)))).text.split())
    assert report.few_images_warning in text and advice.strip() in text


def test_nothing_is_loaded_from_elsewhere(photo: str) -> None:
    history = tuple(Measured(step, 0.5, 1.0, 0.5, 1.0) for step in range(0, 100, 10))
    found = Page(page_of(result_of(report_of(("cup", "mug"), [photo] * 2, [1, 1], [0, 1]), history=history)))
    assert {name for name, _ in found.tags} & {"script", "link", "iframe", "object", "base"} == set()
    sources = [value for _, attributes in found.tags for name, value in attributes.items() if name in ("src", "srcset", "data")]
    assert [source for source in sources if not str(source).startswith("data:image/jpeg;base64,")] == []
    links = [str(attributes["href"]) for attributes in found.all("a")]
    assert links and all(link.startswith(("#", "report/")) for link in links)


def test_every_table_and_picture_is_described(photo: str) -> None:
    history = tuple(Measured(step, 0.5, 1.0, 0.5, 1.0) for step in range(0, 100, 10))
    result = result_of(
        report_of(("cup", "mug"), [photo] * 2, [1, 1], [0, 1]), history=history, skipped={"a.jpg": "the file is empty"}
    )
    found = Page(page_of(result))
    assert len(found.all("caption")) == len(found.all("table")) >= 6
    assert all("scope" in attributes for attributes in found.all("th"))
    assert all(attributes["alt"] for attributes in found.all("img"))
    assert [attributes["aria-label"] for attributes in found.all("svg")] == [
        "Accuracy at step 90: training 50%, validation 50%.",
        "Cross entropy at step 90: training 1, validation 1.",
    ]
    assert "a.jpg" in found.text and "the file is empty" in found.text


def test_hostile_names_are_text(tmp_path: Path) -> None:
    folder = tmp_path / "x\udcff\n<img src=x onerror=alert(1)>"
    labels = (HOSTILE, "'\"><svg onload=alert(1)>\x1b[31m", "{{ 7 * 7 }}")
    report = report_of(labels, [str(folder / "a.jpg")] * 3, [1, 2, 0], [0, 1, 2])
    result = result_of(report, skipped={"</td><script>alert(2)</script>": "<b>"}, note="<i>note</i>", output_graph="<g>.pb")
    source = page_of(result, image_dir=str(tmp_path), output_graph="<g>.pb", class_weights={HOSTILE: 2.0})
    plain = page_of(result_of(report_of(("a", "b", "c"), ["d/a.jpg"] * 3, [1, 2, 0], [0, 1, 2]), skipped={"p": "r"}, note="note"))
    names = [{name for name, _ in Page(each).tags} for each in (source, plain)]
    assert names[0] == names[1], "no tag comes from a name"
    assert not any(name.startswith("on") for _, attributes in Page(source).tags for name in attributes)
    text = Page(source).text
    assert HOSTILE in text and "{{ 7 * 7 }}" in text and "49" not in text.replace("0.49", "")
    assert "\x1b" not in source and "\\x1b[31m" in text
    source.encode("utf-8")  # Names that are not Unicode are escaped.


def test_a_large_run_makes_a_page_of_bounded_size(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    paths = []
    for number in range(MOST_MISTAKES):  # Noise makes the largest pictures.
        Image.fromarray(rng.integers(0, 256, (240, 240, 3), np.uint8)).save(tmp_path / f"{number}.png")
        paths.append(str(tmp_path / f"{number}.png"))
    n_images, n_classes = 20_000, 1_000
    labels = tuple(f"{'long ' * 50}{number}" for number in range(n_classes))
    classes = rng.integers(0, n_classes, n_images)
    report = report_of(
        labels, [paths[n % len(paths)] for n in range(n_images)], ((classes + 1) % n_classes).tolist(), classes.tolist()
    )
    history = tuple(Measured(step, 0.5, 1.0, 0.5, 1.0) for step in range(100_000))
    skipped = {f"{'folder/' * 500}{number}.jpg": "the file is empty" for number in range(10_000)}
    result = result_of(report, history=history, skipped=skipped)
    sections = sections_of(
        RetrainConfig(image_dir=str(tmp_path), architecture="tiny_resnet_128"), result, find_architecture("tiny_resnet_128")
    )
    write_report(str(tmp_path / "report.html"), title_of(labels), sections)
    assert (tmp_path / "report.html").stat().st_size < LARGEST_PAGE
    assert len(Page((tmp_path / "report.html").read_text()).all("img")) == MOST_MISTAKES
    lines = {path.name: len(path.read_text().splitlines()) for path in (tmp_path / "report").iterdir()}
    assert lines == {
        "mistakes.csv": 20_001,
        "classes.csv": 1_001,
        "confusion.csv": 1_001,
        "learning_curves.csv": 100_001,
        "skipped.csv": 10_001,
    }


def test_several_labels(photo: str) -> None:
    targets, scores = np.array([[1, 0], [1, 1]], np.float32), np.array([[0.9, 0.2], [0.1, 0.4]], np.float32)
    report = make_report(("a", "b"), [photo] * 2, evaluate_labels(np.log(scores / (1 - scores)), targets, ()), scores, targets)
    source = page_of(result_of(report))
    text = " ".join(Page(source).text.split())
    assert "mean average precision on 2 test images" in text and "What is confused" not in text
    assert "label a|b predicted no label (0.10)" in text


def test_no_test_images_no_evaluations_and_diverged_ones() -> None:
    assert "There are no test images: the accuracy is not measured." in page_of(result_of(None))
    diverged = (
        Measured(0, 0.2, 1.0, None, None),
        Measured(10, 0.2, math.inf, None, None),
        Measured(20, 0.2, math.nan, None, None),
    )
    found = Page(page_of(result_of(None, history=diverged)))
    assert [attributes["aria-label"] for attributes in found.all("svg")] == ["Accuracy at step 20: training 20%."]


def test_lists_are_complete(tmp_path: Path, photo: str) -> None:
    report = report_of(("cup", "mug, blue"), [photo, "gone\udcff.jpg"], [1, 1], [0, 0])
    result = result_of(report, skipped={"a\n.jpg": "the file is empty"})
    write_report(
        str(tmp_path / "r.html"),
        "Title",
        sections_of(RetrainConfig(image_dir="p", architecture="tiny_resnet_128"), result, find_architecture("tiny_resnet_128")),
    )
    tables = {}
    for path in (tmp_path / "r").iterdir():
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            tables[path.name] = list(csv.reader(file))
    assert tables == {
        "mistakes.csv": [
            ["path", "label", "prediction", "score"],
            [photo, "cup", "mug, blue", "0.95000"],
            ["gone\udcff.jpg", "cup", "mug, blue", "0.95000"],
        ],
        "classes.csv": [["label", "images", "recall", "precision"], ["cup", "2", "0.0", ""], ["mug, blue", "0", "", "0.0"]],
        "confusion.csv": [["label", "prediction", "images"], ["cup", "mug, blue", "2"]],
        "skipped.csv": [["path", "reason"], ["a\n.jpg", "the file is empty"]],
    }


def test_a_report_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "r").write_text("a file in the place of the folder")
    sections = sections_of(
        RetrainConfig(image_dir="p", architecture="tiny_resnet_128"),
        result_of(report_of(("a", "b"), ["x"], [0], [0])),
        find_architecture("tiny_resnet_128"),
    )
    with pytest.raises(OutputError) as caught:
        write_report(str(tmp_path / "r.html"), "Title", sections)
    assert str(caught.value) == f"--report {tmp_path / 'r'} cannot be written (File exists)."


def test_where_the_report_is_written() -> None:
    assert RetrainConfig(image_dir="p", output_graph="out/flowers.pb").output_report == "out/flowers_report.html"
    assert RetrainConfig(image_dir="p", output_graph="retrained_graph.pb").output_report == "retrained_report.html"
    assert RetrainConfig(image_dir="p", report="r.html").output_report == "r.html"
    assert RetrainConfig(image_dir="p", report="").output_report is None
    assert (lists_folder("a/r.html"), lists_folder("a/r")) == ("a/r", "a/r_lists")
    assert dataclasses.replace(RetrainConfig(image_dir="p"), report=None).output_report == "/tmp/output_report.html"
