"""Reports of the answers of a classifier, against numbers that can be checked by eye."""

import csv
import io
import json

import numpy as np
import pytest

from retrain.evaluation.answers import Report, make_report
from retrain.evaluation.metrics import evaluate
from retrain.evaluation.multi_label import evaluate_labels

LABELS = ("cup", "jug", "mug")
SCORES = np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.9, 0.06, 0.04], [0.1, 0.8, 0.1]], np.float32)
CLASSES = np.array([0, 1, 1, 1])
PATHS = ["a.jpg", "b.jpg", "c.jpg", "d\n.jpg"]


def report() -> Report:
    return make_report(LABELS, PATHS, evaluate(np.log(SCORES), CLASSES), SCORES, CLASSES)


def test_text() -> None:
    assert report().to_text() == (
        "Accuracy = 50.0% (N=4)\n"
        "Cross entropy = 1.149301\n"
        "\n"
        "     images  recall  precision\n"
        "cup       1  100.0%      33.3%\n"
        "jug       3   33.3%     100.0%\n"
        "mug       0       -          -\n"
        "\n"
        "Confusion matrix: a row for each label, a column for each prediction\n"
        "     cup  jug  mug\n"
        "cup    1    0    0\n"
        "jug    2    1    0\n"
        "mug    0    0    0\n"
        "\n"
        "2 mistakes, the worst first:\n"
        "label  prediction  score    image\n"
        "jug    cup         0.90000  c.jpg\n"
        "jug    cup         0.60000  b.jpg"
    )
    expected = -np.log([0.7, 0.3, 0.06, 0.8]).mean()
    assert report().measures.cross_entropy == pytest.approx(expected, abs=1e-6)


def test_json() -> None:
    values = json.loads(json.dumps(report().to_dict(), allow_nan=False))
    assert values["accuracy"] == 0.5 and values["count"] == 4 and values["confusion"] == [[1, 0, 0], [2, 1, 0], [0, 0, 0]]
    assert values["accuracy_interval"] == pytest.approx([0.150, 0.850], abs=1e-3)
    assert values["classes"][2] == {"label": "mug", "images": 0, "recall": None, "precision": None}
    assert [each["path"] for each in values["mistakes"]] == ["c.jpg", "b.jpg"]
    assert values["images"][3] == {
        "path": "d\n.jpg",
        "label": "jug",
        "prediction": "jug",
        "score": pytest.approx(0.8),
        "correct": True,
    }


def test_csv() -> None:
    rows = list(csv.DictReader(io.StringIO(report().to_csv(), newline="")))
    assert [row["path"] for row in rows] == ["c.jpg", "b.jpg", "a.jpg", "d\n.jpg"]
    assert rows[0] == {"path": "c.jpg", "label": "jug", "prediction": "cup", "score": "0.90000", "correct": "false"}


def test_without_mistakes() -> None:
    found = make_report(LABELS, PATHS[:1], evaluate(np.log(SCORES[:1]), CLASSES[:1]), SCORES[:1], CLASSES[:1])
    assert found.mistakes == () and "mistake" not in found.to_text()


def test_many_classes_have_pairs_instead_of_a_matrix() -> None:
    labels = tuple(f"class {number}" for number in range(30))
    classes = np.array([0, 0, 1, 2])
    scores = np.full((4, 30), 0.01, np.float32)
    scores[[0, 1, 2, 3], [5, 5, 1, 4]] = 0.7
    text = make_report(labels, PATHS, evaluate(np.log(scores), classes), scores, classes).to_text()
    assert "Most confused:\n     2  class 0 predicted as class 5\n     1  class 2 predicted as class 4\n\n" in text


def test_several_labels() -> None:
    scores = np.array([[0.9, 0.8, 0.1], [0.2, 0.4, 0.1]], np.float32)
    targets = np.array([[1, 1, 0], [0, 1, 0]], np.float32)
    found = make_report(LABELS, PATHS[:2], evaluate_labels(np.log(scores / (1 - scores)), targets, ()), scores, targets)
    assert [(each.label, each.prediction, each.is_correct) for each in found.answers] == [
        ("cup|jug", "cup|jug", True),
        ("jug", "", False),
    ]
    (mistake,) = found.mistakes
    assert mistake.path == "b.jpg" and mistake.score == pytest.approx(0.4) and mistake.wrongness == pytest.approx(0.6)
    assert found.to_text().endswith(
        "1 image with wrong labels:\nlabel  prediction  score    image\njug    -           0.40000  b.jpg"
    )
    assert found.to_dict()["classes"][2]["average_precision"] is None


def test_pandas() -> None:
    images = report().to_pandas()
    assert list(images.columns) == ["path", "label", "prediction", "score", "correct", "score_cup", "score_jug", "score_mug"]
    assert images["path"].tolist() == PATHS and images["correct"].tolist() == [True, False, False, True]
    np.testing.assert_array_equal(images[["score_cup", "score_jug", "score_mug"]].to_numpy(), SCORES)
    np.testing.assert_array_equal(images["score"].to_numpy(np.float32), SCORES.max(axis=1))
    classes = report().classes_to_pandas()
    assert classes.index.tolist() == list(LABELS) and list(classes.columns) == ["images", "recall", "precision"]
    np.testing.assert_allclose(classes["recall"].to_numpy(float), [1, 1 / 3, np.nan])
    np.testing.assert_allclose(classes["precision"].to_numpy(float), [1 / 3, 1, np.nan])


def test_pandas_with_several_labels() -> None:
    targets = np.array([[1, 0, 1], [0, 1, 0]], np.float32)
    scores = np.array([[0.9, 0.2, 0.8], [0.1, 0.4, 0.7]], np.float32)
    found = make_report(LABELS, PATHS[:2], evaluate_labels(np.log(scores / (1 - scores)), targets, ()), scores, targets)
    images = found.to_pandas()
    assert images["label"].tolist() == ["cup|mug", "jug"] and images["correct"].tolist() == [True, False]
    np.testing.assert_array_equal(images[["score_cup", "score_jug", "score_mug"]].to_numpy(), scores)
    assert list(found.classes_to_pandas().columns) == ["images", "recall", "precision", "f1", "average_precision"]
