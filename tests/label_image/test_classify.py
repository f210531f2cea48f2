"""Scores and labels of images: the order, the images that cannot be labelled, graphs that decode files themselves."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.compat.proto.graph_pb2 import GraphDef

from label_image.classify import classify, find_images
from label_image.config import ClassifierOptions
from label_image.opening import open_classifier
from retrain.data.endings import ENDINGS
from retrain.errors import FlagError
from retrain.input_spec import InputSpec
from tests.conftest import Label
from tests.support.labelling import BUNDLED_INPUT, LABELS, NO_OPTIONS, lines_by_hand, scores_by_hand, write_hub_like
from tests.support.stand_ins import run_in_v1_session


@pytest.mark.parametrize(("mean", "std"), [(0, 255), (0, 127.5), (127.5, 100), (-30, 200)])
def test_mean_and_std_of_the_flags_are_used_also_if_0(mean: float, std: float, bundled: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", bundled, "--image", photos / "0.png", f"--input_mean={mean}", f"--input_std={std}")
    expected = scores_by_hand(bundled, photos / "0.png", InputSpec(128, 128, mean, std))
    assert answer.code == 0
    assert answer.out.splitlines()[2:] == lines_by_hand(expected)
    assert lines_by_hand(expected) != lines_by_hand(scores_by_hand(bundled, photos / "0.png", BUNDLED_INPUT))


def test_a_hub_graph_gets_pixels_from_0_to_1(tmp_path: Path, label: Label) -> None:
    Image.new("RGB", (9, 9), (51, 102, 255)).save(tmp_path / "plain.png")
    answer = label("--graph", write_hub_like(tmp_path), "--image", tmp_path / "plain.png")
    assert answer.out.splitlines()[2:] == ["blue (score=1.00000)", "green (score=0.40000)", "red (score=0.20000)"]


def test_a_layer_that_is_not_behind_the_input_is_an_error_without_a_traceback(bundled: Path, photos: Path, label: Label) -> None:
    weights = "final_training_ops/weights/final_weights"
    answer = label("--graph", bundled, "--image", photos / "0.png", f"--output_layer={weights}")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("error: The graph does not run with the input input:0: ")


def test_labels_that_do_not_fit_are_an_error(bundled: Path, photos: Path, tmp_path: Path, label: Label) -> None:
    (tmp_path / "two.txt").write_text("a\nb\n")
    answer = label("--graph", bundled, "--image", photos / "0.png", "--labels", tmp_path / "two.txt")
    spoken = (
        "The number of labels must be 5, as many as the output final_result:0 has scores. "
        "There are 2 labels. Set --labels to the labels "
        "that the graph was trained with."
    )
    assert answer == (2, "", f"error: {spoken}\n")


def test_a_files_bytes_can_be_fed(inception: Path, photos: Path, label: Label) -> None:
    answer = label("--graph", inception, "--image", photos / "1.jpg", "--input_layer=DecodeJpeg/contents", "--output_format=json")
    feeds = {"DecodeJpeg/contents:0": (photos / "1.jpg").read_bytes()}
    expected = run_in_v1_session(GraphDef.FromString(inception.read_bytes()), feeds, "final_result:0")[0]
    found = {each["label"]: each["score"] for each in json.loads(answer.out)[0]["predictions"]}
    assert answer.code == 0
    np.testing.assert_allclose([found[name] for name in LABELS], expected, rtol=0, atol=1e-5)


def test_both_ways_into_the_graph_agree(inception: Path, photos: Path) -> None:
    failed: dict[str, str] = {}
    paths = [str(photos / "1.jpg"), str(photos / "4.JPG")]
    graphs = [open_classifier(str(inception), ClassifierOptions(input_layer=name)) for name in ("Mul", "DecodeJpeg/contents")]
    by_pixels, by_bytes = (classify(graph, paths, 5, failed) for graph in graphs)
    assert failed == {}
    for pixels, contents in zip(by_pixels, by_bytes, strict=True):
        assert pixels.path == contents.path
        np.testing.assert_allclose(sorted(pixels.scores), sorted(contents.scores), rtol=0, atol=1e-4)


def test_what_the_graph_cannot_decode_is_named_and_the_others_are_labelled(
    inception: Path, photos: Path, tmp_path: Path, label: Label
) -> None:
    (tmp_path / "text.jpg").write_bytes(b"some text")
    images = [photos / "1.jpg", tmp_path / "text.jpg", photos / "4.JPG"]
    answer = label("--graph", inception, "--image", *images, "--input_layer=DecodeJpeg/contents")
    assert answer.code == 1
    assert str(photos / "1.jpg") in answer.out
    assert str(photos / "4.JPG") in answer.out
    assert answer.err == f"error: {tmp_path}/text.jpg cannot be labelled: the graph cannot decode it\n"


def test_answers_stay_in_the_order_of_the_images(bundled: Path, photos: Path, tmp_path: Path) -> None:
    Image.new("RGB", (9, 9), "red").save(tmp_path / "scan.jpg", "TIFF")  # Pillow reads it, after all others.
    paths = [str(path) for path in (photos / "4.JPG", tmp_path / "scan.jpg", photos / "0.png")]
    answers = classify(open_classifier(str(bundled), NO_OPTIONS), paths, 1, {})
    assert [answer.path for answer in answers] == paths


def test_the_ending_of_a_file_does_not_matter(bundled: Path, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "picture.jpg").write_bytes((photos / "2.gif").read_bytes())
    graph = open_classifier(str(bundled), NO_OPTIONS)
    found, expected = classify(graph, [str(tmp_path / "picture.jpg"), str(photos / "2.gif")], 5, {})
    assert (found.labels, found.scores) == (expected.labels, expected.scores)


def test_a_folder_without_images_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(FlagError) as caught:
        find_images([str(tmp_path)])
    assert str(caught.value) == f"--image {tmp_path} holds no image ({', '.join(ENDINGS)})."
