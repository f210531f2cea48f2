"""Images with several labels, end to end: pictures of two flowers side by side, in a table or in several folders."""

import csv
import dataclasses
import io
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics
import tensorflow as tf
from PIL import Image

import retrain
from label_image.classify import score_images
from label_image.config import ClassifierOptions
from label_image.opening import open_classifier
from retrain.data.image_lists import ImageLists, create_image_lists
from retrain.evaluation.multi_label import MultiLabelEvaluation
from retrain.graphdef.description import read_description
from retrain.graphdef.run import read_graph
from tests.conftest import Label, RunCli
from tests.support.commands import Outputs, assert_succeeded
from tests.support.exported import HAS_ONNX
from tests.support.shared import made_once

pytestmark = pytest.mark.slow
FLOWERS = ("daisy", "dandelion", "roses", "sunflowers", "tulips")
SIDE = 160
# Of ten pictures each, which are one of every pair: the same sets wherever the tables lie.
SETS = (*["training"] * 6, "validation", *["testing"] * 3)
FORMATS = ("tflite", "tflite:int8", *(("onnx",) if HAS_ONNX else ()))


@pytest.fixture(scope="session")
def pairs(flower_photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Paste 200 pairs of photos of two kinds; return the table of them."""

    def paste(folder: Path) -> Path:
        photos = {name: itertools.cycle(sorted((flower_photos / name).glob("*.jpg"))) for name in FLOWERS}
        rows = []
        for number in range(200):
            kinds = list(itertools.combinations(FLOWERS, 2))[number % 10]
            picture = Image.new("RGB", (2 * SIDE, SIDE))
            for place, kind in enumerate(kinds if number % 20 < 10 else reversed(kinds)):
                with Image.open(next(photos[kind])) as photo:
                    picture.paste(photo.convert("RGB").resize((SIDE, SIDE)), (place * SIDE, 0))
            picture.save(folder / f"{number}.jpg", quality=92)
            rows.append(f"{number}.jpg,{'|'.join(kinds)},{SETS[number // 10 % 10]}\n")
        (folder / "pairs.csv").write_text("path,label,set\n" + "".join(rows))
        return folder

    return made_once(tmp_path_factory, "pairs", paste) / "pairs.csv"


def config_of(pairs: Path, outputs: Outputs, **options: Any) -> retrain.RetrainConfig:
    settings: dict[str, Any] = {"architecture": "tiny_resnet_128", "how_many_training_steps": 1500, "random_seed": 1}
    return retrain.RetrainConfig(
        **{"image_list": str(pairs), "multi_label": True, **settings, **outputs.settings(), "learning_rate": 0.1, **options}
    )


def targets_of(config: retrain.RetrainConfig) -> tuple[list[str], np.ndarray]:
    lists = create_image_lists(config)
    testing = lists.indices("testing")
    return [lists.images[index].path for index in testing], lists.targets[testing]


def scores_of(graph: Path, paths: list[str]) -> np.ndarray:
    classifier = open_classifier(str(graph), ClassifierOptions())
    scores = np.zeros((len(paths), len(FLOWERS)), np.float32)
    for indices, rows, _ in score_images(classifier, paths, {}):
        scores[indices] = rows
    return scores


@pytest.fixture(scope="session")
def trained(pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[retrain.RetrainResult, Outputs]:
    def train(folder: Path) -> tuple[retrain.RetrainResult, Outputs]:
        return retrain.run(config_of(pairs, Outputs(folder), export=FORMATS)), Outputs(folder)

    return made_once(tmp_path_factory, "multi_label", train)


def test_the_mean_average_precision_is_scikit_learns_and_far_above_that_of_shuffled_labels(pairs: Path, tmp_path: Path) -> None:
    with open(pairs, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    shuffled = np.random.default_rng(3).permutation([row["label"] for row in rows])
    other = tmp_path / "shuffled.csv"
    lines = (f"{pairs.parent / row['path']},{label},{row['set']}\n" for row, label in zip(rows, shuffled, strict=True))
    other.write_text("path,label,set\n" + "".join(lines))
    shared: dict[str, Any] = {"architecture": "efficientnet_lite0", "model_dir": str(tmp_path / "models"), "learning_rate": None}
    found = []
    for table in (pairs, other):
        outputs = Outputs(tmp_path / table.stem)
        config = config_of(table, outputs, how_many_training_steps=500, bottleneck_dir=str(tmp_path / "cache"), **shared)
        result = retrain.run(config)
        assert isinstance(result.test, MultiLabelEvaluation)
        paths, targets = targets_of(config)
        expected = sklearn.metrics.average_precision_score(targets, scores_of(outputs.graph, paths), average="macro")
        assert result.test.mean_average_precision == pytest.approx(expected, abs=1e-6)
        found.append(result.test.mean_average_precision)
    # Measured: 0.83 and 0.42, which is the share of pictures that have a label.
    assert found[0] > found[1] + 0.25


def test_thresholds_are_in_the_graph_and_label_image_prints_what_is_above(
    pairs: Path, trained: tuple[retrain.RetrainResult, Outputs], label: Label
) -> None:
    result, outputs = trained
    about = read_description(read_graph(str(outputs.graph)))
    assert about is not None and len(about.thresholds) == 5 and len(set(about.thresholds)) == 5
    paths, _ = targets_of(config_of(pairs, outputs))
    scores = scores_of(outputs.graph, paths)
    answer = label(f"--graph={outputs.graph}", "--image", *paths, "--output_format=json")
    found = [{each["label"] for each in image["predictions"]} for image in json.loads(answer.out)]
    expected = [{FLOWERS[index] for index in np.flatnonzero(row >= np.array(about.thresholds))} for row in scores]
    assert found == expected
    assert isinstance(result.test, MultiLabelEvaluation)
    assert [{FLOWERS[index] for index in np.flatnonzero(row)} for row in result.test.predicted] == expected


def test_an_image_without_a_label_above_its_threshold_says_so(
    trained: tuple[retrain.RetrainResult, Outputs], label: Label, tmp_path: Path
) -> None:
    _, outputs = trained
    graph = read_graph(str(outputs.graph))
    about = read_description(graph)
    assert about is not None
    strict = dataclasses.replace(about, thresholds=(1.0,) * 5)
    next(node for node in graph.node if node.name == "retrain_description").attr["value"].tensor.string_val[:] = [
        strict.to_json().encode()
    ]
    (tmp_path / "strict.pb").write_bytes(graph.SerializeToString())
    Image.new("RGB", (50, 50)).save(tmp_path / "black.png")
    answer = label(f"--graph={tmp_path / 'strict.pb'}", f"--image={tmp_path / 'black.png'}")
    assert answer.out.splitlines()[-1] == "no label is above its threshold"


def test_every_export_gives_the_graphs_scores(trained: tuple[retrain.RetrainResult, Outputs], pairs: Path) -> None:
    result, outputs = trained
    paths, _ = targets_of(config_of(pairs, outputs))
    expected = scores_of(outputs.graph, paths)
    assert (expected.sum(axis=1) > 1.2).any()  # Which probabilities of a softmax never are.
    assert {report.format for report in result.conversions} == set(FORMATS)
    for report in result.conversions:
        found, about = scores_of(Path(report.path), paths), open_classifier(report.path, ClassifierOptions()).description
        assert len(about.thresholds) == 5
        assert np.abs(found - expected).max() < (0.5 if "int8" in report.format or "dynamic" in report.format else 0.02)


def test_the_graph_runs_in_tensorflow(trained: tuple[retrain.RetrainResult, Outputs], pairs: Path) -> None:
    _, outputs = trained
    graph = tf.compat.v1.GraphDef.FromString(outputs.graph.read_bytes())
    [final] = [node for node in graph.node if node.name == "final_result"]
    assert final.op == "Sigmoid"


def test_evaluate_prints_the_same_measures(pairs: Path, trained: tuple[retrain.RetrainResult, Outputs], run_cli: RunCli) -> None:
    result, outputs = trained
    process = run_cli("scripts.evaluate", str(outputs.graph), f"--image_list={pairs}")
    assert_succeeded(process)
    assert isinstance(result.test, MultiLabelEvaluation)
    first = process.stdout.splitlines()[0]
    last = process.stdout.split("\n\n")[1].splitlines()[-1]
    assert first == f"mAP = {result.test.mean_average_precision:.1%} (N={result.test.count})"
    assert last.split()[0] == "tulips" and last.split()[-1] == f"{result.test.average_precision[-1]:.1%}"
    assert "nan" not in process.stdout


def test_a_training_is_resumed_bit_for_bit(pairs: Path, trained: tuple[retrain.RetrainResult, Outputs], tmp_path: Path) -> None:
    _, first = trained
    shared = {"bottleneck_dir": str(first.bottlenecks)}
    whole, halves = Outputs(tmp_path / "whole"), Outputs(tmp_path / "halves")
    retrain.run(config_of(pairs, whole, how_many_training_steps=60, **shared))
    retrain.run(config_of(pairs, halves, how_many_training_steps=30, **shared))
    retrain.run(config_of(pairs, halves, how_many_training_steps=60, resume=True, **shared))
    assert halves.graph.read_bytes() == whole.graph.read_bytes()


def test_the_same_image_in_several_folders_has_several_labels(tmp_path: Path, small_photos: Path) -> None:
    photos = tmp_path / "photos"
    for number, photo in enumerate(sorted(small_photos.glob("*/*.jpg"))):
        for folder in {photo.parent.name, "even" if number % 2 == 0 else photo.parent.name}:
            (photos / folder).mkdir(parents=True, exist_ok=True)
            (photos / folder / f"{number} in {folder}.jpg").write_bytes(photo.read_bytes())
    outputs = Outputs(tmp_path / "run")
    config = retrain.RetrainConfig(
        image_dir=str(photos),
        multi_label=True,
        architecture="pixels_8",
        how_many_training_steps=20,
        class_weights="balanced",
        save_split=str(tmp_path / "split.csv"),
        **outputs.settings(),
    )
    result = retrain.run(config)
    assert result.labels == ("blue stripes", "even", "green rings", "red dots")
    assert sum(result.n_images.values()) == 75
    with open(tmp_path / "split.csv", encoding="utf-8", newline="") as file:
        labels = [set(row["label"].split("|")) for row in csv.DictReader(file)]
    assert sum("even" in each for each in labels) == 38
    assert {len(each) for each in labels} == {1, 2}
    again = retrain.RetrainConfig(image_list=str(tmp_path / "split.csv"), multi_label=True)
    mine, theirs = create_image_lists(again), create_image_lists(config, like_original=False)

    def of_image(lists: ImageLists) -> list[tuple[str, list[float]]]:
        return sorted((Path(image.path).name, row) for image, row in zip(lists.images, lists.targets.tolist(), strict=True))

    assert of_image(mine) == of_image(theirs)


def test_heads_of_a_sweep(pairs: Path, trained: tuple[retrain.RetrainResult, Outputs], tmp_path: Path, run_cli: RunCli) -> None:
    _, outputs = trained
    process = run_cli(
        "retrain.sweep",
        f"--image_list={pairs}",
        "--multi_label",
        "--architecture=tiny_resnet_128",
        f"--bottleneck_dir={outputs.bottlenecks}",
        "--how_many_training_steps=100",
        "--learning_rate=0.01,1",
        "--optimizer=gradient_descent,adam",
        f"--sweep_dir={tmp_path / 'sweep'}",
    )
    assert_succeeded(process)
    assert "4 of 4 heads trained." in process.stderr


def test_fine_tuning_is_refused() -> None:
    with pytest.raises(retrain.RetrainError) as caught:
        retrain.RetrainConfig(image_list="pairs.csv", multi_label=True, fine_tune_steps=5)
    assert str(caught.value) == "--fine_tune_steps is for images with one label each: leave it or --multi_label out."


def test_tables_of_results_are_parsed(trained: tuple[retrain.RetrainResult, Outputs], label: Label, pairs: Path) -> None:
    _, outputs = trained
    answer = label(f"--graph={outputs.graph}", f"--image={pairs.parent / '0.jpg'}", "--output_format=csv")
    assert {row["label"] for row in csv.DictReader(io.StringIO(answer.out))} <= set(FLOWERS)
