"""`python -m label_image`: what it prints, and that the answers are the original's."""

import csv
import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from retrain.arrays import FloatArray
from retrain.input_spec import InputSpec
from retrain.options.engine import ENGINES
from tests.conftest import Label, RunCli
from tests.support.labelling import BUNDLED_INPUT, LABELS, lines_by_hand, scores_by_hand

N_REFERENCES = 30  # In `reference/original_label_image.tsv`.


def test_the_originals_command_line_works(bundled: Path, photos: Path, label: Label) -> None:
    args = "--input_layer=input --output_layer=final_result --input_height=128 --input_width=128 --input_mean=128 --input_std=128"
    labels = bundled.parent / "retrained_labels.txt"
    labels.write_text("".join(f"{name}\n" for name in LABELS))
    answer = label("--graph", bundled, "--labels", labels, "--image", photos / "0.png", *args.split())
    expected = scores_by_hand(bundled, photos / "0.png", InputSpec(128, 128, 128, 128))
    assert (answer.code, answer.out.splitlines()[2:]) == (0, lines_by_hand(expected))


def test_one_image_is_printed_as_by_the_original(bundled: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", bundled, "--image", photos / "0.png")
    time, empty, *lines = answer.out.splitlines()
    assert (answer.code, answer.err, empty) == (0, "", "")
    assert re.fullmatch(r"Evaluation time \(1-image\): \d+\.\d{3}s", time)
    assert lines == lines_by_hand(scores_by_hand(bundled, photos / "0.png", BUNDLED_INPUT))
    assert len(lines) == 5


@pytest.mark.parametrize(("top_k", "count"), [(1, 1), (3, 3), (5, 5), (100, 5)])
def test_top_k(top_k: int, count: int, bundled: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", bundled, "--image", photos / "0.png", f"--top_k={top_k}")
    assert answer.out.splitlines()[2:] == lines_by_hand(scores_by_hand(bundled, photos / "0.png", BUNDLED_INPUT), count)


def test_a_folder_stands_for_all_images_below_it(bundled: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", bundled, "--image", photos, "--top_k=2")
    paths = [photos / name for name in ("0.png", "1.jpg", "2.gif", "4.JPG", "below/3.bmp")]
    expected = [[str(path), *lines_by_hand(scores_by_hand(bundled, path, BUNDLED_INPUT), 2)] for path in paths]
    *found, time = [part.splitlines() for part in answer.out.split("\n\n")]
    assert found == expected
    assert re.fullmatch(r"Evaluation time \(1-image\): \d+\.\d{3}s", time[0])
    assert answer.code == 0


@pytest.mark.parametrize("output_format", ["json", "csv", "JSON"])
def test_formats_are_chosen_by_a_flag(output_format: str, bundled: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", bundled, "--image", photos / "0.png", photos / "1.jpg", f"--output_format={output_format}")
    if output_format == "csv":
        rows = list(csv.DictReader(io.StringIO(answer.out)))
    else:
        rows = [
            {"image": each["image"], "rank": str(rank), **prediction}
            for each in json.loads(answer.out)
            for rank, prediction in enumerate(each["predictions"], start=1)
        ]
    assert [row["image"] for row in rows] == [str(photos / "0.png")] * 5 + [str(photos / "1.jpg")] * 5
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"] * 2
    expected = scores_by_hand(bundled, photos / "0.png", BUNDLED_INPUT)
    np.testing.assert_allclose([float(row["score"]) for row in rows[:5]], np.sort(expected)[::-1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("output_format", ["text", "json", "csv"])
def test_a_bad_image_among_good_ones_is_named_and_the_others_are_labelled(
    output_format: str, bundled: Path, photos: Path, tmp_path: Path, label: Label
) -> None:
    (tmp_path / "text.jpg").write_bytes(b"some text")
    (tmp_path / "empty.jpg").write_bytes(b"")
    images = [tmp_path / "text.jpg", photos / "0.png", tmp_path / "empty.jpg", photos / "1.jpg"]
    answer = label("--graph", bundled, "--image", *images, f"--output_format={output_format}")
    assert answer.code == 1
    assert str(photos / "0.png") in answer.out
    assert str(photos / "1.jpg") in answer.out
    assert str(tmp_path) not in answer.out
    assert answer.err == (
        f"error: {tmp_path}/text.jpg cannot be labelled: it is no image in a known format\n"
        f"{tmp_path}/empty.jpg cannot be labelled: the file is empty\n"
    )


def test_of_only_bad_images_nothing_is_printed_but_the_error(bundled: Path, tmp_path: Path, label: Label) -> None:
    (tmp_path / "text.jpg").write_bytes(b"some text")
    spoken = f"error: {tmp_path}/text.jpg cannot be labelled: it is no image in a known format\n"
    assert label("--graph", bundled, "--image", tmp_path / "text.jpg") == (1, "", spoken)


@pytest.mark.parametrize("output_format", ["text", "csv"])
def test_a_name_that_is_no_unicode_can_be_printed(output_format: str, bundled: Path, tmp_path: Path, label: Label) -> None:
    for name in (b"caf\xe9.png", b"plain.png"):
        Image.new("RGB", (9, 9), "red").save(os.path.join(tmp_path, os.fsdecode(name)))
    answer = label("--graph", bundled, "--image", tmp_path, f"--output_format={output_format}")
    assert (answer.code, answer.err) == (0, "")
    assert "caf\\udce9.png" in answer.out


def test_an_image_that_does_not_exist_is_an_error(bundled: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", bundled, "--image", photos / "0.png", photos / "none.jpg")
    assert answer == (2, "", f"error: --image {photos}/none.jpg does not exist.\n")


def reference_scores(reference_dir: Path) -> dict[str, FloatArray]:
    with open(reference_dir / "original_label_image.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == N_REFERENCES
    return {row["image"]: np.array([float(row[name]) for name in LABELS], np.float32) for row in rows}


@pytest.mark.parametrize("engine", ENGINES)
def test_all_scores_of_the_original_come_out(reference_dir: Path, flower_photos: Path, label: Label, engine: str) -> None:
    expected = reference_scores(reference_dir)
    graph = reference_dir / "original_retrained_graph.pb"
    answer = label(
        "--graph", graph, f"--engine={engine}", "--output_format=csv", "--image", *(flower_photos / name for name in expected)
    )
    assert (answer.code, answer.err) == (0, "")
    found: dict[str, dict[str, float]] = {}
    for row in csv.DictReader(io.StringIO(answer.out)):
        found.setdefault(os.path.relpath(row["image"], flower_photos), {})[row["label"]] = float(row["score"])
    assert list(found) == list(expected)
    for name, scores in expected.items():
        np.testing.assert_allclose([found[name][each] for each in LABELS], scores, rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_the_command_works_on_its_own(reference_dir: Path, flower_photos: Path, run_cli: RunCli) -> None:
    name, scores = next(iter(reference_scores(reference_dir).items()))
    done = run_cli(
        "label_image", "--graph", reference_dir / "original_retrained_graph.pb", "--image", flower_photos / name, "--top_k=1"
    )
    assert (done.returncode, done.stderr) == (0, ""), "TensorFlow's own greetings are kept away"
    assert done.stdout.splitlines()[2:] == [f"{LABELS[scores.argmax()]} (score={scores.max():.5f})"]


def test_images_may_be_named_one_by_one(bundled: Path, photos: Path, label: Label) -> None:
    first, second = photos / "0.png", photos / "1.jpg"
    answer = label("--graph", bundled, "--image", first, "--image", second, "--output_format=csv", "--top_k=1")
    assert [line.split(",")[0] for line in answer.out.splitlines()] == ["image", str(first), str(second)]
